"""`rollback_rehearsal`: the way back is proved on the stage before, with these very bundles."""

from __future__ import annotations

from typing import Any

import pytest

from tests.front_door.conftest import Workspace

STRATEGIES = ["deployer", "direct"]


def configure(workspace: Workspace, strategy: str, **test: Any) -> None:
    node = {"strategy": strategy, "rollback_rehearsal": True, **test}
    workspace.configure(nodes={"design": {}, "test": node, "prod": {"strategy": strategy}})


def smoked(workspace: Workspace) -> list[str]:
    """The bundles that were smoke-tested on the stage before, the oldest first."""
    runs = workspace.client("auto-test").get_project(workspace.project).get_scenario("TEST_SMOKE").get_last_runs(50)
    return [run.run["bundleId"] for run in sorted(runs, key=lambda run: run.run["start"])]


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_old_and_new_and_old_and_new_are_live_in_turn(workspace: Workspace, strategy: str) -> None:
    configure(workspace, strategy)
    first = workspace.released(1)
    assert workspace.record["stages"]["test"]["rehearsal"]["outcome"]["result"] == "skipped"
    before = len(smoked(workspace))
    workspace.ok("package", BUILD_NUMBER="2")
    second = workspace.record["bundle"]["id"]
    result = workspace.ok("deploy", "--stage", "test")
    assert f"rehearsed on test: from {second} back to {first}" in result.err
    assert workspace.live("auto-test") == second
    assert smoked(workspace)[before:] == [first, second, first, second]
    assert workspace.live() == first
    for name in ("rehearsal", "rehearsal: smoke-test of the new bundle again", "smoke-test after rollback", "deploy"):
        assert result.case("deploy-test", name).find("failure") is None
    assert "was rehearsed on test already" in workspace.ok("deploy", "--stage", "test").err
    workspace.ok("test", "--stage", "test")
    workspace.ok("release", "--stage", "prod")
    assert workspace.live() == second


def test_a_way_back_that_does_not_work_keeps_the_bundle_from_production(workspace: Workspace) -> None:
    configure(workspace, "deployer")
    # This bundle fails its smoke test where the local variable says so: on test, later.
    first = workspace.released(1, smoke="fail")
    project = workspace.client("auto-test").get_project(workspace.project)
    variables = project.get_variables()
    variables["local"]["stage"] = "prod"
    project.set_variables(variables)
    workspace.variables(smoke="pass")
    workspace.ok("package", BUILD_NUMBER="2")
    result = workspace.run("deploy", "--stage", "test")
    assert result.code == 1, result.err
    assert result.case("deploy-test", "rehearsal: smoke-test of the old bundle").find("failure") is not None
    configure(workspace, "deployer", rollback_rehearsal=False)
    workspace.ok("deploy", "--stage", "test")
    workspace.ok("test", "--stage", "test")
    configure(workspace, "deployer")
    refused = workspace.run("release", "--stage", "prod")
    assert refused.code == 1, refused.err
    assert "was not rehearsed on stage test; prod is untouched" in refused.err
    assert workspace.live() == first
