"""``monitor`` takes a release back that fails its probation, with the exit codes and guarantees of a rollback."""

from __future__ import annotations

import signal
import time
from contextlib import suppress
from typing import Any

import dataikuapi
import pytest
from dataikuapi.utils import DataikuException

from tests.front_door.api_workspace import ApiWorkspace, api
from tests.front_door.conftest import Result, Workspace

__all__ = ["api"]

LIMITS: dict[str, Any] = {"scenarios": {"names": ["TEST_ONE"], "warn": None, "act": 1}}
RELEASE = {"timeout": "60s", "smoke_timeout": "30s", "rollback_timeout": "60s"}


def on_probation(workspace: Workspace, probation: str = "2h", **release: Any) -> None:
    workspace.configure(monitor=LIMITS, release={**RELEASE, "probation": probation, **release})


def fail_in_production(workspace: Workspace) -> None:
    """The scenario TEST_ONE fails on production."""
    project = workspace.client("auto-prod").get_project(workspace.project)
    variables = project.get_variables()
    variables["local"] = {**variables["local"], "test": "fail"}
    project.set_variables(variables)
    project.get_scenario("TEST_ONE").run_and_wait(no_fail=True)


def monitor(workspace: Workspace, code: int, **environment: str) -> Result:
    result = workspace.run("monitor", "--stage", "prod", **environment)
    assert result.code == code, f"exit code {result.code}\n{result.out}\n{result.err}"
    return result


def test_a_release_that_fails_its_probation_is_taken_back(workspace: Workspace) -> None:
    on_probation(workspace)
    one, two = workspace.released(1), workspace.released(2)
    result = monitor(workspace, 0)
    assert f"{two} is on probation until" in result.err
    fail_in_production(workspace)
    result = monitor(workspace, 4)
    assert workspace.live() == one
    assert workspace.health() == "HEALTHY"
    assert "scenarios: 1 of 1 runs failed" in result.err
    assert f"live now: bundle {one} on auto-prod" in result.err
    assert result.case("monitor-prod", "rollback").find("failure") is None
    unit = workspace.record["stages"]["prod"]["units"]["auto-prod"]
    assert (unit["phase"], unit["version"]) == ("restored", two)
    refused = workspace.run("release", "--stage", "prod")
    assert refused.code == 1
    assert f"bundle {two} is quarantined" in refused.err
    assert "it failed its probation: scenarios: 1 of 1 runs failed" in refused.err
    # What a rollback has made live is not on probation: the failed scenario is a failed test, and no more.
    fail_in_production(workspace)
    result = monitor(workspace, 1)
    assert "no release is on probation" in result.err
    assert workspace.live() == one


def test_after_the_window_and_without_one_nothing_is_changed(workspace: Workspace) -> None:
    on_probation(workspace, "1s")
    workspace.released(1)
    two = workspace.released(2)
    time.sleep(1.1)
    fail_in_production(workspace)
    assert "no release is on probation" in monitor(workspace, 1).err
    workspace.configure(monitor=LIMITS)
    fail_in_production(workspace)
    assert "probation" not in monitor(workspace, 1).err
    on_probation(workspace, rollback="off")
    fail_in_production(workspace)
    assert "release.rollback is off, nothing was changed" in monitor(workspace, 1).err
    assert workspace.live() == two


def test_what_ran_before_the_release_is_not_held_against_it(workspace: Workspace) -> None:
    on_probation(workspace)
    workspace.released(1)
    fail_in_production(workspace)
    two = workspace.released(2)
    result = monitor(workspace, 1)
    assert "scenarios: 1 of 1 runs failed" in result.err
    assert f"{two} is on probation until" in result.err
    assert "nothing against it" in result.err
    assert workspace.live() == two


def test_the_first_release_has_nothing_to_go_back_to(workspace: Workspace) -> None:
    on_probation(workspace)
    one = workspace.released(1)
    fail_in_production(workspace)
    assert "neither the record nor the deployer's history names an earlier bundle" in monitor(workspace, 1).err
    assert workspace.live() == one


