"""compare without a stage: what would fail on each stage, from the archive alone; rights, versions and states too."""

from __future__ import annotations

import io
import json
import time
import zipfile
from collections.abc import Iterator
from typing import Any

import dataikuapi
import pytest

from mlops_steps.sandbox.node.store import write_json
from mlops_steps.sandbox.services.admin.routes import save_code_envs, save_connections, save_plugins
from mlops_steps.sandbox.services.projects.model import ACTIVE_FILE
from mlops_steps.sandbox.site import Sandbox
from tests.front_door.conftest import Result, Workspace, create_project

#: What is asked of the node beyond that a thing is there, with what makes it fail.
FURTHER = (
    "connection warehouse: type",
    "connection warehouse: use",
    "connection warehouse: writing",
    "connection warehouse: managed datasets",
    "connection warehouse: managed folders",
    "code environment churn-39 (PYTHON): Python",
    "plugin geo: version",
    "project UPSTREAM2: active bundle",
)


def install_plugin(client: dataikuapi.DSSClient, version: str) -> None:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("plugin.json", json.dumps({"id": "geo", "version": version}))
    client.install_plugin_from_archive(io.BytesIO(archive.getvalue()))


def create_code_env(client: dataikuapi.DSSClient, interpreter: str) -> None:
    if any(one["envName"] == "churn-39" for one in client.list_code_envs()):
        client.get_code_env("PYTHON", "churn-39").delete()
    client.create_code_env("PYTHON", "churn-39", "DESIGN_MANAGED", {"pythonInterpreter": interpreter})


def equip(workspace: Workspace, node: str, **connection: Any) -> None:
    """Gives a node all that is needed; ``connection`` are other settings of the connection."""
    found, client = workspace.sandbox.nodes[node], workspace.client(node)
    warehouse = {"name": "warehouse", "type": "PostgreSQL", "allowWrite": True, **connection}
    save_connections(found, {"filesystem_managed": {"type": "Filesystem"}, "warehouse": warehouse})
    create_code_env(client, "PYTHON39")
    install_plugin(client, "2.1.0")
    if found.type == "AUTOMATION":
        if "UPSTREAM2" not in client.list_project_keys():
            client.create_project("UPSTREAM2", "Upstream", "admin")
        write_json(found.project_dir("UPSTREAM2") / ACTIVE_FILE, {"bundleId": "v1"})


