"""compare: each kind of need that a node lacks is found, and none that it has."""

from __future__ import annotations

from typing import Any

import pytest

from mlops_steps.sandbox.node.store import write_json
from mlops_steps.sandbox.services.admin.routes import save_channels, save_code_envs, save_connections, save_plugins
from mlops_steps.sandbox.services.projects.model import ACTIVE_FILE
from tests.front_door.conftest import Result, Workspace

SCRIPT = """
import dataiku
BUDGET = "budget"
variables = dataiku.get_custom_variables(typed=True)
print(variables["own"], variables[BUDGET], variables.get("color", "red"), variables.get("size"))
print(variables["sha" + "pe"])
"""
#: The cases of what the project below needs, which the plain sandbox has not.
NEEDS = (
    "connection warehouse",
    "code environment churn-39 (PYTHON)",
    "plugin geo",
    "channel ops-mail",
    "variable budget",
    "variable region",
    "project UPSTREAM",
)


@pytest.fixture
def needy(workspace: Workspace) -> Workspace:
    """A workspace whose project needs one thing of each kind, packaged."""
    design, project = workspace.sandbox.design, workspace.project
    config = design.project_dir(project) / "project_config"
    write_json(
        config / "datasets" / "sales.json",
        {"type": "PostgreSQL", "params": {"connection": "warehouse", "table": "sales_${region}_${projectKey}"}},
    )
    write_json(
        config / "recipes" / "locate.json",
        {
            "type": "CustomCode_geo-locate",
            "params": {"envSelection": {"envMode": "EXPLICIT_ENV", "envName": "churn-39"}},
            "inputs": {"main": {"items": [{"ref": "UPSTREAM.places"}]}},
            "outputs": {"main": {"items": [{"ref": "sales"}]}},
        },
    )
    write_json(
        config / "scenarios" / "NIGHTLY.json",
        {
            "type": "step_based",
            "name": "Nightly",
            "active": False,
            "params": {
                "steps": [
                    {"id": "m", "type": "runnable", "params": {"runnableType": "pyrunnable_geo_refresh"}},
                    {"id": "s", "type": "custom_python", "name": "load", "params": {"script": SCRIPT}},
                ]
            },
            "triggers": [],
            "reporters": [
                {"messaging": {"type": "mail-scenario", "configuration": {"channelId": "ops-mail"}}},
                {"active": False, "messaging": {"configuration": {"channelId": "unused"}}},
            ],
        },
    )
    workspace.variables(own="1")
    workspace.ok("package", BUILD_NUMBER="1")
    return workspace


def outcomes(result: Result, report: str = "compare-prod") -> dict[str, str]:
    """The cases with how they ended: ``passed``, ``failure``, ``skipped``, or ``warning``."""
    found = {}
    for case in result.report(report).iter("testcase"):
        said = case.findtext("system-out") or ""
        child = next((child.tag for child in case if child.tag in ("failure", "error", "skipped")), None)
        found[str(case.get("name"))] = child or ("warning" if said.startswith("warning:") else "passed")
    return found


def equip(workspace: Workspace, node: str, **left_out: Any) -> None:
    """Gives a node all that the needy project needs, but what is left out."""
    found = workspace.sandbox.nodes[node]
    connections = {} if "connection" in left_out else {"warehouse": {"name": "warehouse", "type": "PostgreSQL"}}
    save_connections(found, {"filesystem_managed": {"type": "Filesystem"}, **connections})
    environments = [] if "code_env" in left_out else [{"envLang": "PYTHON", "envName": "churn-39"}]
    save_code_envs(found, environments)
    save_plugins(found, [] if "plugin" in left_out else [{"id": "geo", "version": "1.0"}])
    save_channels(found, [] if "channel" in left_out else [{"id": "ops-mail", "type": "smtp", "family": "mail"}])
    client = workspace.client(node)
    variables = client.get_global_variables()
    variables.clear()
    variables.update({} if "variable" in left_out else {"budget": 5, "region": "eu"})
    variables.save()
    if "project" not in left_out and "UPSTREAM" not in client.list_project_keys():
        client.create_project("UPSTREAM", "Upstream", "admin")
        write_json(found.project_dir("UPSTREAM") / ACTIVE_FILE, {"bundleId": "v1"})


@pytest.fixture(autouse=True)
def _as_it_was(steps_sandbox: Any) -> Any:
    """The nodes are those of all tests of this process: what they were given is taken back."""
    kept = {name: node for name, node in steps_sandbox.nodes.items() if name in ("auto-prod", "auto-test")}
    before = {name: node.connections() for name, node in kept.items()}
    yield
    for name, node in kept.items():
        save_connections(node, before[name])
        save_code_envs(node, [])
        save_plugins(node, [])
        save_channels(node, [])
        (node.config_dir / "variables.json").write_text("{}")


