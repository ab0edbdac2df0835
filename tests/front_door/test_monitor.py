"""``monitor`` through the front door: what is live is looked at, and what was measured is kept for the next look."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mlops_steps.report import attachments
from mlops_steps.report.attachments import Look
from mlops_steps.sandbox.services.flow.models import VERSION_FILE, versions_dir
from mlops_steps.sandbox.services.projects.model import Project
from mlops_steps.sandbox.services.scenarios.records import scenario_dir
from mlops_steps.sandbox.site import Sandbox
from tests.front_door.conftest import Result, Workspace
from tests.front_door.test_gates_of_stores import train
from tests.jenkins.fake_controller import TOKEN, USER, FakeBuild, FakeController
from tests.sandbox.evaluated import csv_rows, evaluated_files
from tests.sandbox.flows import make_project

KEY = "WATCHED"
GATES = [
    {"gate": "drift", "name": "inputs", "reference": "training", "current": "incoming", "psi": 0.1, "rows": 200},
    {"gate": "metric", "model": "Model", "metric": "auc", "at_least": 0.8},
    {"gate": "data_quality", "name": "quality", "datasets": ["incoming"], "warnings": "fail"},
]
MONITOR: dict[str, Any] = {
    "gates": GATES,
    "act": {"inputs": {"psi": 0.5}, "quality": {"warnings": "pass"}},
    "scenarios": {"warn": 1, "act": 2},
    "age": {"model": "Model", "warn": "30d", "act": "60d"},
    "labels": {
        "predictions": "log",
        "key": "id",
        "version": "version",
        "label": "label",
        "probability": "chance",
        "metric": "auc",
        "warn": 0.8,
        "act": 0.7,
    },
}
LOG_COLUMNS = ["id:bigint", "version:string", "chance:double", "label:bigint", "at:string"]


def scenario(code: str, *, test: bool) -> dict[str, Any]:
    steps = [{"id": "s1", "name": "run", "type": "custom_python", "params": {"script": code}}]
    return {"type": "step_based", "name": "s", "markedAsTest": test, "triggers": [], "params": {"steps": steps}}


def predictions(version: str, first: int, rows: int, sure: float, seed: int = 5, at: str = "") -> list[str]:
    """Logged predictions with labels; ``sure``: how much the probabilities know."""
    generator = np.random.default_rng(seed)
    labels, noise = generator.random(rows) < 0.4, generator.normal(size=rows)
    chances = np.clip(0.5 + sure * (labels - 0.5) + 0.15 * noise, 0.01, 0.99)
    return [f"{first + n},{version},{chances[n]:.4f},{int(labels[n])},{at}" for n in range(rows)]


class Monitored(Workspace):
    """A project that is live: a model, the data that it meets, and the log of its predictions."""

    def file(self, dataset: str, node: str = "auto-prod") -> Path:
        """The rows of an uploaded dataset on a node."""
        return Project(self.sandbox.nodes[node], self.project).uploads_dir / dataset / f"{dataset}.csv"

    def log(self, *rows: str) -> None:
        self.file("log").write_text("\n".join(["id,version,chance,label,at", *rows]) + "\n")

    def look(self, code: int = 0, *, stage: str = "prod", **environment: str) -> Result:
        result = self.run("monitor", "--stage", stage, **environment)
        assert result.code == code, f"exit code {result.code}\n{result.out}\n{result.err}"
        return result

    @property
    def looks(self) -> list[Look]:
        return attachments.read(self.folder / "reports" / "mlops-monitor-prod.xml").looks

    def levels(self) -> dict[str, str]:
        return {measure.name: measure.level for measure in self.looks[-1].measures}


def released(sandbox: Sandbox, folder: Path) -> Monitored:
    """Bundle one is live on production."""
    files = evaluated_files(csv_rows(2, 800))
    log = json.loads(json.dumps(files["project_config/datasets/incoming.json"]))
    log["schema"]["columns"] = [dict(zip(("name", "type"), text.split(":"), strict=True)) for text in LOG_COLUMNS]
    make_project(
        sandbox.design,
        KEY,
        {
            **files,
            "project_config/datasets/log.json": log,
            "uploads/log/log.csv": "id,version,chance,label,at\n",
            "project_config/scenarios/TEST_SMOKE.json": scenario("print('fine')", test=True),
            "project_config/scenarios/RETRAIN.json": scenario("print('trained')", test=False),
            "project_config/scenarios/BREAK.json": scenario("raise RuntimeError('no memory')", test=False),
            "project_config/scenarios/NIGHTLY.json": scenario("raise RuntimeError('no rows')", test=False),
        },
    )
    project = Project(sandbox.design, KEY)
    options = {"exportUploads": True, "includedSavedModels": [{"id": "model", "name": "Model"}]}
    project.save_params({**project.params, "bundleExporterSettings": {"exportOptions": options}}, "Bundle the model")
    workspace = Monitored(folder, sandbox, KEY)
    rules = workspace.client("design").get_project(KEY).get_dataset("incoming").get_data_quality_rules()
    rules.create_rule({"displayName": "enough", "type": "RecordCountInRangeRule", "minimum": 100, "softMinimum": 500})
    train(workspace)
    workspace.configure(test={"scenarios": ["TEST_*"]})
    workspace.ok("package", BUILD_NUMBER="1")
    workspace.ok("deploy", "--stage", "test")
    workspace.ok("test", "--stage", "test")
    workspace.ok("release", "--stage", "prod")
    return workspace


@pytest.fixture(scope="module")
def live_project(steps_sandbox: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> Monitored:
    return released(steps_sandbox, tmp_path_factory.mktemp("monitor"))


@pytest.fixture
def live(live_project: Monitored) -> Iterator[Monitored]:
    """As it was after the release, before the first look."""
    live_project.configure(monitor=MONITOR)
    yield live_project
    for path in (live_project.folder / "reports").glob("mlops-monitor*"):
        path.unlink()
    live_project.file("incoming").write_text(csv_rows(2, 800))
    live_project.log()
    for node, name in (("auto-prod", "NIGHTLY"), ("design", "RETRAIN"), ("design", "BREAK")):
        shutil.rmtree(scenario_dir(Project(live_project.sandbox.nodes[node], KEY), name), ignore_errors=True)


def test_all_is_well(live: Monitored) -> None:
    bundle = live.live()
    live.log(*predictions(str(bundle), 0, 400, 0.4))
    result = live.look()
    assert live.levels() == {
        "deployment": "good",
        "scenarios": "good",
        "age of the model": "good",
        "gate inputs": "good",
        "gate metric": "good",
        "gate quality": "good",
        "auc by labels": "good",
        "late verdict": "skipped",
    }
    (look,) = live.looks
    assert look.live == {"bundle": bundle}
    assert list(look.models) == ["Model"]
    assert result.properties("monitor-prod")["monitor.gate metric"] == "0.9"
    assert "1 of 8" not in result.err
    assert [verdict.passed for verdict in look.verdicts] == [True]


def test_each_value_has_two_levels_and_a_line_over_the_looks(live: Monitored) -> None:
    live.look()
    moved = csv_rows(3, 300, shift=0.35)
    live.file("incoming").write_text(moved)
    result = live.look()
    assert (live.levels()["gate inputs"], live.levels()["gate quality"]) == ("warn", "warn")
    assert "warn PSI at most 0.1" in (result.case("monitor-prod", "gate inputs").findtext("system-out") or "")
    live.file("incoming").write_text(csv_rows(3, 80, shift=1.5))
    result = live.look(1)
    assert live.levels()["gate quality"] == "act"
    assert live.levels()["gate inputs"] == "skipped"
    live.file("incoming").write_text(csv_rows(3, 800, shift=1.5))
    result = live.look(1)
    assert live.levels()["gate inputs"] == "act"
    assert result.case("monitor-prod", "gate inputs").find("failure") is not None
    assert "nothing was changed on prod" in result.err
    found = attachments.read(live.folder / "reports" / "mlops-monitor-prod.xml")
    assert len(found.looks) == 4
    line = next(figure for figure in found.figures if figure.name == "monitor-gate inputs")
    # One look had too few rows to say anything.
    assert len(line.series[0].y) == 3
    assert line.series[0].y[0] < line.series[0].y[1] < line.series[0].y[2]


def test_scenarios_count_since_the_last_look(live: Monitored) -> None:
    live.look()
    nightly = live.client("auto-prod").get_project(KEY).get_scenario("NIGHTLY")
    time.sleep(1.1)  # looks are kept to the second
    nightly.run_and_wait(no_fail=True)
    result = live.look()
    assert live.levels()["scenarios"] == "warn"
    assert "1 of 1 runs failed" in result.err
    time.sleep(1.1)
    live.look()
    assert live.levels()["scenarios"] == "good"
    for _ in range(2):
        nightly.run_and_wait(no_fail=True)
    live.look(1)
    assert live.levels()["scenarios"] == "act"


def test_labels_that_arrive_late_judge_the_release_that_predicted(live: Monitored) -> None:
    bundle = str(live.live())
    old = predictions("0-before", 0, 400, 0.02)
    live.log(*(row.rpartition(",")[0][:-1] + "," for row in old), *predictions(bundle, 1000, 400, 0.4))
    live.look()
    live.log(*old, *predictions(bundle, 1000, 400, 0.4))
    result = live.look(1)
    assert "failed late: 0-before: failed, auc 0." in result.err
    assert live.levels()["auc by labels"] == "good"
    assert {verdict.release: verdict.passed for verdict in live.looks[-1].verdicts} == {"0-before": False, bundle: True}
    kept = attachments.read(live.folder / "reports" / "mlops-monitor-prod.xml").releases
    assert [(one.version, one.result) for one in kept] == [("0-before", "failed late")]
    # The last word is said once.
    live.look()
    assert live.levels()["late verdict"] == "good"
    # Nor is it forgotten when its labels are.
    live.log(*predictions(bundle, 0, 400, 0.02))
    live.look(1)
    assert live.levels()["auc by labels"] == "act"
    assert live.levels()["late verdict"] == "good"
    assert {verdict.release: verdict.passed for verdict in live.looks[-1].verdicts} == {
        "0-before": False,
        bundle: False,
    }


def test_history_has_the_late_verdict_of_a_release(live: Monitored) -> None:
    bundle = str(live.live())
    live.log(*predictions(bundle, 0, 400, 0.02))
    live.look(1)
    (change,) = json.loads(live.ok("history", "--json").out)["changes"]
    assert change["late"].startswith("failed late: auc 0.")
    shutil.move(live.folder / "reports", live.folder / "kept")
    try:
        assert "failed late: auc 0." in live.ok("history", "--records", "kept").out
        assert "late" not in live.ok("history").out
    finally:
        shutil.rmtree(live.folder / "kept")


def test_fresh_predictions_are_not_hidden_by_old_ones(live: Monitored) -> None:
    bundle = str(live.live())
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    rows = [
        *predictions(bundle, 0, 2000, 0.4, at="2020-01-01T00:00:00Z"),
        *predictions(bundle, 5000, 250, 0.02, at=now),
    ]
    live.log(*rows)
    live.look()
    live.configure(monitor={**MONITOR, "labels": {**MONITOR["labels"], "time": "at", "window": "30d"}})
    assert "on 250 labelled predictions" in live.look(1).err
    assert live.levels()["auc by labels"] == "act"
    live.log(*predictions(bundle, 0, 300, 0.4, at="last week"))
    assert "monitor.labels.time names a column that holds values which are no times" in live.look(1).err
    assert live.levels()["auc by labels"] == "unknown"


def test_an_old_model(live: Monitored) -> None:
    project = Project(live.sandbox.nodes["auto-prod"], KEY)
    (version,) = versions_dir(project, "model").glob("*/" + VERSION_FILE)
    kept = version.read_text()
    document = json.loads(kept)
    try:
        for days, level in ((29, "good"), (31, "warn"), (61, "act")):
            version.write_text(json.dumps({**document, "trainDate": (time.time() - days * 86_400) * 1000}))
            live.look(1 if level == "act" else 0)
            assert live.levels()["age of the model"] == level
    finally:
        version.write_text(kept)


def test_what_cannot_be_measured_is_an_error_and_the_rest_is_measured(live: Monitored) -> None:
    live.configure(monitor={**MONITOR, "age": {"model": "Modle", "act": "30d"}})
    result = live.look(1)
    assert "no saved model Modle; did you mean Model?" in result.err
    assert result.case("monitor-prod", "age of the model").find("error") is not None
    assert live.levels()["gate metric"] == "good"
    live.configure(monitor=MONITOR)
    faults = live.sandbox.nodes["auto-prod"].faults
    faults.add("error", status=403, operation="GET /projects/*/savedmodels/**", count="for ever")
    try:
        live.look(3)
    finally:
        faults.clear()


def test_a_stage_that_is_not_there(live: Monitored) -> None:
    assert "did you mean prod?" in live.look(2, stage="prd").err


RETRAIN = {"react": "retrain", "retrain_scenario": "RETRAIN"}


def test_decay_is_answered_by_exactly_one_retraining(live: Monitored) -> None:
    live.configure(monitor={**MONITOR, **RETRAIN})
    live.look()
    assert live.levels()["reaction"] == "skipped"
    live.file("incoming").write_text(csv_rows(3, 800, shift=1.5))
    result = live.look(1)
    assert live.levels()["reaction"] == "good"
    assert "scenario RETRAIN has trained the model" in result.err
    assert result.case("monitor-prod", "reaction").find("failure") is None
    assert "RETRAIN" in live.looks[-1].reaction
    # Again, and on an agent that knows nothing: the Design node knows.
    live.look(1)
    shutil.rmtree(live.folder / "reports")
    result = live.look(1)
    assert "nothing is begun twice for one version" in result.err
    assert result.case("monitor-prod", "reaction").find("failure") is not None
    assert len(live.runs("design", "RETRAIN")) == 1
    assert live.live() == live.looks[-1].live["bundle"]


def test_a_retraining_that_fails_is_not_tried_again(live: Monitored) -> None:
    live.configure(monitor={**MONITOR, "react": "retrain", "retrain_scenario": "BREAK"})
    live.file("incoming").write_text(csv_rows(3, 800, shift=1.5))
    assert "scenario BREAK on the Design node: FAILED: " in live.look(1).err
    assert "ended with FAILED" in live.look(1).err
    assert len(live.runs("design", "BREAK")) == 1


def test_a_model_that_somebody_has_just_trained_is_given_a_period(live: Monitored) -> None:
    live.configure(monitor={**MONITOR, **RETRAIN})
    live.client("design").get_project(KEY).get_scenario("RETRAIN").run_and_wait()
    live.file("incoming").write_text(csv_rows(3, 800, shift=1.5))
    assert "at most one in 24h" in live.look(1).err
    assert live.levels()["reaction"] == "warn"
    live.configure(monitor={**MONITOR, **RETRAIN, "period": "1s"})
    time.sleep(1.1)
    live.look(1)
    assert live.levels()["reaction"] == "good"


REASON = [{"name": "REASON", "_class": "hudson.model.StringParameterDefinition", "type": "StringParameterDefinition"}]


def test_decay_starts_the_pipeline_with_the_reason_once(live: Monitored) -> None:
    live.configure(monitor={**MONITOR, "react": "release", "job": "churn", "retrain_scenario": "RETRAIN"})
    live.file("incoming").write_text(csv_rows(3, 800, shift=1.5))
    assert "no access to a Jenkins controller" in live.look(2).err
    controller = FakeController()
    with controller.running():
        access = {"JENKINS_URL": controller.url, "JENKINS_USER": USER, "JENKINS_API_TOKEN": TOKEN}
        controller.add_job("churn", FakeBuild(result="FAILURE"), FakeBuild(), parameters=REASON)
        result = live.look(1, **access)
        assert "churn #1 releases what comes out" in result.err
        (build,) = controller.builds["churn"]
        assert build.parameters["REASON"].startswith(f"monitor prod {live.live()}: gate inputs: ")
        # It is under way; then it has failed its gates: nothing is begun again, whoever looks.
        assert "is under way" in live.look(1, **access).err
        build.given, build.began = len(build.console), int(time.time() * 1000)
        shutil.rmtree(live.folder / "reports")
        assert "ended with FAILURE" in live.look(1, **access).err
        assert live.levels()["reaction"] == "act"
        assert len(controller.builds["churn"]) == 1
    assert len(live.runs("design", "RETRAIN")) == 1


def test_a_job_without_the_parameter_is_not_started(live: Monitored) -> None:
    strict = {"gate": "metric", "name": "strict", "model": "Model", "metric": "auc", "at_least": 1.0}
    settings = {**MONITOR, "react": "release", "job": "churn", "retrain_scenario": "RETRAIN"}
    live.configure(monitor={**settings, "gates": [*GATES, strict]})
    live.file("incoming").write_text(csv_rows(3, 800, shift=1.5))
    controller = FakeController()
    with controller.running():
        access = {"JENKINS_URL": controller.url, "JENKINS_USER": USER, "JENKINS_API_TOKEN": TOKEN}
        controller.add_job("churn", FakeBuild())
        said = live.look(1, **access).err
        assert "churn has no parameters" in said
        assert live.levels()["reaction"] == "unknown"
        assert not controller.posts
    assert not live.runs("design", "RETRAIN")
    assert "(required: at least 1)\n" in said  # its limit is not said twice


def test_the_looks_before_are_found_in_the_builds_of_the_job(live: Monitored) -> None:
    live.look()
    place = live.folder / "reports" / "mlops-monitor-prod.json"
    kept = place.read_bytes()
    controller = FakeController()
    with controller.running():
        controller.add_job("nightly")
        controller.add_past_build("nightly", FakeBuild(artifacts={"reports/mlops-monitor-prod.json": kept}))
        controller.add_past_build("nightly", FakeBuild())
        place.unlink()
        access = {"JENKINS_URL": controller.url, "JENKINS_USER": USER, "JENKINS_API_TOKEN": TOKEN}
        live.look(JOB_NAME="nightly", **access)
        assert len(live.looks) == 2
        place.unlink()
        live.look(JOB_NAME="gone", **access)  # a warning: the look does not depend on it
    assert len(live.looks) == 1


def test_the_step_of_the_library_has_the_looks_archived(live: Monitored) -> None:
    step = json.dumps({"step": "monitor", "parameters": {"stage": "prod"}})
    plan = live.ok("from-environment", "plan", MLOPS_STEP=step).out
    assert "keys=design MLOPS_DESIGN_API_KEY,prod MLOPS_PROD_API_KEY" in plan
    assert "note=true" not in plan
    for number in (1, 2):
        said = dict(line.split("=", 1) for line in live.ok("from-environment", "run", MLOPS_STEP=step).out.splitlines())
        assert said["report"] == "reports/mlops-monitor-prod.xml"
        assert "reports/mlops-monitor-prod.json" in said["archive"].split(",")
        assert len(live.looks) == number