@pytest.fixture(scope="module")
def needy(steps_sandbox: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    """A workspace whose project needs a bit of everything, packaged on a node that has it all."""
    before = {name: steps_sandbox.nodes[name].connections() for name in ("design", "auto-test", "auto-prod")}
    create_project(steps_sandbox, "FORECAST")
    workspace = Workspace(tmp_path_factory.mktemp("forecast"), steps_sandbox, "FORECAST")
    config = steps_sandbox.design.project_dir("FORECAST") / "project_config"
    stored = {"params": {"connection": "warehouse"}}
    write_json(config / "datasets" / "sales.json", {"type": "PostgreSQL", "managed": True, **stored})
    write_json(config / "datasets" / "exported.json", {"type": "PostgreSQL", "managed": False, **stored})
    write_json(config / "datasets" / "read.json", {"type": "PostgreSQL", "managed": False, **stored})
    write_json(config / "managed_folders" / "f1.json", {"type": "PostgreSQL", "name": "files", **stored})
    selection = {"envSelection": {"envMode": "EXPLICIT_ENV", "envName": "churn-39"}}
    write_json(
        config / "recipes" / "locate.json",
        {
            "type": "CustomCode_geo-locate",
            "params": selection,
            "inputs": {"main": {"items": [{"ref": "UPSTREAM2.places"}, {"ref": "read"}]}},
            "outputs": {"main": {"items": [{"ref": "exported"}]}},
        },
    )
    for name in before:
        equip(workspace, name)
    workspace.ok("package", BUILD_NUMBER="1")
    yield workspace
    for name, connections in before.items():
        node = steps_sandbox.nodes[name]
        save_connections(node, connections)
        save_code_envs(node, [])
        save_plugins(node, [])


@pytest.fixture(autouse=True)
def _equipped(needy: Workspace) -> None:
    for name in ("auto-test", "auto-prod"):
        equip(needy, name)


def outcomes(result: Result, stage: str) -> dict[str, str]:
    found = {}
    for case in result.report("compare").iter("testcase"):
        if case.get("classname") == f"FORECAST.compare.{stage}":
            said = case.findtext("system-out") or ""
            child = next((child.tag for child in case if child.tag in ("failure", "error", "skipped")), None)
            found[str(case.get("name"))] = child or ("warning" if said.startswith("warning:") else "passed")
    # The smoke test of the tiny project reads it with .get().
    assert found.pop("variable stage", "warning") == "warning"
    return found


def test_what_is_there_is_not_reported_missing_on_any_stage(needy: Workspace) -> None:
    result = needy.ok("compare")
    for stage in ("test", "prod"):
        found = outcomes(result, stage)
        assert set(found.values()) == {"passed"}, found
        assert set(FURTHER) <= set(found)
    assert needy.live() is None
    assert needy.live("auto-test") is None


def test_each_kind_is_found_on_the_stage_that_lacks_it(needy: Workspace) -> None:
    denied = {"allowWrite": False, "allowManagedDatasets": False, "allowManagedFolders": False}
    equip(needy, "auto-prod", type="Oracle", usableBy="ALLOWED", allowedGroups=["analysts"], **denied)
    client = needy.client("auto-prod")
    create_code_env(client, "PYTHON36")
    install_plugin(client, "1.9.5")
    (needy.sandbox.nodes["auto-prod"].project_dir("UPSTREAM2") / ACTIVE_FILE).unlink()
    result = needy.run("compare")
    assert result.code == 1
    prod = outcomes(result, "prod")
    assert {name for name, outcome in prod.items() if outcome == "failure"} == set(FURTHER)
    assert set(outcomes(result, "test").values()) == {"passed"}
    for said in (
        "is of type Oracle, the bundle was made with PostgreSQL",
        "may be used by analysts only, and the user of this key is in ",
        "does not allow writing",
        "needed by dataset exported",
        "does not allow managed datasets",
        "does not allow managed folders",
        "has PYTHON36, the bundle was made with PYTHON39",
        "is 1.9.5, the bundle was made with the newer 2.1.0",
        "no bundle of project UPSTREAM2, whose objects are used, is active on node 'prod'",
    ):
        assert said in result.err
    # The same, of one stage.
    assert needy.run("compare", "--stage", "prod").code == 1
    needy.ok("compare", "--stage", "test")


def test_an_older_minor_version_of_a_plugin_is_a_warning_and_a_newer_one_is_fine(needy: Workspace) -> None:
    install_plugin(needy.client("auto-prod"), "2.0.7")
    install_plugin(needy.client("auto-test"), "3.0")
    result = needy.ok("compare")
    assert outcomes(result, "prod")["plugin geo: version"] == "warning"
    assert outcomes(result, "test")["plugin geo: version"] == "passed"


def test_rights_that_the_key_may_not_see_are_skipped(needy: Workspace) -> None:
    faults = needy.sandbox.nodes["auto-prod"].faults
    try:
        faults.add("error", status=403, operation="GET /admin/connections")
        result = needy.ok("compare")
    finally:
        faults.clear()
    found = outcomes(result, "prod")
    assert (found["connection warehouse"], found["connection warehouse: rights"]) == ("passed", "skipped")
    assert "this key may not list the settings of the connections" in result.err


def test_a_stage_that_does_not_answer_does_not_hide_what_another_lacks(needy: Workspace) -> None:
    equip(needy, "auto-prod", type="Oracle")
    faults = needy.sandbox.nodes["auto-test"].faults
    try:
        faults.add("error", status=503, count="for ever")
        result = needy.run("compare")
    finally:
        faults.clear()
    assert result.code == 3
    assert outcomes(result, "test") == {"compare": "error"}
    assert outcomes(result, "prod")["connection warehouse: type"] == "failure"


def test_scenarios_that_are_replaced_are_named_with_those_that_are_active(workspace: Workspace) -> None:
    definition = {"params": {"steps": [], "triggers": [], "reporters": []}, "active": True}
    design = workspace.client("design").get_project(workspace.project)
    design.create_scenario("NIGHTLY", "step_based", definition)
    workspace.released(1)
    on_node = workspace.client("auto-prod").get_project(workspace.project)

    workspace.ok("package", BUILD_NUMBER="2")
    result = workspace.ok("compare", "--stage", "prod")
    case = result.case("compare-prod", "scenarios that are replaced")
    assert "replaced: NIGHTLY, TEST_ONE, TEST_SMOKE" in (case.findtext("system-out") or "").replace(" (active)", "")

    # Somebody has changed one on the node, and made another one there.
    time.sleep(0.01)  # later in milliseconds
    settings = on_node.get_scenario("NIGHTLY").get_settings()
    settings.active = True
    settings.save()
    on_node.create_scenario("LOCAL", "step_based", definition)
    result = workspace.ok("compare", "--stage", "prod")
    said = result.case("compare-prod", "scenarios that are replaced").findtext("system-out") or ""
    assert "changed there since, and replaced: NIGHTLY (active)" in said
    assert "not in the bundle, and removed: LOCAL (active)" in said

    workspace.configure(compare={"severity": {"scenario": "error"}})
    result = workspace.run("compare", "--stage", "prod")
    assert result.code == 1
    assert "are lost" in result.err
