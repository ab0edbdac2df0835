"""Gates on what a node measures itself: drift from an evaluation store, and the metrics of a saved model."""

from __future__ import annotations

import time
from typing import Any

import pytest

from mlops_steps.sandbox.services.projects.model import Project
from mlops_steps.sandbox.site import Sandbox
from tests.front_door.conftest import Workspace
from tests.front_door.test_gates import judged
from tests.sandbox.evaluated import STORE, csv_rows, evaluated_files
from tests.sandbox.flows import make_project

KEY = "GATESTORE"
TEST_NOTHING = {
    "type": "step_based",
    "name": "Nothing",
    "active": False,
    "markedAsTest": True,
    "triggers": [],
    "params": {"steps": []},
}


def train(workspace: Workspace) -> None:
    job = workspace.client("design").get_project(workspace.project).new_job("NON_RECURSIVE_FORCED_BUILD")
    started = job.with_output("model", object_type="SAVED_MODEL").start()
    while (state := started.get_status()["baseStatus"]["state"]) not in ("DONE", "FAILED", "ABORTED"):
        time.sleep(0.05)
    assert state == "DONE", started.get_log()


@pytest.fixture(scope="module")
def evaluated(steps_sandbox: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """Bundle one is on the test node: a model, and rows like those it was trained on."""
    files = evaluated_files(csv_rows(2, 800))
    make_project(steps_sandbox.design, KEY, {**files, "project_config/scenarios/TEST_NOTHING.json": TEST_NOTHING})
    project = Project(steps_sandbox.design, KEY)
    options = {"exportUploads": True, "includedSavedModels": [{"id": "model", "name": "Model"}]}
    project.save_params({**project.params, "bundleExporterSettings": {"exportOptions": options}}, "Bundle the model")
    workspace = Workspace(tmp_path_factory.mktemp("gatestore"), steps_sandbox, KEY)
    train(workspace)
    workspace.ok("package", BUILD_NUMBER="1")
    workspace.ok("deploy", "--stage", "test")
    return workspace


def drift(name: str, **more: Any) -> dict[str, Any]:
    return {"gate": "drift", "name": name, "store": "Quality", "scenario": "EVALUATE", **more}


def verdicts(workspace: Workspace, code: int, *gates: dict[str, Any]) -> dict[str, tuple[str, str]]:
    """The verdict of each gate, and the first line of what it said."""
    result = judged(workspace, *gates)
    assert result.code == code, result.err
    properties, found = result.properties("test-test"), {}
    for gate in gates:
        said = (result.case("test-test", f"gate {gate['name']}").findtext("system-out") or "").splitlines()[0]
        found[gate["name"]] = (properties[f"gate.{gate['name']}.verdict"], said)
    return found


def test_gates_pass(evaluated: Workspace) -> None:
    metric = {"gate": "metric", "name": "auc", "model": "Model", "metric": "auc", "at_least": 0.85}
    found = verdicts(evaluated, 0, metric, drift("same"))
    assert found["auc"][0] == found["same"][0] == "passed"
    # Three columns and what the model predicts.
    assert found["same"][1].startswith("0 of 4 columns drifted")
    kept = evaluated.record["stages"]["test"]["test"]["gates"]["same"]
    assert (kept["rows"], kept["limit"]) == (800, "PSI at most 0.2")
    assert "of store Quality against its reference" in kept["source"]


def test_what_cannot_be_measured_is_an_error(evaluated: Workspace) -> None:
    found = verdicts(
        evaluated,
        3,
        drift("other", store="Qualty"),
        drift("column", columns={"noises": 0.2}),
        drift("against", against="S-OTHER-model-1"),
    )
    assert {verdict for verdict, _ in found.values()} == {"unmeasured"}
    assert "has no evaluation store Qualty; did you mean Quality?" in found["other"][1]
    assert "not computed drift of column noises; did you mean noise?" in found["column"][1]
    assert "neither a model version nor an evaluation" in found["against"][1]


def test_a_moved_column_fails_and_an_evaluation_of_another_version_does_not_count(evaluated: Workspace) -> None:
    rows = Project(evaluated.sandbox.design, KEY).uploads_dir / "incoming" / "incoming.csv"
    rows.write_text(csv_rows(3, 800, shift=0.8))
    evaluated.ok("package", BUILD_NUMBER="2")
    evaluated.ok("deploy", "--stage", "test")
    store = evaluated.client("auto-test").get_project(KEY).get_model_evaluation_store(STORE)
    store.add_custom_model_evaluation([store.MetricDefinition("auc", 0.9)], model=f"S-{KEY}-model-1")
    stale = {name: value for name, value in drift("stale").items() if name != "scenario"}
    (verdict, said) = verdicts(evaluated, 1, stale)["stale"]
    assert (verdict, "which is not active" in said) == ("unmeasured", True)
    metric = {"gate": "metric", "name": "auc", "model": "model", "metric": "auc", "at_least": 0.95}
    found = verdicts(evaluated, 1, metric, drift("moved"))
    assert found["auc"][0] == found["moved"][0] == "failed"
    assert "worst: x (PSI" in found["moved"][1]


@pytest.mark.parametrize(
    ("gate", "said"),
    [
        ({"gate": "drift", "store": "a", "current": "b"}, "either reference and current, or store"),
        ({"gate": "drift", "current": "b"}, "must name both reference and current"),
        ({"gate": "drift", "current": "b", "reference": "c", "against": "d"}, "against goes with store"),
    ],
)
def test_two_samples_are_named_in_one_way(evaluated: Workspace, gate: dict[str, Any], said: str) -> None:
    result = judged(evaluated, gate)
    assert result.code == 2, result.err
    assert said in result.err
