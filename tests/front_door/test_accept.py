"""`accept`: what the steps assume of DSS is tried on the nodes, with a project of its own that is removed again."""

from __future__ import annotations

import json
import sys
from importlib import resources
from pathlib import Path

import dataikuapi
import yaml

from mlops_steps.acceptance.list import assumptions
from mlops_steps.acceptance.world import PREFIX, SERVICE_PREFIX
from mlops_steps.sandbox.site import Sandbox
from tests.front_door.conftest import Workspace, create_project
from tests.front_door.many import ManyWorkspace

API = {"service": "tiny", "stages": {"dev": {"infra": "api-dev"}, "prod": {"infra": "api-prod"}}}


def left(workspace: Workspace) -> list[str]:
    """Everything of `accept` that the nodes still have."""
    found = []
    for node in ("design", "auto-test", "auto-prod"):
        found += [f"{node}: {key}" for key in workspace.client(node).list_project_keys() if key.startswith(PREFIX)]
    deployer = workspace.client("design").get_projectdeployer()
    found += [item.id for item in deployer.list_projects() if str(item.id).startswith(PREFIX)]
    found += [item.id for item in deployer.list_deployments() if str(item.id).startswith(PREFIX)]
    services = workspace.client("design").get_apideployer()
    found += [item.id for item in services.list_services() if str(item.id).startswith(SERVICE_PREFIX)]
    found += [item.id for item in services.list_deployments() if str(item.id).startswith(SERVICE_PREFIX)]
    return [str(one) for one in found]


def test_all_assumptions_hold_and_nothing_is_left(workspace: Workspace) -> None:
    result = workspace.ok("accept", "--stage", "test")
    suite = result.report("accept-test")
    cases = {str(case.get("name")): case for case in suite.iter("testcase")}
    for assumption in assumptions():
        case = cases[assumption.name]
        assert not list(case.iter("failure")) + list(case.iter("error")) + list(case.iter("skipped")), assumption.name
        said = case.findtext("system-out") or ""
        assert assumption.sentence in said
        assert all(place in said for place in assumption.places)
    assert f"{len(assumptions())} of {len(assumptions())} assumptions hold on test" in result.err
    assert left(workspace) == []


def test_it_says_beforehand_what_it_makes_and_which_rights_it_needs(workspace: Workspace) -> None:
    said = workspace.ok("accept", "--stage", "test").err
    before = said[: said.index("holds")]
    key = before.split(PREFIX)[1].split(",")[0]
    for place in (f"project {PREFIX}{key}, two bundles", f"deployment {PREFIX}{key}-on-auto-test", "published project"):
        assert place in before
    assert "the keys need the right to create projects on the Design node" in before
    assert "accept --stage test --clean" in before


def test_the_release_stage_needs_a_yes(workspace: Workspace) -> None:
    result = workspace.run("accept", "--stage", "prod")
    assert result.code == 2
    assert "--yes" in result.err
    assert left(workspace) == []
    assert not (workspace.folder / "mlops-accepted.yml").exists()
    workspace.ok("accept", "--stage", "prod", "--yes")
    assert left(workspace) == []


def test_it_touches_no_other_project(workspace: Workspace) -> None:
    bundle = workspace.released(1)
    before = workspace.client("design").get_project(workspace.project).get_settings().get_raw()
    workspace.ok("accept", "--stage", "prod", "--yes")
    assert workspace.live() == bundle
    assert workspace.health() == "HEALTHY"
    assert workspace.client("design").get_project(workspace.project).get_settings().get_raw() == before


def test_clean_finds_what_was_left_and_nothing_else(workspace: Workspace) -> None:
    design = workspace.client("design")
    design.create_project(f"{PREFIX}0000AAAA", "left by a killed run", "admin")
    said = workspace.ok("accept", "--stage", "test", "--clean").err
    assert f"removed project {PREFIX}0000AAAA on design" in said
    assert left(workspace) == []
    assert workspace.project in design.list_project_keys()


def test_what_is_deployed_elsewhere_is_said_and_kept(workspace: Workspace) -> None:
    key = f"{PREFIX}0000BBBB"
    project = workspace.client("design").create_project(key, "left by a killed run", "admin")
    project.export_bundle("b1")
    project.publish_bundle("b1")
    workspace.client("design").get_projectdeployer().create_deployment(f"{key}-on-auto-prod", key, "auto-prod", "b1")
    result = workspace.run("accept", "--stage", "test", "--clean")
    assert result.code == 3
    assert "it is on auto-prod" in result.err
    assert len(left(workspace)) == 3
    workspace.ok("accept", "--stage", "prod", "--clean")
    assert left(workspace) == []


def test_doctor_mentions_a_version_that_was_never_accepted(workspace: Workspace) -> None:
    def said(stage: str) -> str:
        return workspace.ok("doctor").case("doctor", f"{stage} version").findtext("system-out") or ""

    assert "never accepted: run `mlops-steps accept --stage test`" in said("test")
    workspace.ok("accept", "--stage", "test")
    assert "never accepted" not in said("test")
    assert "; accepted 20" in said("test")
    assert "never accepted" in said("prod")
    path = workspace.folder / "mlops-accepted.yml"
    document = yaml.safe_load(path.read_text())
    path.write_text(path.read_text().replace(document["stages"]["test"]["version"], "12.0.0"))
    assert "this version was never accepted, 12.0.0 was" in said("test")
    path.write_text("{")
    assert "never accepted" in said("test")


