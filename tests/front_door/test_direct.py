"""Stages of ``strategy: direct``: the archive is sent to the Automation node, preloaded and activated there."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from mlops_steps.sandbox.faults.model import Fault
from tests.faults.world import until
from tests.front_door.conftest import Workspace

NOTE = "mlops_steps"
DIRECT = {"design": {}, "test": {}, "prod": {"strategy": "direct"}}


@pytest.fixture
def direct(workspace: Workspace) -> Iterator[Workspace]:
    """A workspace whose stage prod has no deployer."""
    workspace.configure(nodes=DIRECT)
    yield workspace
    workspace.sandbox.nodes["auto-prod"].faults.clear()


def note(workspace: Workspace) -> dict[str, Any]:
    found = workspace.client("auto-prod").get_project(workspace.project).get_variables()["local"].get(NOTE) or {}
    return dict(found)


def set_local(workspace: Workspace, **values: Any) -> None:
    project = workspace.client("auto-prod").get_project(workspace.project)
    variables = project.get_variables()
    variables["local"].update(values)
    project.set_variables(variables)


def deployed_to(workspace: Workspace) -> list[str]:
    items = workspace.client("design").get_projectdeployer().list_deployments(as_objects=False)
    infos = [item["deploymentBasicInfo"] for item in items]
    return [info["infraId"] for info in infos if info["publishedProjectKey"] == workspace.project]


def test_a_bundle_goes_to_production_and_back_without_a_deployer(direct: Workspace) -> None:
    first = direct.released(1)
    assert direct.live() == first
    assert [(one["bundle"], one["done"]) for one in note(direct)["made_live"]] == [(first, True)]
    assert "claims" not in note(direct)

    second = direct.released(2)
    assert direct.live() == second
    assert "live, healthy and smoke-tested already" in direct.ok("release", "--stage", "prod").err
    assert deployed_to(direct) == ["auto-test"]
    assert direct.record["stages"]["prod"]["units"]["auto-prod"]["phase"] == "live"

    rows = {row["stage"]: row for row in json.loads(direct.ok("status", "--json").out)}
    assert (rows["prod"]["bundle"], rows["prod"]["health"]) == (second, "HEALTHY")
    assert rows["prod"]["since"]
    assert rows["prod"]["tested"] == "passed on test"
    assert "2 imported" in direct.ok("doctor").err
    assert "SUCCESS" in direct.ok("smoke-test", "--stage", "prod").err
    assert "nothing is pending" in direct.ok("recover", "--stage", "prod").err

    said = direct.ok("rollback", "--stage", "prod").err
    assert f"bundle {first}" in said
    assert direct.live() == first
    assert "nothing to do" in direct.ok("rollback", "--stage", "prod", "--to", first).err


def test_no_stage_needs_the_deployer(workspace: Workspace) -> None:
    stage = {"strategy": "direct"}
    workspace.configure(nodes={"design": {}, "test": stage, "prod": stage})
    first = workspace.released(1)
    assert (workspace.live("auto-test"), workspace.live()) == (first, first)
    published = workspace.client("design").get_projectdeployer().list_projects(as_objects=False)
    assert workspace.project not in [one["projectBasicInfo"]["id"] for one in published]
    assert workspace.ok("package", BUILD_NUMBER="9").case("package", "publish").find("skipped") is not None
    second = workspace.released(2)
    workspace.ok("diff")
    assert second in workspace.ok("history").out
    workspace.ok("rollback", "--stage", "prod")
    assert workspace.live() == first


def test_a_release_whose_smoke_test_fails_activates_again_what_was_active(direct: Workspace) -> None:
    first = direct.released(1)
    set_local(direct, stage="prod")
    second = direct.tested(2, smoke="fail")
    result = direct.run("release", "--stage", "prod")
    assert result.code == 4, result.err
    assert direct.live() == first
    assert result.case("release-prod", "smoke-test after rollback").find("failure") is None
    entries = [one["bundle"] for one in note(direct)["made_live"]]
    assert entries == [first, second, first]
    assert direct.client("auto-prod").get_project(direct.project).get_variables()["local"]["stage"] == "prod"


def test_a_first_release_that_fails_is_taken_out_of_service(direct: Workspace) -> None:
    # The variable travels in the bundle here: there is no project on the node to have it.
    direct.configure(nodes=DIRECT, test={"scenarios": ["TEST_ONE"], "marked": False})
    direct.tested(1, smoke="fail", stage="prod")
    result = direct.run("release", "--stage", "prod")
    assert result.code == 4, result.err
    project = direct.client("auto-prod").get_project(direct.project)
    assert project.get_settings().get_raw()["disableAutomaticTriggers"] is True
    assert note(direct)["taken_back"] is True
    assert "UNKNOWN" in direct.ok("status").out
    second = direct.released(2)
    assert direct.live() == second
    assert project.get_settings().get_raw()["disableAutomaticTriggers"] is False
    assert "taken_back" not in note(direct)


@pytest.mark.parametrize(
    ("kind", "definition", "name"),
    [
        ("datasets", {"type": "PostgreSQL", "params": {"connection": "warehouse"}}, "connection warehouse"),
        (
            "recipes",
            {"type": "python", "params": {"envSelection": {"envMode": "EXPLICIT_ENV", "envName": "py39"}}},
            "code environment py39",
        ),
        ("datasets", {"type": "fsprovider_geo_shapes", "params": {}}, "plugin geo"),
    ],
)
def test_what_the_node_lacks_is_a_test_case_by_name(
    direct: Workspace, kind: str, definition: dict[str, Any], name: str
) -> None:
    direct.configure(nodes=DIRECT, compare={"at_release": "off"})
    first = direct.released(1)
    config = direct.sandbox.nodes["design"].project_dir(direct.project) / "project_config" / kind
    config.mkdir(exist_ok=True)
    (config / "far.json").write_text(json.dumps({"name": "far", "inputs": {}, "outputs": {}, **definition}))
    direct.variables()
    direct.ok("package", BUILD_NUMBER="2")
    result = direct.run("deploy", "--stage", "prod")
    assert result.code == 1, result.err
    assert direct.live() == first
    assert name in result.case("deploy-prod", name).find("failure").get("message")  # type: ignore[union-attr]
    assert name in result.err
    assert first in result.err


def test_what_somebody_else_activates_meanwhile_is_not_overwritten(direct: Workspace) -> None:
    first = direct.released(1)
    second = direct.tested(2)
    direct.ok("deploy", "--stage", "prod")
    assert direct.live() == second
    direct.tested(3)
    held = direct.sandbox.nodes["auto-prod"].faults.add(
        Fault(kind="never", operation="preload bundle", by="clients", count=1, act="before")
    )
    process = direct.start("release", "--stage", "prod")
    until(lambda: held.fired > 0)
    direct.client("auto-prod").get_project(direct.project).activate_bundle(first)
    direct.sandbox.nodes["auto-prod"].faults.clear()
    result = direct.finish(process)
    assert result.code == 5, result.err
    assert f"somebody else has set project {direct.project} on auto-prod to bundle {first}" in result.err
    assert direct.live() == first


def test_two_releases_from_different_places_do_not_mix(direct: Workspace) -> None:
    direct.released(1)
    direct.tested(2)
    claim = f"mlops-steps|auto-prod|abc|elsewhere:1:2|process 1 on elsewhere|job #7|{2**31}"
    set_local(direct, **{NOTE: {**note(direct), "claims": [claim]}})
    result = direct.run("release", "--stage", "prod")
    assert result.code == 3, result.err
    assert "job #7 (process 1 on elsewhere) is at work on auto-prod" in result.err
