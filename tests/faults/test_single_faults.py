"""Single faults whose end is known exactly: what a lost answer, a late one or a stubborn node leads to."""

from __future__ import annotations

import time

import pytest

from tests.faults.world import DEPLOYMENT, INFRA, NEW, OLD, SMOKE, World


def now() -> int:
    return int(time.time() * 1000) - 1


@pytest.mark.parametrize(
    ("node", "operation"), [("design", "save settings"), ("design", "start update"), (INFRA, "run scenario")]
)
@pytest.mark.parametrize("kind", ["drop", "error 504", "html 200"])
def test_a_lost_answer_is_made_up_for_and_nothing_is_done_twice(
    world: World, node: str, operation: str, kind: str
) -> None:
    name, _, status = kind.partition(" ")
    settings = {"status": int(status)} if status else {}
    world.sandbox.nodes[node].faults.add(name, operation=operation, act="after", **settings)
    since = now()
    attempt = world.release(world.patient)
    assert attempt.code == 0, attempt.said
    assert (world.active, world.health) == (NEW, "HEALTHY")
    assert [update["bundleId"] for update in world.updates(since)] == [NEW]
    assert len(world.smoke_runs(since)) == 1


def test_a_deployer_that_forgot_the_update_is_believed_by_its_history(world: World) -> None:
    world.sandbox.design.faults.add("future-lost", act="after")
    since = now()
    assert world.release(world.patient).code == 0
    assert [update["bundleId"] for update in world.updates(since)] == [NEW]


def test_an_update_that_never_ends_is_aborted_so_that_the_old_bundle_can_be_restored(world: World) -> None:
    release = world.patient.release.model_copy(update={"timeout": 2.0})
    hurried = world.patient.model_copy(update={"release": release})
    world.sandbox.design.faults.add("future-never-ends", act="before")
    since = now()
    attempt = world.release(hurried)
    assert attempt.code == 4, attempt.said
    assert (world.active, world.health) == (OLD, "HEALTHY")
    assert [update["bundleId"] for update in world.updates(since)] == [NEW, OLD]


def test_a_node_that_cancels_every_trigger_is_asked_with_pauses_and_not_for_ever(world: World) -> None:
    release = world.patient.release.model_copy(update={"smoke_timeout": 2.0, "rollback_timeout": 4.0})
    hurried = world.patient.model_copy(update={"release": release})
    world.sandbox.nodes[INFRA].faults.add("trigger-cancelled", count="for ever", target=SMOKE)
    attempt = world.release(hurried)
    assert attempt.code == 5, attempt.said
    assert attempt.seconds < 20
    fired = [entry for entry in attempt.requests if entry.operation.endswith("/run")]
    assert 1 < len(fired) < 40


def test_settings_that_arrive_late_are_put_right_by_recover(world: World) -> None:
    assert world.release(world.patient).code == 0
    settings = world.deployer.get_deployment(DEPLOYMENT).get_settings()
    settings.bundle_id = OLD
    settings.save()
    assert world.health == "OUT_OF_SYNC"
    assert world.recover().code == 0
    assert (world.active, world.health, world.deployed["bundleId"]) == (NEW, "HEALTHY", NEW)
