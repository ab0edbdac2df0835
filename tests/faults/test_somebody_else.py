"""Somebody else deploys in the middle, or after a release was interrupted: it is noticed, and not overwritten."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from unittest.mock import patch

import pytest

from mlops_steps.config import Settings
from mlops_steps.delivery.record import ReleaseRecord
from mlops_steps.steps import release, rollback
from tests.faults.world import (
    DEPLOYMENT,
    FIRST,
    INFRA,
    KEY,
    NEW,
    OLD,
    PATIENT,
    SMOKE,
    STAGE,
    Attempt,
    World,
    deploying,
    until,
)

OTHER = "other-3"


def publish_other(world: World) -> None:
    project = world.design.get_project(KEY)
    project.export_bundle(OTHER)
    project.publish_bundle(OTHER)


@pytest.fixture
def world(one_world: World, quick: None) -> World:
    one_world.reset("another bundle", publish_other)
    return one_world


@pytest.fixture
def new_world(one_world: World, quick: None) -> World:
    """Nothing was ever released."""
    one_world.reset(FIRST)
    publish_other(one_world)
    return one_world


def deploy_other(world: World) -> None:
    deployment = world.deployer.get_deployment(DEPLOYMENT)
    settings = deployment.get_settings()
    settings.get_raw().update(bundleId=OTHER, enabled=True)
    settings.save()
    deployment.start_update().wait_for_result()


@contextmanager
def meanwhile(now: Callable[[], bool], act: Callable[[], object]) -> Iterator[None]:
    """Acts as soon as it is so, while the block runs."""
    failures: list[BaseException] = []

    def work() -> None:
        try:
            until(now)
            act()
        except BaseException as error:
            failures.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    yield
    thread.join()
    assert not failures


@contextmanager
def during_the_smoke_test(world: World, act: Callable[[], object]) -> Iterator[None]:
    """Acts while the request that starts the smoke test is held up."""
    held = world.sandbox.nodes[INFRA].faults.add(
        "late", seconds=2.0, act="before", operation="POST /projects/*/scenarios/*/run"
    )
    with meanwhile(lambda: held.fired > 0, act):
        yield


def released(world: World, settings: Settings | None = None) -> Attempt:
    return world.run(
        lambda context: release.run(context, STAGE),
        "release",
        settings or world.patient,
    )


def fail_the_smoke_test(world: World) -> None:
    world.sandbox.nodes[INFRA].faults.add("scenario-ends", outcome="FAILED", target=SMOKE)


def live(world: World) -> tuple[str | None, str, str, bool]:
    return world.active, world.health, world.deployed["bundleId"], world.deployed["enabled"]


def test_what_somebody_deploys_during_the_smoke_test_is_noticed_though_that_passes(world: World) -> None:
    with during_the_smoke_test(world, lambda: deploy_other(world)):
        attempt = released(world)
    assert attempt.code == 5
    assert f"somebody else has set deployment {DEPLOYMENT} to bundle {OTHER} meanwhile" in attempt.said
    assert f"bundle {OTHER} on {INFRA}" in attempt.live
    assert live(world) == (OTHER, "HEALTHY", OTHER, True)
    again = world.recover()
    assert (again.code, again.pending) == (0, False)
    assert "somebody has deployed another bundle since" in again.said
    assert live(world) == (OTHER, "HEALTHY", OTHER, True)


def test_a_deployment_that_turns_unhealthy_during_the_smoke_test_is_put_back(world: World) -> None:
    def turn_until_the_restore() -> None:
        world.sandbox.nodes[INFRA].faults.add("health", health=["ERROR"], count="for ever")
        until(lambda: world.deployed["bundleId"] == OLD)
        world.sandbox.nodes[INFRA].faults.clear()

    impatient = world.configured({**PATIENT, "deploy": {"health_timeout": "1s"}})
    with during_the_smoke_test(world, turn_until_the_restore):
        attempt = released(world, impatient)
    assert attempt.code == 4
    assert f"bundle {NEW} is not healthy on {INFRA} after 1s" in attempt.said
    assert live(world) == (OLD, "HEALTHY", OLD, True)


def test_a_health_that_flaps_after_the_smoke_test_is_waited_for(world: World) -> None:
    faults = world.sandbox.nodes[INFRA].faults
    with during_the_smoke_test(world, lambda: faults.add("health", health=["ERROR"], count=2)):
        attempt = released(world)
    assert attempt.code == 0
    assert live(world) == (NEW, "HEALTHY", NEW, True)


def test_the_same_release_again_goes_back_to_what_somebody_else_has_made_live(world: World) -> None:
    with during_the_smoke_test(world, lambda: deploy_other(world)):
        assert released(world).code == 5
    world.clear()
    fail_the_smoke_test(world)
    again = released(world)
    assert again.code == 4
    assert "somebody has deployed another bundle since" in again.said
    assert live(world) == (OTHER, "HEALTHY", OTHER, True)


def test_a_first_release_that_fails_does_not_disable_what_somebody_else_has_deployed(new_world: World) -> None:
    fail_the_smoke_test(new_world)
    with during_the_smoke_test(new_world, lambda: deploy_other(new_world)):
        attempt = released(new_world)
    assert attempt.code == 5
    assert "it was not overwritten" in attempt.said
    assert live(new_world) == (OTHER, "HEALTHY", OTHER, True)


def test_what_a_first_release_owed_is_nothing_once_somebody_else_has_released(world: World) -> None:
    deploy_other(world)
    record = ReleaseRecord.load(world.settings.record)
    assert record
    deploying(record, "cut-off-0", None)
    record.save(world.settings.record)
    fail_the_smoke_test(world)
    assert released(world).code == 4
    assert live(world) == (OTHER, "HEALTHY", OTHER, True)


def test_a_rollback_that_was_cut_off_knows_what_the_settings_named(world: World) -> None:
    settings = world.deployer.get_deployment(DEPLOYMENT).get_settings()
    settings.bundle_id = NEW  # an update to it never came
    settings.save()
    with (
        patch("mlops_steps.delivery.going_back.restore", side_effect=KeyboardInterrupt),
        pytest.raises(KeyboardInterrupt),
    ):
        world.run(lambda context: rollback.run(context, STAGE, to=OTHER), "rollback")
    again = world.recover()
    assert again.code == 0, again.said
    assert live(world) == (OTHER, "HEALTHY", OTHER, True)


def disable(world: World) -> None:
    deployment = world.deployer.get_deployment(DEPLOYMENT)
    settings = deployment.get_settings()
    settings.get_raw().update(enabled=False)
    settings.save()
    deployment.start_update().wait_for_result()


def test_what_somebody_disables_during_a_smoke_test_that_fails_stays_disabled(world: World) -> None:
    fail_the_smoke_test(world)
    with during_the_smoke_test(world, lambda: disable(world)):
        attempt = released(world)
    assert attempt.code == 5, attempt.said
    assert f"somebody else has disabled deployment {DEPLOYMENT} meanwhile; it was not overwritten" in attempt.said
    assert world.deployed["enabled"] is False
    again = world.recover()
    assert again.code == 5, again.said
    assert world.deployed["enabled"] is False


def test_what_somebody_disables_during_a_smoke_test_that_passes_is_not_released(world: World) -> None:
    with during_the_smoke_test(world, lambda: disable(world)):
        attempt = released(world)
    assert attempt.code == 5, attempt.said
    assert world.deployed["enabled"] is False


def test_what_somebody_disables_just_before_the_release_changes_it_stays_disabled(world: World) -> None:
    looked = world.sandbox.design.faults.add(
        "late", seconds=1.0, act="before", operation="GET /project-deployer/deployments/*/update"
    )
    with meanwhile(lambda: looked.fired > 0, lambda: disable(world)):
        attempt = released(world)
    assert attempt.code == 5, attempt.said
    assert f"somebody else has disabled deployment {DEPLOYMENT} meanwhile; it was not overwritten" in attempt.said
    assert (world.active, world.deployed["bundleId"], world.deployed["enabled"]) == (OLD, OLD, False)
