"""Ways out that a fault at a single request does not show."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import patch

import pytest

from mlops_steps.delivery.record import ReleaseRecord
from mlops_steps.delivery.targets.project_deployer import ProjectDeployerTarget
from mlops_steps.dss.http import NodeSession
from mlops_steps.errors import CheckFailed, ConfigError
from mlops_steps.steps import deploy, release
from tests.faults.scenes import SCENES, ready
from tests.faults.world import INFRA, LIMITS, NEW, OLD, SMOKE, STAGE, Attempt, World

HALF_AN_EMOJI = "the table is \ud83d\n" + "and so on " * 500_000


def deployed(world: World, stage: str) -> Attempt:
    return world.run(lambda context: deploy.run(context, stage), "deploy")


@contextmanager
def record_written_only(times: int) -> Iterator[None]:
    """The disk is full after so many times."""
    save, done = ReleaseRecord.save, []

    def once(record: ReleaseRecord, path: Path) -> None:
        if len(done) >= times:
            raise ConfigError(f"cannot write the release record {path}: No space left on device")
        done.append(path)
        save(record, path)

    with patch.object(ReleaseRecord, "save", once):
        yield


def test_what_a_node_says_does_not_keep_the_previous_bundle_from_being_restored(world: World) -> None:
    world.sandbox.nodes[INFRA].faults.add("scenario-ends", outcome="FAILED", target=SMOKE)
    with patch("mlops_steps.dss.scenarios._first_error", return_value=HALF_AN_EMOJI):
        attempt = world.release(world.patient)
    assert attempt.code == 4, attempt.said
    assert (world.active, world.health) == (OLD, "HEALTHY")
    assert world.settings.record.stat().st_size < 50_000


@pytest.mark.parametrize("where", ["make_live", "observe"])
def test_a_mistake_of_our_own_in_a_restore_is_production_in_doubt(world: World, where: str) -> None:
    working = getattr(ProjectDeployerTarget, where)
    failed: list[bool] = []

    def smoke(*_given: object, **_options: object) -> None:
        failed.append(True)
        raise CheckFailed("the smoke test failed")

    def broken(*given: object, **options: object) -> object:
        if failed:
            raise ZeroDivisionError
        return working(*given, **options)

    with patch("mlops_steps.delivery.verify.smoke", smoke), patch.object(ProjectDeployerTarget, where, broken):
        attempt = world.release()
    assert attempt.code == 5
    assert attempt.pending
    assert "internal error: ZeroDivisionError\n" in attempt.said


def test_a_deploy_to_the_release_stage_whose_record_cannot_be_closed_is_in_doubt(world: World) -> None:
    with record_written_only(2):
        attempt = deployed(world, STAGE)
    assert attempt.code == 5
    assert f"bundle {NEW} on {INFRA}" in attempt.live
    assert attempt.pending
    assert world.recover().code == 0
    assert (world.active, world.health) == (OLD, "HEALTHY")


def test_a_deploy_to_the_release_stage_that_fails_on_a_full_disk_says_what_is_live(world: World) -> None:
    world.sandbox.nodes[INFRA].faults.add("update-fails", act="after")
    with record_written_only(2):
        attempt = deployed(world, STAGE)
    assert attempt.code == 5
    assert "the update of deployment" in attempt.said
    assert attempt.pending


def test_with_rollback_off_too_a_release_that_changed_nothing_says_so(world: World) -> None:
    world.sandbox.design.faults.add(
        "error", status=403, operation="PUT /project-deployer/deployments/*/settings", count="for ever"
    )
    settings = world.configured({**LIMITS, "release": {**LIMITS["release"], "rollback": "off"}})
    attempt = world.run(lambda context: release.run(context, STAGE), "release", settings)
    assert attempt.code == 3, attempt.said
    assert attempt.live == f"bundle {OLD} on {INFRA} (HEALTHY)"
    assert not attempt.pending


@pytest.mark.parametrize("name", [*SCENES, "release", "failed release", "package"])
def test_every_request_has_a_deadline(world: World, name: str) -> None:
    without: list[str] = []
    request = NodeSession.request

    def noting(self: NodeSession, method: str, url: str, **options: object) -> object:
        if self._scope.get()[0] is None:
            without.append(f"{method} {url}")
        return request(self, method, url, **options)

    with patch.object(NodeSession, "request", noting):
        if name in SCENES:
            ready(world, SCENES[name])
            without.clear()
            world.run(SCENES[name].call, name)
        elif name == "package":
            from mlops_steps.steps import package

            world.run(lambda context: package.run(context, bundle_id="deadlines-1"), name)
        else:
            if name == "failed release":
                world.sandbox.nodes[INFRA].faults.add("scenario-ends", outcome="FAILED", target=SMOKE)
            world.release()
    assert without == []
