"""Every request of the steps beside `release` and `package`, every fault: the exit code is true, and nothing is left.

By default a sample in which each kind of fault and each request occurs; `MLOPS_FAULTS=all` runs all of it, and
`MLOPS_FAULTS=TEXT` the cases whose name holds the text.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from mlops_steps.delivery.record import ReleaseRecord
from mlops_steps.sandbox.services.projects.model import active_bundle_id
from mlops_steps.steps import deploy, doctor, recover, rollback, smoke_test, status, validate
from mlops_steps.steps import test as test_step
from mlops_steps.steps.context import Context
from tests.counts import tell
from tests.faults.matrix import Case, Point, at_requests, points
from tests.faults.sides import played, wanted
from tests.faults.world import KEY, NEW, OLD, SMOKE, STAGE, Attempt, World

TEST_NODE, TEST_DEPLOYMENT = "auto-test", f"{KEY}-on-auto-test"
pytestmark = pytest.mark.usefixtures("quick")

WORLDS = 8


@dataclass(frozen=True)
class Scene:
    """A step: how the world is made ready for it, which exit codes it may have, and what must be true after each.

    ``limit`` (seconds) is what its configuration allows at most, with the small limits of these tests.
    """

    name: str
    call: Callable[[Context], object]
    limit: float
    codes: tuple[int, ...]
    before: Callable[[World], None]
    after: Callable[[World, Attempt, Case], list[str]]
    clean: int = 0


def _nothing(world: World) -> None:
    del world


def _untouched(world: World, attempt: Attempt, case: Case) -> list[str]:
    """Production is what it was."""
    found = (world.active, world.health, world.deployed["bundleId"], world.deployed["enabled"])
    wrong = [] if found == (OLD, "HEALTHY", OLD, True) else [f"{found} afterwards"]
    return wrong + ([] if attempt.owed == "nothing" else [f"the record owes {attempt.owed}"])


def _old_on_test(world: World) -> None:
    """The stage before has the old bundle live."""
    found = [item.deployment_id for item in world.deployer.list_deployments(as_objects=True)]
    if TEST_DEPLOYMENT not in found:
        world.deployer.create_deployment(TEST_DEPLOYMENT, KEY, TEST_NODE, OLD).start_update().wait_for_result()
    _make_live(world, OLD)


def _new_on_test(world: World) -> None:
    _old_on_test(world)
    _make_live(world, NEW)
    for name in (SMOKE, "TEST_ONE"):
        world.client(TEST_NODE).get_project(KEY).get_scenario(name).abort()


def _make_live(world: World, bundle: str) -> None:
    deployment = world.deployer.get_deployment(TEST_DEPLOYMENT)
    settings = deployment.get_settings()
    if settings.bundle_id == bundle and active_bundle_id(world.sandbox.nodes[TEST_NODE], KEY) == bundle:
        return
    settings.bundle_id = bundle
    settings.save()
    deployment.start_update().wait_for_result()


def _deployed(world: World, attempt: Attempt, case: Case) -> list[str]:
    active = active_bundle_id(world.sandbox.nodes[TEST_NODE], KEY)
    settings = world.deployer.get_deployment(TEST_DEPLOYMENT).get_settings().get_raw()["bundleId"]
    wrong = _untouched(world, attempt, case)
    if attempt.code == 0 and (active, settings) != (NEW, NEW):
        wrong.append(f"deployed, and {active} is live, the settings say {settings}")
    again = world.run(SCENES["deploy"].call, "deploy", world.patient)
    # A note of who is at work that came back corrupted is one of a stranger.
    stranger = case.kind == "corrupted" and again.code == 3 and "is at work on" in again.said
    if again.code != 0 and not stranger:
        wrong.append(f"again: exit code {again.code}: {again.said}")
    elif again.code == 0 and active_bundle_id(world.sandbox.nodes[TEST_NODE], KEY) != NEW:
        wrong.append("again: exit code 0, and the new bundle is not live")
    return wrong


def _tested(world: World, attempt: Attempt, case: Case) -> list[str]:
    test = ReleaseRecord.model_validate(attempt.record).stages["test"].test
    said = test.result if test else "nothing"
    wrong = _untouched(world, attempt, case)
    # Where the record could be written at all, it says how the step has ended.
    if attempt.code == 0 and said != "passed":
        wrong.append(f"exit code 0, and the record says {said}")
    if attempt.code != 0 and said == "started":
        wrong.append(f"exit code {attempt.code}, and the record says {said}")
    return wrong


def _rolled_back(world: World, attempt: Attempt, case: Case) -> list[str]:
    found = (world.active, world.health, world.deployed["bundleId"])
    if attempt.code == 0:
        return [] if found == (NEW, "HEALTHY", NEW) else [f"exit code 0, and {found}"]
    if attempt.code != 5:
        return _untouched(world, attempt, case)
    return _recovered(world, attempt, NEW)


def _restored(world: World, attempt: Attempt, case: Case) -> list[str]:
    if attempt.code == 0:
        return _untouched(world, attempt, case)
    # What could not be done yet is still owed, and is done when the fault is over.
    return _recovered(world, attempt, OLD)


def _recovered(world: World, attempt: Attempt, wanted: str) -> list[str]:
    wrong = [] if attempt.owed == "restore" else [f"exit code {attempt.code}, and the record owes {attempt.owed}"]
    again = world.recover()
    found = (again.code, world.active, world.health, world.deployed["bundleId"])
    return wrong + ([] if found == (0, wanted, "HEALTHY", wanted) else [f"after recover: {found}: {again.said}"])


def _scenes() -> Iterator[Scene]:
    reads = (0, 1, 3)
    yield Scene("validate", validate.run, 4, reads, _nothing, _untouched)
    yield Scene("doctor", doctor.run, 15, reads, _nothing, _untouched)

    yield Scene("status", status.run, 3, reads, _nothing, _untouched)
    yield Scene("smoke-test", lambda context: smoke_test.run(context, STAGE), 2, reads, _nothing, _untouched)
    yield Scene("deploy", lambda context: deploy.run(context, "test"), 2 + 4 + 12, reads, _old_on_test, _deployed)
    yield Scene("test", lambda context: test_step.run(context, "test"), 4 * 2 + 4, reads, _new_on_test, _tested)
    yield Scene(
        "rollback", lambda context: rollback.run(context, STAGE, to=NEW), 12 + 6, (0, 1, 3, 5), _nothing, _rolled_back
    )
    yield Scene("recover", lambda context: recover.run(context, STAGE), 6 * 3 + 12, (0, 3, 5), World.cut_off, _restored)


SCENES = {scene.name: scene for scene in _scenes()}


@dataclass
class Finding:
    """What came of a case. ``wrong`` is empty when all that must be true is true."""

    case: Case
    code: int
    struck: bool
    wrong: list[str]
    said: str = ""


def ready(world: World, scene: Scene) -> None:
    world.reset()
    scene.before(world)
    for node in world.sandbox.nodes.values():
        node.faults.clear_requests()


def requests_of(world: World, scene: Scene) -> list[Point]:
    ready(world, scene)
    attempt = world.run(scene.call, scene.name)
    assert attempt.code == scene.clean, attempt.said
    return points(attempt.requests)


def play(world: World, scene: Scene, case: Case) -> Finding:
    ready(world, scene)
    active = world.sandbox.nodes[case.node].faults.add(case.fault)
    attempt = world.run(scene.call, scene.name)
    struck = active.fired > 0
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
    return Finding(case, attempt.code, struck, wrong + scene.after(world, attempt, case), attempt.said)


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("name", SCENES)
def test_whatever_happens_to_a_request_the_exit_code_is_true(worlds: list[World], name: str) -> None:
    scene = SCENES[name]
    found = requests_of(worlds[0], scene)
    chosen = wanted(at_requests(found))

    def failed(case: Case, error: BaseException) -> Finding:
        return Finding(case, -1, True, [f"{type(error).__name__}: {error}"])

    findings = played(worlds, chosen, lambda world, case: play(world, scene, case), failed)
    codes = Counter(finding.code for finding in findings)
    ends = ", ".join(f"exit {code}: {number}" for code, number in sorted(codes.items()))
    tell(f"{name}: {len(found)} requests, {len(findings)} faults: {ends}")
    wrong = [
        f"{finding.case}: exit code {finding.code}: {finding.wrong}\n{finding.said}"
        for finding in findings
        if finding.wrong
    ]
    assert not wrong, f"{len(wrong)} of {len(findings)}\n\n" + "\n\n".join(wrong)
    assert sum(finding.struck for finding in findings) > len(findings) * 0.8
