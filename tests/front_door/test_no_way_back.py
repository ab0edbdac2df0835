"""What a rollback does not undo: in the plan, with consent, and saved by a snapshot scenario before."""

from __future__ import annotations

import json
from typing import Any

from tests.front_door.conftest import Workspace

RUN = "import dataiku\nprint('saving', dataiku.get_custom_variables().get('snapshot', 'pass'))\n"
SNAPSHOT = RUN + "if dataiku.get_custom_variables().get('snapshot') == 'fail':\n    raise RuntimeError('no room')\n"


def design(workspace: Workspace) -> Any:
    return workspace.client("design").get_project(workspace.project)


def dataset(workspace: Workspace, name: str, **columns: str) -> None:
    project = design(workspace)
    if name not in [one["name"] for one in project.list_datasets()]:
        params = {"connection": "filesystem_managed", "path": name}
        project.create_dataset(name, "Filesystem", params=params)
    listed = [{"name": column, "type": kind} for column, kind in columns.items()]
    project.get_dataset(name).set_schema({"columns": listed, "userModified": True})


def scenario(workspace: Workspace, name: str, *steps: dict[str, Any], active: bool = False) -> None:
    definition = {"params": {"steps": list(steps), "triggers": []}, "active": active}
    design(workspace).create_scenario(name, "step_based", definition)


def code(script: str) -> dict[str, Any]:
    return {"id": "s1", "name": "run", "type": "custom_python", "params": {"script": script}}


def build(item: str, job: str) -> dict[str, Any]:
    params = {"builds": [{"type": "DATASET", "itemId": item}], "jobType": job}
    return {"id": "s2", "name": "build", "type": "build_flowitem", "params": params}


def test_the_plan_says_what_a_rollback_does_not_undo(workspace: Workspace) -> None:
    workspace.configure(
        nodes={"design": {}, "test": {}, "prod": {"scenarios": {"NIGHTLY": True, "WEEKLY": False}}},
        release={"no_way_back": "consent"},
    )
    dataset(workspace, "orders", id="string", amount="double")
    dataset(workspace, "totals", id="string")
    scenario(workspace, "NIGHTLY", build("totals", "NON_RECURSIVE_FORCED_BUILD"))
    scenario(workspace, "WEEKLY", build("orders", "NON_RECURSIVE_FORCED_BUILD"))
    workspace.tested(1)
    plan = workspace.folder / "plan.json"
    workspace.ok("plan", "--stage", "prod", "--out", str(plan))
    workspace.ok("release", "--stage", "prod", "--plan", str(plan))

    dataset(workspace, "orders", id="bigint", total="double")
    workspace.tested(2)
    refused = workspace.run("release", "--stage", "prod")
    assert refused.code == 1, refused.err
    assert "asks for consent to what a rollback does not undo; prod is untouched" in refused.err

    said = workspace.ok("plan", "--stage", "prod", "--out", str(plan)).out
    schema = "column amount is gone, column total is new, column id: string → bigint"
    assert f"not undone by a restore: dataset orders: its schema changes ({schema})" in said
    assert "not undone by a restore: dataset totals: is built again by scenario NIGHTLY (it is active)" in said
    assert "scenario WEEKLY" not in said
    assert len(json.loads(plan.read_text())["consequences"]["no_way_back"]) == 2
    workspace.ok("release", "--stage", "prod", "--plan", str(plan))
    assert workspace.live() == workspace.record["bundle"]["id"]


def test_a_snapshot_scenario_runs_before_the_first_change_or_nothing_is_changed(workspace: Workspace) -> None:
    workspace.configure(release={"snapshot_scenario": "SNAPSHOT"})
    scenario(workspace, "SNAPSHOT", code(SNAPSHOT))
    first = workspace.released(1)
    second = workspace.released(2)
    runs = workspace.runs("auto-prod", "SNAPSHOT")
    assert [run.get("bundleId", first) for run in runs] == [first]
    assert workspace.live() == second

    project = workspace.client("auto-prod").get_project(workspace.project)
    variables = project.get_variables()
    variables["local"]["snapshot"] = "fail"
    project.set_variables(variables)
    workspace.tested(3)
    result = workspace.run("release", "--stage", "prod")
    assert result.code == 1, result.err
    assert "snapshot scenario SNAPSHOT on auto-prod: FAILED" in result.err
    assert "prod is untouched" in result.err
    assert result.case("release-prod", "snapshot").find("failure") is not None
    assert workspace.live() == second
    assert "a restore is pending" not in result.err