def test_a_key_that_may_not_create_projects_ends_it_before_anything_is_made(workspace: Workspace) -> None:
    fault = workspace.sandbox.nodes["design"].faults.add("error", operation="POST /projects", status=403)
    try:
        result = workspace.run("accept", "--stage", "test")
    finally:
        workspace.sandbox.nodes["design"].faults.clear(fault.id)
    assert result.code == 3
    assert "cannot create project" in result.err
    assert result.case("accept-test", "throwaway project").find("error") is not None
    assert left(workspace) == []


def test_recorded_shapes_hold_no_name_of_the_site_and_are_those_of_the_sandbox(workspace: Workspace) -> None:
    workspace.configure(api=API)
    workspace.ok("accept", "--stage", "test", "--api", "dev", "--record", "shapes.yml")
    text = (workspace.folder / "shapes.yml").read_text()
    for name in (workspace.project, "ACCEPT", "auto-test", "accept_prepare", "127.0.0.1"):
        assert name not in text.replace("`mlops-steps accept --record`", ""), name
    assert "outcome: state ABORTED FAILED SUCCESS" in text
    result = workspace.run("sandbox", "compare", "--shapes", "shapes.yml")
    # A run that is over when it is first looked at has its end there, too: on a busy machine it may be.
    assert [line for line in result.out.splitlines() if "get-run-for-trigger: scenarioRun." not in line] == []
    assert result.code == bool(result.out)
    (workspace.folder / "site.yml").write_text(text.replace("timestamp: ISO +0000", "timestamp: milliseconds"))
    result = workspace.run("sandbox", "compare", "--shapes", "site.yml")
    assert result.code == 1
    assert "timestamp: ISO +0000 in the sandbox, milliseconds in the file" in result.out


def test_a_sandbox_answers_in_the_shapes_of_a_file(workspace: Workspace) -> None:
    own = (resources.files("mlops_steps.shapes") / "sandbox.yml").read_text()
    (workspace.folder / "site.yml").write_text(own.replace("timestamp: ISO +0000", "timestamp: milliseconds"))
    command = [sys.executable, "-m", "mlops_steps", "accept", "--stage", "test", "--record", "again.yml"]
    result = workspace.ok("sandbox", "run", "--shapes", "site.yml", "--", *command)
    assert "assumptions hold on test" in result.err
    assert "timestamp: milliseconds" in (workspace.folder / "again.yml").read_text()
    assert "timestamp: ISO +0000" not in (workspace.folder / "again.yml").read_text()
    result = workspace.run("sandbox", "run", "--shapes", "mlops.yml", "--", "true")
    assert result.code == 2
    assert "not a file of shapes" in result.err


def test_a_stage_without_a_deployer_is_refused_before_anything_is_made(workspace: Workspace) -> None:
    url = workspace.environment["MLOPS_TEST_URL"]
    workspace.configure(nodes={"design": {}, "bare": {"url": url, "strategy": "direct"}, "prod": {}})
    key = workspace.environment["MLOPS_TEST_API_KEY"]
    result = workspace.run("accept", "--stage", "bare", MLOPS_BARE_API_KEY=key)
    assert result.code == 2
    assert "bare has no Project Deployer (strategy: direct)" in result.err
    assert left(workspace) == []


def test_a_service_is_tried_too(workspace: Workspace) -> None:
    workspace.configure(api=API)
    result = workspace.ok("accept", "--stage", "test", "--api", "dev")
    count = len(assumptions(service=True))
    assert f"{count} of {count} assumptions hold on test" in result.err
    said = result.case("accept-test", "service-answers").findtext("system-out") or ""
    assert "2 API nodes answer" in said
    assert left(workspace) == []
    result = workspace.run("accept", "--stage", "test", "--api", "prod")
    assert (result.code, "prod is the release stage" in result.err) == (2, True)
    result = workspace.run("accept", "--stage", "test", "--api", "dve")
    assert (result.code, "did you mean dev?" in result.err) == (2, True)
    assert left(workspace) == []


def test_jenkins_keeps_what_is_to_be_committed(workspace: Workspace) -> None:
    step = {"step": "accept", "parameters": {"stage": "test", "record": "shapes.yml"}}
    result = workspace.ok("from-environment", "run", MLOPS_STEP=json.dumps(step))
    told = dict(line.split("=", 1) for line in result.out.splitlines() if "=" in line)
    archived = told["archive"].split(",")
    assert {"mlops-accepted.yml", "shapes.yml", "reports/mlops-accept-test.xml"} <= set(archived)


def test_an_infrastructure_of_three_nodes_is_accepted_on_all_of_them(many_sandbox: Sandbox, tmp_path: Path) -> None:
    create_project(many_sandbox, "MANYACCEPT")
    workspace = ManyWorkspace(tmp_path, many_sandbox, "MANYACCEPT")
    workspace.many([["multi"], ["eu"]], multi=["multi"])
    result = workspace.ok("accept", "--stage", "prod", "--infra", "multi", "--yes")
    assert "assumptions hold on prod-multi" in result.err
    assert all(f"on node 'prod-multi-n{number}'" in result.err for number in (1, 2, 3))
    doctor = workspace.ok("doctor")
    for node, accepted in (("prod-multi-n1", True), ("prod-multi-n3", True), ("prod-eu", False)):
        said = doctor.case("doctor", f"{node} version").findtext("system-out") or ""
        assert ("; accepted 20" in said, "accept --stage prod --infra eu" in said) == (accepted, not accepted)
    for node in many_sandbox.nodes.values():
        if node.type != "API":
            keys = dataikuapi.DSSClient(node.url, node.api_key).list_project_keys()
            assert not [key for key in keys if key.startswith(PREFIX)]
