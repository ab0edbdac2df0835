"""What a long history costs: a node reads what is asked for, not everything that ever was."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dataikuapi
import pytest
from dataikuapi.dss.project import DSSProject

from mlops_steps.sandbox.node import store
from mlops_steps.sandbox.node.node import Node
from mlops_steps.sandbox.services.bundles import model as bundles
from mlops_steps.sandbox.services.deployer import published
from mlops_steps.sandbox.services.deployer.deployments import Deployments
from mlops_steps.sandbox.services.deployers import history
from mlops_steps.sandbox.services.projects.model import Project
from mlops_steps.sandbox.services.scenarios import records
from tests.sandbox.flows import flow_files, make_project, scenario

PAST = 5000
START = 1_700_000_000_000


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The files that the nodes have read since the list was last cleared."""
    seen: list[Path] = []
    read: Callable[..., Any] = store.read_json

    def counted(path: Path, default: Any = None) -> Any:
        seen.append(path)
        return read(path, default)

    for module in (records, bundles, published, history):
        if hasattr(module, "read_json"):
            monkeypatch.setattr(module, "read_json", counted)
    return seen


def past_run(number: int) -> tuple[str, dict[str, Any]]:
    start = START + number * 1000
    run_id = time.strftime("%Y-%m-%d-%H-%M-%S", time.gmtime(start // 1000)) + "-000"
    run = {
        "runId": run_id,
        "start": start,
        "end": start + 5,
        "scenario": {"id": "OLD", "markedAsTest": True},
        "trigger": {"runId": f"{start}-1"},
        "bundleId": "v1",
        "result": {"type": "SCENARIO_DONE", "outcome": "SUCCESS"},
    }
    return run_id, {"scenarioRun": run, "stepRuns": []}


@pytest.fixture
def old(design: dataikuapi.DSSClient, design_node: Node, new_key: str) -> DSSProject:
    """A project with a scenario that has run 5,000 times."""
    project = make_project(design_node, new_key, {**flow_files(), "project_config/scenarios/OLD.json": scenario()})
    for number in range(PAST):
        run_id, document = past_run(number)
        folder = records.run_dir(project, "OLD", run_id)
        folder.mkdir(parents=True)
        (folder / records.RUN_FILE).write_text(json.dumps(document), encoding="utf-8")
    return design.get_project(new_key)


def test_the_last_runs_of_a_scenario_are_read_and_no_others(old: DSSProject, reads: list[Path]) -> None:
    (run,) = old.get_scenario("OLD").get_last_runs(limit=1)
    assert run.id == past_run(PAST - 1)[0]
    assert len(reads) == 1

    assert len(old.get_scenario("OLD").get_last_runs(limit=10, only_finished_runs=True)) == 10
    assert len(reads) == 11


def test_the_run_of_a_trigger_fire_is_found_without_reading_the_others(old: DSSProject, reads: list[Path]) -> None:
    address = f"/projects/{old.project_key}/scenarios/OLD/get-run-for-trigger"
    found = old.client._perform_json("GET", address, params={"triggerRunId": f"{START + 2_000_000}-1"})
    assert found["scenarioRun"]["runId"] == past_run(2000)[0]
    assert len(reads) <= 2

    reads.clear()
    with pytest.raises(Exception, match="has no trigger fire"):
        old.client._perform_json("GET", address, params={"triggerRunId": f"{START + PAST * 1000}-9"})
    assert reads == []


def test_the_testing_status_of_an_unknown_bundle_looks_at_the_kept_runs_only(
    old: DSSProject, reads: list[Path]
) -> None:
    status = old.get_testing_status(bundle_id="unknown")
    assert status.nb_total_ran_scenarios == 0
    assert len(reads) <= records.KEPT_RUNS


def test_an_export_does_not_read_the_bundles_before_it(
    design: dataikuapi.DSSClient, project: DSSProject, design_node: Node, reads: list[Path]
) -> None:
    folder = design_node.bundles_dir(project.project_key)
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(200):
        record = {"bundleId": f"b{number}", "addedOn": START + number, "exportManifest": {}}
        (folder / f"b{number}.json").write_text(json.dumps(record), encoding="utf-8")

    project.export_bundle("new")

    assert len([path for path in reads if path.parent == folder]) <= 3


def test_a_deployment_with_many_updates_and_bundles_is_asked_again_without_reading_them_again(
    design: dataikuapi.DSSClient, project: DSSProject, design_node: Node, reads: list[Path]
) -> None:
    project.export_bundle("v1")
    project.publish_bundle("v1")
    deployer = design.get_projectdeployer()
    name = f"{project.project_key}-on-test"
    deployment = deployer.create_deployment(name, project.project_key, "auto-test", "v1")
    past = Deployments(design_node).places.updates(name)
    past.mkdir(parents=True, exist_ok=True)
    for number in range(200):
        update = {
            "deploymentId": name,
            "type": "UPDATE",
            "status": "SUCCESS",
            "startTimestamp": START + number,
            "endTimestamp": START + number + 1,
            "infoMessages": {"messages": []},
            "logs": {"lines": []},
        }
        (past / f"{START + number}.json").write_text(json.dumps(update), encoding="utf-8")

    assert len(deployment.list_updates()) == 200
    deployment.get_status()
    reads.clear()
    assert len(deployment.list_updates()) == 200
    deployment.get_status()
    assert len([path for path in reads if path.parent == past]) <= 2
    assert [path for path in reads if path.parent.name == "bundles"] == []
    assert Project.exists(design_node, project.project_key)
