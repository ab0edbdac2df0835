"""Every request of the steps beside `release` and `package`, every fault: the exit code is true, nothing is left."""

from __future__ import annotations

import pytest

from tests.faults.choice import chosen
from tests.faults.matrix import Case, at_requests
from tests.faults.recorded import recorded
from tests.faults.scenes import SCENES, ready
from tests.faults.world import World
from tests.support import seed
from tests.support.counts import longest, tally


def cases() -> list[object]:
    return [
        pytest.param(name, case, id=f"{name}: {case}")
        for name in SCENES
        for case in chosen(name, at_requests(recorded(name)), parts=seed.LARGE)
    ]


@pytest.mark.parametrize(("name", "case"), cases())
def test_whatever_happens_to_a_request_the_exit_code_is_true(world: World, name: str, case: Case) -> None:
    scene = SCENES[name]
    ready(world, scene)
    active = world.sandbox.nodes[case.node].faults.add(case.fault)
    attempt = world.run(scene.call, scene.name, scene.settings(world))
    tally(name, f"exit {attempt.code}", *([] if active.fired else ["not met"]))
    longest(name, attempt.seconds)
    world.clear()
    world.settle()
    wrong = [] if attempt.code in scene.codes else [f"exit code {attempt.code}"]
    if "internal error" in attempt.said or "Traceback" in attempt.said:
        wrong.append("an internal error")
    if attempt.seconds > scene.limit + 10:
        wrong.append(f"it took {attempt.seconds:.1f} s")
    bad = [*attempt.report.iter("failure"), *attempt.report.iter("error")]
    if bool(bad) != bool(attempt.code):
        wrong.append(f"exit code {attempt.code} and {len(bad)} failures in the report")
    wrong += scene.after(world, attempt, case)
    assert not wrong, f"exit code {attempt.code}\n{attempt.said}"
