"""Direct deployment, without a deployer: every fault at every request, and a kill at each, also of a first release."""

from __future__ import annotations

import json
import signal
import time

import pytest

from mlops_steps.sandbox.faults.model import Fault
from tests.faults import direct
from tests.faults.choice import chosen, parametrized
from tests.faults.cut import ARCHIVED, FOLLOWS, KEPT, KILL, RECOVER, RERUN, TERM, Cut, moments
from tests.faults.matrix import Case, at_requests
from tests.faults.recorded import DIRECT, DIRECT_FAILED, DIRECT_FIRST, own, recorded
from tests.faults.world import INFRA, LONGEST, NEW, OLD, SMOKE, STAGE, World, until
from tests.records import pending
from tests.support import seed
from tests.support.commands import Child
from tests.support.counts import longest, tally

BEGINS = {DIRECT: direct.AGAIN, DIRECT_FAILED: direct.AGAIN, DIRECT_FIRST: direct.NEVER}


def before(scene: str) -> tuple[str, ...]:
    """What may be live when nothing was changed, or it was put back."""
    return ("nothing", "disabled") if scene == DIRECT_FIRST else (OLD,)


@pytest.mark.parametrize("scene", [DIRECT, DIRECT_FIRST])
def test_a_clean_release(one_world: World, scene: str) -> None:
    direct.ready(one_world, BEGINS[scene])
    attempt = direct.release(one_world, patient=True)
    assert (attempt.code, direct.state(one_world)) == (0, NEW), attempt.said
    assert "claims" not in direct.note(one_world)


@parametrized("case", chosen(DIRECT, at_requests(recorded(DIRECT)), parts=seed.LARGE))
def test_whatever_happens_to_a_request_what_is_said_is_true(one_world: World, case: Case) -> None:
    _under_a_fault(one_world, DIRECT, case)


@parametrized("case", chosen(DIRECT_FIRST, at_requests(recorded(DIRECT_FIRST)), parts=seed.LARGE))
def test_whatever_happens_to_a_first_release_what_is_said_is_true(one_world: World, case: Case) -> None:
    _under_a_fault(one_world, DIRECT_FIRST, case)


def _under_a_fault(world: World, scene: str, case: Case) -> None:
    direct.ready(world, BEGINS[scene])
    since = int(time.time() * 1000) - 1
    struck = world.sandbox.nodes[case.node].faults.add(case.fault)
    attempt = direct.release(world)
    tally(scene, f"exit {attempt.code}", *([] if struck.fired else ["not met"]))
    longest(scene, attempt.seconds)
    world.clear()
    world.settle()
    state, wrong = direct.state(world), direct.twice(world, since)
    if attempt.code == 5:
        wrong += [] if attempt.pending else ["no restore is pending"]
        again = direct.recover(world)
        found = direct.state(world)
        wrong += [] if again.code == 0 and found in before(scene) else [f"recover: {again.code}, {found}: {again.said}"]
    elif state not in ((NEW,) if attempt.code == 0 else before(scene)) or attempt.code not in (0, 1, 3, 4):
        wrong.append(f"exit code {attempt.code}, and {state}")
    elif attempt.pending:
        wrong.append(f"exit code {attempt.code}, and a restore is pending")
    wrong += direct.besides(world)
    if "internal error" in attempt.said:
        wrong.append("an internal error")
    if attempt.seconds > LONGEST:
        wrong.append(f"it took {attempt.seconds:.1f} s")
    assert not wrong, f"exit code {attempt.code}\n{attempt.said}"


def cuts(scene: str) -> list[Cut]:
    failing = scene == DIRECT_FAILED
    found = moments(own(scene))
    kills = [Cut(*moment, KILL, then, record, failing) for moment in found for then, record in FOLLOWS]
    return kills + [Cut(*moment, TERM, RECOVER, KEPT, failing) for moment in found]


def _cases() -> list[object]:
    return [
        pytest.param(scene, cut, id=f"{scene}: {cut}")
        for scene in BEGINS
        for cut in chosen(f"{scene} cut off", cuts(scene))
    ]


@pytest.mark.parametrize(("scene", "cut"), _cases())
def test_a_release_that_is_cut_off_anywhere_is_finished_or_put_back(one_world: World, scene: str, cut: Cut) -> None:
    world, point = one_world, cut.point
    direct.ready(world, BEGINS[scene])
    since, archived = int(time.time() * 1000) - 1, world.settings.record.read_bytes()
    if cut.failing:
        world.sandbox.nodes[INFRA].faults.add("scenario-ends", outcome="FAILED", target=SMOKE)
    fault = Fault(kind="never", operation=point.operation, by="clients", after=point.nth, count=1, act=cut.act)
    held = world.sandbox.nodes[point.node].faults.add(fault)
    child = Child(["release", "--stage", STAGE, "--config", direct.CONFIG], world.workspace, world.environment)
    until(lambda: held.fired > 0 or not child.running)
    child.send(signal.Signals[cut.signal])
    first, said = child.wait(), child.said
    world.sandbox.nodes[point.node].faults.clear(held.id)
    runs = world.smoke_runs(since) if direct.active(world) else []
    if cut.record != KEPT:
        world.settings.record.unlink()
    if cut.record == ARCHIVED:
        world.settings.record.write_bytes(archived)
    step = "release" if cut.then == RERUN else "recover"
    again = Child([step, "--stage", STAGE, "--config", direct.PATIENT_CONFIG], world.workspace, world.environment)
    second = again.wait()
    said += again.said
    tally(f"{scene} cut off", f"exit {second}", *([] if held.fired else ["not met"]))
    world.settle()
    state, wrong = direct.state(world), []
    ends = {0: (NEW,) if cut.then == RERUN else (NEW, *before(scene)), 1: before(scene), 4: before(scene)}
    if state not in ends.get(second, ()):
        wrong.append(f"{step}: exit code {second}, and {state}")
    # A restore that was verified before the kill owes nothing: a release that knows nothing of it is a new one.
    restored = [run for run in runs if run.get("bundleId") == OLD and run["result"]["outcome"] == "SUCCESS"]
    over = cut.then == RERUN and bool(restored)
    if cut.failing and second == 0 and state == NEW and not over:
        wrong.append("the bundle whose smoke test failed is live")
    if not cut.failing:
        wrong += direct.twice(world, since)
    wrong += direct.besides(world)
    record = world.settings.record
    if record.exists() and pending(json.loads(record.read_text()), STAGE):
        wrong.append("a restore is pending")
    if "internal error" in said or "Traceback" in said:
        wrong.append("an internal error")
    assert not wrong, f"exit codes {first}, {second}\n{said}"
