"""The steps beside `release`: how the world is made ready for each, and what must be true afterwards."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from mlops_steps.config import Settings
from mlops_steps.delivery.record import ReleaseRecord
from mlops_steps.sandbox.services.projects.model import active_bundle_id
from mlops_steps.steps import (
    api_deploy,
    api_package,
    api_recover,
    api_release,
    api_rollback,
    api_test,
    deploy,
    doctor,
    monitor,
    recover,
    rollback,
    smoke_test,
    status,
    validate,
)
from mlops_steps.steps import test as test_step
from mlops_steps.steps.context import Context
from tests.faults import service
from tests.faults.matrix import Case
from tests.faults.world import KEY, NEW, OLD, STAGE, Attempt, World

TEST_NODE, TEST_DEPLOYMENT = "auto-test", f"{KEY}-on-auto-test"


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
    canary: bool = False
    probation: bool = False

    def settings(self, world: World, *, patient: bool = False) -> Settings:
        """What the step is configured with; ``patient``: with limits for what has to succeed."""
        if self.canary:
            return world.patient_canary if patient else world.canary
        if self.probation:
            return world.patient_monitoring if patient else world.monitoring
        return world.patient if patient else world.settings


def _nothing(world: World) -> None:
    del world


def _untouched(world: World, attempt: Attempt, case: Case) -> list[str]:
    """Production is what it was."""
    found = (world.active, world.health, world.deployed["bundleId"], world.deployed["enabled"])
    wrong = [] if found == (OLD, "HEALTHY", OLD, True) else [f"{found} afterwards"]
    return wrong + (["a restore is pending"] if attempt.pending else [])


def old_on_test(world: World) -> None:
    """The stage before has the old bundle live."""
    _live_on_test(world, OLD)


def new_on_test(world: World) -> None:
    """The stage before has the new bundle live."""
    _live_on_test(world, NEW)


def _live_on_test(world: World, bundle: str) -> None:
    deployment = world.deployer.create_deployment(TEST_DEPLOYMENT, KEY, TEST_NODE, bundle)
    deployment.start_update().wait_for_result()
    assert active_bundle_id(world.sandbox.nodes[TEST_NODE], KEY) == bundle


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
    # What could not be done yet is still pending, and is done when the fault is over.
    return _recovered(world, attempt, OLD)


def _taken_back(world: World, attempt: Attempt, _case: Case) -> list[str]:
    found = (world.active, world.health, world.deployed["bundleId"], world.deployed["enabled"])
    if attempt.code == 5:
        return _recovered(world, attempt, OLD)
    wanted = OLD if attempt.code == 4 else NEW
    wrong = [] if found == (wanted, "HEALTHY", wanted, True) else [f"exit code {attempt.code}, and {found}"]
    return wrong + (["a restore is pending"] if attempt.pending else [])


def _recovered(world: World, attempt: Attempt, wanted: str) -> list[str]:
    wrong = [] if attempt.pending else [f"exit code {attempt.code}, and no restore is pending"]
    again = world.recover()
    found = (again.code, world.active, world.health, world.deployed["bundleId"])
    return wrong + ([] if found == (0, wanted, "HEALTHY", wanted) else [f"after recover: {found}: {again.said}"])


def _scenes() -> Iterator[Scene]:
    reads = (0, 1, 3)
    yield Scene("validate", validate.run, 4, reads, _nothing, _untouched)
    yield Scene("doctor", doctor.run, 20, reads, service.made, _untouched)

    yield Scene("status", status.run, 6, reads, service.made, _untouched)
    yield Scene("smoke-test", lambda context: smoke_test.run(context, STAGE), 2, reads, _nothing, _untouched)
    yield Scene("deploy", lambda context: deploy.run(context, "test"), 2 + 4 + 12, reads, old_on_test, _deployed)
    yield Scene("test", lambda context: test_step.run(context, "test"), 4 * 2 + 4, reads, new_on_test, _tested)
    yield Scene(
        "rollback", lambda context: rollback.run(context, STAGE, to=NEW), 12 + 6, (0, 1, 3, 5), _nothing, _rolled_back
    )
    yield Scene("recover", lambda context: recover.run(context, STAGE), 6 * 3 + 12, (0, 3, 5), World.cut_off, _restored)
    yield Scene(
        "monitor",
        lambda context: monitor.run(context, STAGE),
        4 + 6 * 2 + 12,
        (0, 1, 3, 4, 5),
        World.on_probation,
        _taken_back,
        clean=4,
        probation=True,
    )
    yield Scene(
        "api-package",
        lambda context: api_package.run(context, version=service.MADE),
        2,
        (0, 1, 2, 3),
        service.made,
        lambda world, attempt, _case: service.packaged_once(world, attempt),
    )
    yield Scene(
        "api-deploy",
        lambda context: api_deploy.run(context, "dev"),
        2 + 4 + 12,
        reads,
        service.old_on_dev,
        lambda world, attempt, case: service.deployed(world, attempt, case.kind == "corrupted"),
    )
    yield Scene(
        "api-test",
        lambda context: api_test.run(context, "dev"),
        2 + 4 + 12,
        reads,
        service.new_on_dev,
        lambda world, attempt, _case: service.tested(world, attempt),
    )
    yield Scene(
        "api-release",
        lambda context: api_release.run(context, STAGE),
        2 + 4 + 2 + 6,
        (0, 1, 3, 4, 5),
        service.made,
        lambda world, attempt, _case: service.released(world, attempt),
    )
    yield Scene(
        "canary",
        lambda context: api_release.run(context, STAGE),
        2 + 4 * 3 + 3 + 2 + 6,
        (0, 1, 3, 4, 5),
        service.made,
        lambda world, attempt, _case: service.released(world, attempt),
        canary=True,
    )
    yield Scene(
        "api-rollback",
        lambda context: api_rollback.run(context, STAGE, to=NEW),
        12 + 6,
        (0, 1, 3, 5),
        service.made,
        lambda world, attempt, _case: service.rolled_back(world, attempt),
    )
    yield Scene(
        "api-recover",
        lambda context: api_recover.run(context, STAGE),
        6 * 3 + 12,
        (0, 1, 3, 5),
        service.cut_off,
        lambda world, attempt, _case: service.restored(world, attempt),
    )


SCENES = {scene.name: scene for scene in _scenes()}


def ready(world: World, scene: Scene) -> None:
    """Resets the world to the beginning of a scene."""
    world.reset(scene.name, scene.before)