def test_each_kind_of_need_that_is_missing_is_found(needy: Workspace) -> None:
    result = needy.run("compare", "--stage", "prod")
    found = outcomes(result)
    assert result.code == 1, result.err
    assert {name for name, outcome in found.items() if outcome == "failure"} == set(NEEDS)
    assert found["DSS version"] == "passed"
    assert found["variable size"] == "warning"
    assert found["undecided scenario NIGHTLY, load"] == "warning"
    assert not {"variable color", "variable own", "channel unused"} & set(found)
    assert "node 'prod'" in result.err
    assert "has no connection warehouse" in result.err
    assert "needed by dataset sales" in result.err
    assert "prod is untouched" in result.err
    assert needy.live() is None


def test_what_the_node_has_is_not_reported_missing(needy: Workspace) -> None:
    equip(needy, "auto-prod")
    result = needy.ok("compare", "--stage", "prod")
    found = outcomes(result)
    assert {found[name] for name in NEEDS} == {"passed"}


@pytest.mark.parametrize(
    ("left_out", "name"),
    [
        ("connection", "connection warehouse"),
        ("code_env", "code environment churn-39 (PYTHON)"),
        ("plugin", "plugin geo"),
        ("channel", "channel ops-mail"),
    ],
)
def test_only_what_is_missing_fails(needy: Workspace, left_out: str, name: str) -> None:
    equip(needy, "auto-prod", **{left_out: True})
    result = needy.run("compare", "--stage", "prod")
    assert result.code == 1
    assert {name for name, outcome in outcomes(result).items() if outcome == "failure"} == {name}


def test_with_another_stage_differences_are_warnings(needy: Workspace) -> None:
    equip(needy, "auto-prod")
    result = needy.ok("compare", "--stage", "prod", "--with", "test")
    found = outcomes(result)
    assert found["same connections as test"] == "warning"
    assert "warehouse: only here" in (
        result.case("compare-prod", "same connections as test").findtext("system-out") or ""
    )
    equip(needy, "auto-test")
    again = outcomes(needy.ok("compare", "--stage", "prod", "--with", "test"))
    assert {outcome for name, outcome in again.items() if name.startswith("same ")} == {"passed"}
    assert needy.run("compare", "--stage", "prod", "--with", "prod").code == 2
    assert needy.run("compare", "--stage", "prod", "--with", "tset").code == 2


def test_severities_and_exceptions(needy: Workspace) -> None:
    needy.configure(
        compare={
            "severity": {"connection": "warning", "plugin": "off", "code-environment": "off"},
            "exceptions": [
                {"need": "variable *", "reason": "set by the operators in the night"},
                {"need": "channel ops-mail", "reason": "the channel comes with the next upgrade"},
                {"need": "project UPSTREAM", "reason": "it is released in the same night"},
            ],
        }
    )
    result = needy.ok("compare", "--stage", "prod")
    found = outcomes(result)
    assert found["connection warehouse"] == "warning"
    assert {found[name] for name in NEEDS if not name.startswith("connection")} == {"skipped"}
    assert "set by the operators" in str(result.case("compare-prod", "variable budget").find("skipped").attrib)


def test_an_unknown_kind_is_a_mistake_in_the_configuration(needy: Workspace) -> None:
    needy.configure(compare={"severity": {"conection": "off"}})
    result = needy.run("compare", "--stage", "prod")
    assert result.code == 2
    assert "compare.severity" in result.err


def test_what_the_key_may_not_see_is_skipped_with_the_reason(needy: Workspace) -> None:
    equip(needy, "auto-prod", variable=True)
    faults = needy.sandbox.nodes["auto-prod"].faults
    try:
        for path in ("/admin/code-envs", "/admin/variables"):
            faults.add("error", status=403, operation=f"GET {path}")
        result = needy.ok("compare", "--stage", "prod")
    finally:
        faults.clear()
    found = outcomes(result)
    assert found["code environment churn-39 (PYTHON)"] == found["variable budget"] == "skipped"
    assert "this key may not list the global variables" in result.err


def test_a_node_that_is_down_ends_with_3(needy: Workspace) -> None:
    faults = needy.sandbox.nodes["auto-prod"].faults
    try:
        faults.add("error", status=503, count="for ever")
        assert needy.run("compare", "--stage", "prod").code == 3
    finally:
        faults.clear()


def test_without_a_bundle_it_says_what_to_do(workspace: Workspace) -> None:
    result = workspace.run("compare", "--stage", "prod")
    assert result.code == 1
    assert "run `mlops-steps package` first" in result.err


def test_another_published_bundle_can_be_compared(needy: Workspace) -> None:
    bundle = needy.record["bundle"]["id"]
    (needy.folder / ".mlops" / "release.json").unlink()
    result = needy.run("compare", "--stage", "prod", "--bundle", bundle)
    assert result.code == 1
    assert outcomes(result)["connection warehouse"] == "failure"
    assert not list((needy.folder / ".mlops").glob("bundle-*"))
