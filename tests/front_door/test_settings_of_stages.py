"""Remapping, local variables, active scenarios and triggers: from mlops.yml, and back with the bundle."""

from __future__ import annotations

from typing import Any

import pytest

from tests.front_door.conftest import Workspace

STRATEGIES = ["deployer", "direct"]


def configure(workspace: Workspace, strategy: str, **prod: Any) -> None:
    direct = {"strategy": "direct"} if strategy == "direct" else {}
    workspace.configure(nodes={"design": {}, "test": {}, "prod": {**direct, **prod}})


def on_node(workspace: Workspace) -> dict[str, Any]:
    """What the project has on production besides its bundle, without the note."""
    project = workspace.client("auto-prod").get_project(workspace.project)
    raw = project.get_settings().get_raw()
    remapping = (raw.get("bundleContainerSettings") or {}).get("remapping") or {}
    local = project.get_variables()["local"]
    return {
        "connections": {one["source"]: one["target"] for one in remapping.get("connections") or []},
        "code_envs": {one["source"]: one["target"] for one in remapping.get("codeEnvs") or []},
        "variables": {name: value for name, value in local.items() if name != "mlops_steps"},
        "scenarios": {one["id"]: one["active"] for one in project.list_scenarios()},
        "triggers": not raw.get("disableAutomaticTriggers", False),
    }


def set_by_hand(workspace: Workspace, **local: Any) -> None:
    project = workspace.client("auto-prod").get_project(workspace.project)
    variables = project.get_variables()
    variables["local"].update(local)
    project.set_variables(variables)


def design(workspace: Workspace) -> Any:
    return workspace.client("design").get_project(workspace.project)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_release_that_fails_restores_all_that_the_project_had_on_its_node(
    workspace: Workspace, strategy: str
) -> None:
    configure(workspace, strategy, variables={"budget": 10}, scenarios={"NIGHTLY": True})
    nightly = design(workspace).create_scenario("NIGHTLY", "step_based", {"params": {"steps": [], "triggers": []}})
    first = workspace.released(1)
    set_by_hand(workspace, stage="prod", hand="made")
    before = on_node(workspace)
    assert before["variables"] == {"budget": 10, "stage": "prod", "hand": "made"}
    assert before["scenarios"]["NIGHTLY"] is True
    assert before["triggers"] is True

    # The new bundle has no such scenario: with it goes whether it was active.
    nightly.delete()
    configure(
        workspace,
        strategy,
        variables={"budget": 20, "limit": {"a": [1]}},
        mapping={"connections": {"warehouse": "filesystem_managed"}, "code_envs": {"old": "new"}},
        triggers=False,
        scenarios={"TEST_ONE": True},
    )
    workspace.tested(2, smoke="fail")
    result = workspace.run("release", "--stage", "prod")
    assert result.code == 4, result.err
    assert workspace.live() == first
    assert on_node(workspace) == before
    said = result.case("release-prod", "settings").find("system-out").text or ""  # type: ignore[union-attr]
    assert "connection warehouse: - → filesystem_managed" in said
    assert "triggers: on → off" in said
    assert "variable budget: is set" in said
    assert "20" not in said


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_settings_that_change_reach_the_node_with_the_bundle_that_is_live(workspace: Workspace, strategy: str) -> None:
    configure(workspace, strategy, variables={"budget": 10})
    bundle = workspace.released(1)
    set_by_hand(workspace, hand="made")
    configure(
        workspace,
        strategy,
        variables={"budget": 20},
        mapping={"connections": {"warehouse": "filesystem_managed"}},
        triggers=False,
    )
    said = workspace.ok("release", "--stage", "prod").err
    assert "settings on auto-prod: triggers: on → off" in said
    found = on_node(workspace)
    assert workspace.live() == bundle
    assert found["variables"] == {"budget": 20, "hand": "made"}
    assert (found["connections"], found["triggers"]) == ({"warehouse": "filesystem_managed"}, False)
    assert "nothing to do" in workspace.ok("release", "--stage", "prod").err


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_rollback_on_purpose_takes_the_settings_along(workspace: Workspace, strategy: str) -> None:
    configure(workspace, strategy, variables={"budget": 10}, triggers=True)
    first = workspace.released(1)
    configure(workspace, strategy, variables={"budget": 20, "more": 1}, triggers=False)
    workspace.released(2)
    assert on_node(workspace)["variables"] == {"budget": 20, "more": 1}
    workspace.ok("rollback", "--stage", "prod")
    found = on_node(workspace)
    assert workspace.live() == first
    assert (found["variables"], found["triggers"]) == ({"budget": 10}, True)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_remapping_of_mlops_yml_satisfies_what_the_bundle_needs(workspace: Workspace, strategy: str) -> None:
    far = {"type": "Filesystem", "managed": True, "params": {"connection": "warehouse", "path": "far"}}
    design(workspace).create_dataset("far", "Filesystem", params=far["params"])
    configure(workspace, strategy)
    mapping = {"connections": {"warehouse": "filesystem_managed"}}
    nodes = {"design": {}, "test": {"mapping": mapping}, "prod": {"strategy": strategy}}
    workspace.configure(nodes=nodes)
    workspace.tested(1)
    refused = workspace.run("release", "--stage", "prod")
    assert refused.code == 1, refused.err
    assert "warehouse" in refused.err
    workspace.configure(nodes={**nodes, "prod": {"strategy": strategy, "mapping": mapping}})
    workspace.ok("compare", "--stage", "prod")
    workspace.ok("release", "--stage", "prod")
    assert workspace.live() == workspace.record["bundle"]["id"]


def test_a_variable_that_looks_like_a_secret_is_refused(workspace: Workspace) -> None:
    configure(workspace, "direct", variables={"db_password": "x"})
    result = workspace.run("status")
    assert result.code == 2
    assert "looks like a secret" in result.err
