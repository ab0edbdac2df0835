"""Two releases of one project to one stage, from two agents: one wins, the other changes nothing."""

from __future__ import annotations

import json
import shutil
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from mlops_steps.dss.claims import Claim
from mlops_steps.sandbox.faults.model import Fault
from tests.faults.world import DEPLOYMENT, INFRA, KEY, NEW, OLD, PATIENT, STAGE, World, until
from tests.records import pending
from tests.support.commands import Child
from tests.support.pace import QUICK

#: Two notes may cross when their writing takes longer than this: on a busy machine it does.
CAREFUL = replace(QUICK, settle=2.0)


def agent(world: World, folder: Path, name: str) -> tuple[Path, dict[str, str]]:
    """A workspace with its own record and its own place for locks, as on a machine of its own."""
    workspace = folder / name
    shutil.copytree(world.workspace, workspace)
    locks = folder / f"{name}-tmp"
    locks.mkdir()
    return workspace, {**world.environment, "TMPDIR": str(locks), "JOB_NAME": name, "BUILD_NUMBER": "1"}


def released(
    world: World, folder: Path, name: str, step: str = "release", config: str = "patient.yml", **variables: str
) -> Child:
    workspace, environment = agent(world, folder, name)
    environment.update(variables)
    return Child([step, "--stage", STAGE, "--config", config], workspace, environment, pace=CAREFUL)


def tags(world: World) -> list[str]:
    found: list[str] = world.deployer.get_project(KEY).get_settings().get_raw()["tags"]
    return found


def claim(world: World, **changes: object) -> None:
    """Writes the claim of a process on another agent."""
    values = {
        "infra": INFRA,
        "token": "abc",
        "place": "elsewhere:1",
        "owner": "process 7 on agent-7",
        "build": "churn #7",
        "until": int(time.time()) + 60,
    }
    settings = world.deployer.get_project(KEY).get_settings()
    settings.get_raw()["tags"] = ["of the team", Claim(**{**values, **changes}).tag]  # type: ignore[arg-type]
    settings.save()


@pytest.mark.parametrize("round_", range(3))
def test_of_two_releases_at_once_one_wins_and_the_other_changes_nothing(
    world: World, tmp_path: Path, round_: int
) -> None:
    since = int(time.time() * 1000) - 1
    both = [released(world, tmp_path, name) for name in ("one", "two")]
    codes = sorted(child.wait() for child in both)
    said = "\n".join(child.said for child in both)
    assert codes in ([0, 3], [0, 0]), said  # 0 twice when one had ended before the other looked
    assert codes == [0, 0] or "is at work on auto-prod" in said
    assert Counter(update["bundleId"] for update in world.updates(since)) == {NEW: 1}
    assert len(world.smoke_runs(since)) == 1
    assert (world.active, world.health) == (NEW, "HEALTHY")
    assert tags(world) == []


def test_a_release_in_the_middle_of_another_one_stops_with_one_line_and_changes_nothing(
    world: World, tmp_path: Path
) -> None:
    fault = Fault(kind="never", operation="POST /projects/*/scenarios/*/run", by="clients", act="before")
    held = world.sandbox.nodes[INFRA].faults.add(fault)
    first = released(world, tmp_path, "one")
    until(lambda: held.fired > 0)
    second = released(world, tmp_path, "two")
    assert second.wait() == 3
    assert "process" in second.said
    assert "one #1 (process" in second.said
    assert "is at work on auto-prod" in second.said
    assert "mlops-steps recover --stage prod" in second.said
    world.sandbox.nodes[INFRA].faults.clear()
    assert first.wait() in (0, 4)
    assert tags(world) == []


@pytest.mark.parametrize("job", ["team/churn/feature%2F" + 40 * "long-", "two  blanks", "broken \udcff"])
def test_whatever_the_job_is_called_others_are_locked_out(world: World, tmp_path: Path, job: str) -> None:
    fault = Fault(kind="never", operation="POST /projects/*/scenarios/*/run", by="clients", act="before")
    held = world.sandbox.nodes[INFRA].faults.add(fault)
    first = released(world, tmp_path, "one", JOB_NAME=job)
    until(lambda: held.fired > 0)
    second = released(world, tmp_path, "two")
    assert second.wait() == 3, second.said
    assert "is at work on auto-prod" in second.said
    world.sandbox.nodes[INFRA].faults.clear()
    assert first.wait() in (0, 4), first.said
    assert "not locked out" not in first.said
    assert tags(world) == []


def test_the_claim_of_another_agent_stops_a_release_before_any_change(world: World, tmp_path: Path) -> None:
    claim(world)
    child = released(world, tmp_path, "one")
    assert child.wait() == 3
    assert "churn #7" in child.said
    assert (world.active, world.health, world.deployed["bundleId"]) == (OLD, "HEALTHY", OLD)


def test_what_a_dead_process_has_left_does_not_stop_anybody_for_ever(world: World, tmp_path: Path) -> None:
    claim(world, until=int(time.time()) - 1)
    child = released(world, tmp_path, "one")
    assert child.wait() == 0, child.said
    assert tags(world) == ["of the team"]


def test_recover_waits_for_the_other_process_and_then_takes_over(world: World, tmp_path: Path) -> None:
    settings = world.deployer.get_deployment(DEPLOYMENT).get_settings()
    settings.bundle_id = NEW
    settings.save()
    claim(world)
    world.configured({**PATIENT, "release": {"rollback_timeout": "6s"}})
    start = time.monotonic()
    child = released(world, tmp_path, "one", "recover", "own.yml")
    assert child.wait() == 0, child.said
    assert time.monotonic() - start >= 6, "release.rollback_timeout"
    assert "taking over" in child.said
    assert (world.health, world.deployed["bundleId"]) == ("HEALTHY", world.active)
    assert tags(world) == ["of the team"]


def test_recover_does_not_wait_for_a_process_of_its_own_build(world: World, tmp_path: Path) -> None:
    claim(world, build="one #1")
    child = released(world, tmp_path, "one", "recover")
    assert child.wait() == 0, child.said
    assert "is at work" not in child.said


def test_a_process_whose_stage_was_taken_over_changes_nothing_any_more(world: World, tmp_path: Path) -> None:
    fault = Fault(kind="never", operation="PUT /project-deployer/deployments/*/settings", by="clients", act="before")
    held = world.sandbox.design.faults.add(fault)
    since = int(time.time() * 1000) - 1
    child = released(world, tmp_path, "one", config="steady.yml")
    until(lambda: held.fired > 0)
    claim(world)
    assert child.wait() in (1, 5), child.said
    assert "has taken over auto-prod" in child.said
    assert not world.updates(since)
    assert world.active == OLD


@pytest.mark.parametrize("status", [403, 404, 500])
def test_a_deployer_that_keeps_no_notes_is_warned_of(world: World, tmp_path: Path, status: int) -> None:
    operation = "PUT /project-deployer/projects/*/settings"
    world.sandbox.design.faults.add("error", status=status, operation=operation, count="for ever")
    child = released(world, tmp_path, "one")
    assert child.wait() == 0, child.said
    assert "releases from other agents are not locked out" in child.said
    record = json.loads((tmp_path / "one" / ".mlops" / "release.json").read_text())
    assert not pending(record, STAGE)