def stop(workspace: Workspace, operation: str, node: str, number: int) -> Result:
    """A look that goes back, and is sent a signal while the node has this request."""
    faults = workspace.sandbox.nodes[node].faults
    held = faults.add("late", operation=operation, act="before", seconds=3, count=1)
    try:
        process = workspace.start("monitor", "--stage", "prod")
        limit = time.monotonic() + 60
        while not held.fired:
            assert time.monotonic() < limit
            time.sleep(0.05)
        process.send_signal(number)
        return workspace.finish(process)
    finally:
        faults.clear()


@pytest.mark.parametrize("record", ["kept", "lost"])
@pytest.mark.parametrize(
    ("operation", "node"), [("start update", "design"), ("run scenario", "auto-prod")], ids=["update", "smoke test"]
)
def test_killed_while_it_goes_back_it_is_finished_by_recover(
    workspace: Workspace, operation: str, node: str, record: str
) -> None:
    on_probation(workspace)
    one, two = workspace.released(1), workspace.released(2)
    fail_in_production(workspace)
    stop(workspace, operation, node, signal.SIGKILL)
    assert workspace.record["stages"]["prod"]["units"]["auto-prod"]["phase"] == "restoring"
    assert "recover --stage prod" in monitor(workspace, 1).err
    if record == "kept":
        workspace.ok("recover", "--stage", "prod")
    else:
        # As on another agent. Before anything was made live, what is live is verified, and stays until the next look.
        (workspace.folder / ".mlops/release.json").unlink()
        workspace.ok("recover", "--stage", "prod")
        if operation == "start update":
            assert (workspace.live(), workspace.health()) == (two, "HEALTHY")
            fail_in_production(workspace)
            monitor(workspace, 4)
    assert (workspace.live(), workspace.health()) == (one, "HEALTHY")


def test_a_signal_does_not_stop_it_on_its_way_back(workspace: Workspace) -> None:
    on_probation(workspace)
    one, _two = workspace.released(1), workspace.released(2)
    fail_in_production(workspace)
    result = stop(workspace, "start update", "design", signal.SIGTERM)
    assert result.code in (4, 143), result.err
    assert "verified" in result.err
    assert (workspace.live(), workspace.health()) == (one, "HEALTHY")
    assert workspace.record["stages"]["prod"]["units"]["auto-prod"]["phase"] == "restored"


def test_two_monitors_at_once_go_back_once(workspace: Workspace) -> None:
    on_probation(workspace)
    one, _two = workspace.released(1), workspace.released(2)
    fail_in_production(workspace)
    first, second = (workspace.start("monitor", "--stage", "prod") for _ in range(2))
    codes = sorted((workspace.finish(first).code, workspace.finish(second).code))
    assert codes[1] == 4
    assert codes[0] in (1, 3)  # the stage is busy, or another bundle is live already
    assert workspace.live() == one


def test_a_version_of_a_service_on_probation(api: ApiWorkspace) -> None:
    limits = {"errors": {"act": 0.5, "calls": 10}}
    api.configure(monitor=limits, api={"release": {"tests": "off", "probation": "2h"}})
    for version in ("v1", "v2"):
        api.deployed(version)
        api.ok("api-release", "--stage", "prod")
    assert "v2 is on probation until" in monitor(api, 0).err
    for _ in range(12):
        node = dataikuapi.APINodeClient(api.sandbox.nodes["api-prod-1"].url, api.service)
        with suppress(DataikuException):
            node.predict_record("score", "nothing")
    result = monitor(api, 4)
    assert "version v2 was released, and has failed its probation: errors of the live version" in result.err
    assert set(map(tuple, api.serving("api-prod").values())) == {("v1",)}


def test_a_stage_without_a_deployer_is_looked_at_and_taken_back_too(workspace: Workspace) -> None:
    nodes = {"design": {}, "test": {}, "prod": {"strategy": "direct"}}
    workspace.configure(nodes=nodes, monitor=LIMITS, release={**RELEASE, "probation": "2h"})
    one, two = workspace.released(1), workspace.released(2)
    assert f"deployment: bundle {two}" in monitor(workspace, 0).err
    fail_in_production(workspace)
    monitor(workspace, 4)
    assert workspace.live() == one
    assert "no release is on probation" in monitor(workspace, 0).err
