"""Gates through the command: what is measured on the nodes, and what becomes of it in report and exit code.

Bundle one is live in production. Bundle two, on the test node, is better in nothing: its model is worse for one state
only, or for everybody, by the column that a gate looks at.
"""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any, get_args

import dataikuapi
import numpy as np
import pytest
from dataikuapi.govern.artifact_search import GovernArtifactFilterFieldValue, GovernArtifactSearchQuery

from mlops_steps.config.policy import GateKind
from mlops_steps.report import attachments
from mlops_steps.sandbox.services.projects.model import Project
from mlops_steps.sandbox.site import Sandbox
from tests.front_door.conftest import Result, Workspace, create_project
from tests.sandbox import api_service

ROWS = 1200
STATES = ("CA", "NY", "TX", "WA")


def rows_of(model: str, rows: int = ROWS) -> list[dict[str, Any]]:
    """Scored customers. ``good`` is right in 85 % of rows; in ``bad`` every column is worse in its own way."""
    generator = np.random.default_rng(8)
    labels = generator.random(rows) < 0.4
    luck, noise = generator.random(rows), generator.normal(size=rows)
    right = luck < 0.85
    found = []
    for index in range(rows):
        state = STATES[index % 4]
        label = bool(labels[index])
        weak = model == "bad" and luck[index] < 0.1
        segment = model == "bad" and state == "WA" and luck[index] < 0.5
        chance = min(max(0.5 + (0.25 if label else -0.25) + 0.2 * noise[index], 0.01), 0.99)
        found.append(
            {
                "id": index,
                "state": state,
                "churned": int(label),
                "predicted": int(label if right[index] and not weak else not label),
                "by_state": int(label if right[index] and not segment else not label),
                "score": round(chance, 4),
                "shifted": round(min(chance + 0.2, 1.0), 4) if model == "bad" else round(chance, 4),
                "age": round(40 + 10 * noise[index] + (8 if model == "bad" else 0), 2),
            }
        )
    return found


def upload(workspace: Workspace, name: str, rows: list[dict[str, Any]]) -> None:
    """Puts rows into an uploaded dataset of the Design node, which travels in the bundle."""
    project = workspace.client("design").get_project(workspace.project)
    if name in [item["name"] for item in project.list_datasets()]:
        project.get_dataset(name).delete(drop_data=True)
    dataset = project.create_upload_dataset(name)
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    dataset.uploaded_add_file(io.BytesIO(text.getvalue().encode()), f"{name}.csv")
    settings = dataset.autodetect_settings()
    settings.save()


def rule(workspace: Workspace, dataset: str, name: str, **config: Any) -> None:
    """Gives a dataset of the Design node a data quality rule, which travels in the bundle."""
    project = workspace.client("design").get_project(workspace.project)
    project.get_dataset(dataset).get_data_quality_rules().create_rule({"displayName": name, **config})


def standards(workspace: Workspace, **params: dict[str, Any]) -> None:
    """Gives the project of the Design node checks of Project Standards, by the end of their kind, with parameters."""
    handle = workspace.client("design").get_project_standards()
    kinds = {spec["elementType"].rpartition("_")[2]: spec["elementType"] for spec in handle.list_check_specs()}
    checks = handle.create_checks([kinds[name.replace("_", "-")] for name in params], as_type="objects")
    for check, values in zip(checks, params.values(), strict=True):
        check.check_params = {**check.check_params, **values}
        check.save()
    handle.create_scope(workspace.project, checks=[check.id for check in checks], items=[workspace.project])


@pytest.fixture(scope="module")
def two_bundles(steps_sandbox: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """Bundle one is released, bundle two is deployed to the test stage."""
    create_project(steps_sandbox, "GATES")
    workspace = Workspace(tmp_path_factory.mktemp("gates"), steps_sandbox, "GATES")
    upload(workspace, "scored", rows_of("good"))
    upload(workspace, "training", rows_of("good"))
    workspace.released(1)
    upload(workspace, "scored", rows_of("bad"))
    rule(workspace, "scored", "enough", type="RecordCountInRangeRule", minimum=100)
    rule(workspace, "scored", "grown up", type="ColumnMinInRangeRule", columns=["age"], softMinimum=200)
    rule(workspace, "training", "unique", type="ColumnUniqueValuesRule", columns=["id", "state"])
    upload(workspace, "no_rules", rows_of("good", 20))
    upload(workspace, "no_rows", [dict.fromkeys(rows_of("good", 1)[0], "")])
    rule(workspace, "no_rows", "ages", type="ColumnMinInRangeRule", columns=["age"], minimum=0)
    (workspace.folder / "checks.py").write_text(CHECKS)
    standards(workspace, project_description={"severity": 2}, unused_datasets={"severity": 1}, model_metrics={})
    workspace.ok("package", BUILD_NUMBER="2")
    workspace.ok("deploy", "--stage", "test")
    # A model that was trained on the node: bundles have none.
    measured = {"auc": 0.9, "logLoss": "n/a"}
    api_service.put_model(Project.load(steps_sandbox.nodes["auto-test"], "GATES"), "m1", metrics=measured)
    return workspace


def judged(workspace: Workspace, *gates: dict[str, Any]) -> Result:
    """`test` with these gates."""
    (workspace.folder / "mlops.yml").unlink(missing_ok=True)
    workspace.configure()
    path = workspace.folder / "mlops.yml"
    import json

    document = json.loads(path.read_text())
    path.write_text(json.dumps({**document, "gates": list(gates)}))
    return workspace.run("test", "--stage", "test")


def slices(**more: Any) -> dict[str, Any]:
    return {"gate": "slices", "dataset": "scored", "label": "churned", "by": "state", "at_least": 0.6, **more}


def calibration(**more: Any) -> dict[str, Any]:
    return {"gate": "calibration", "dataset": "scored", "label": "churned", "at_most": 0.05, **more}


def drift(**more: Any) -> dict[str, Any]:
    return {"gate": "drift", "reference": "training", "current": "scored", **more}


def quality(*datasets: str, **more: Any) -> dict[str, Any]:
    return {"gate": "data_quality", "datasets": list(datasets), **more}


def metric(**more: Any) -> dict[str, Any]:
    return {"gate": "metric", "model": "Model", "metric": "auc", "at_least": 0.8, **more}


CHECKS = """
from mlops_steps import GateResult, GateVerdict


def ends(context):
    return GateResult(GateVerdict(context.options["as"]), "as it was told", 0.5)


def broken(context):
    raise ZeroDivisionError("by hand")
"""


def custom(verdict: str) -> dict[str, Any]:
    return {"gate": "custom", "function": "checks.py:ends", "options": {"as": verdict}}


def champion(**more: Any) -> dict[str, Any]:
    return {"gate": "champion", "dataset": "scored", "key": "id", "label": "churned", **more}


Gates = list[tuple[dict[str, Any], str]]
PASS: Gates = [
    (champion(metric="auc", probability="score", margin=0.01), "auc differs from the champion's by +0"),
    (champion(metric="accuracy", prediction="predicted", margin=0.2), "accuracy differs from the champion's by -0."),
    (champion(metric="f1", prediction="predicted", margin=0.25), "f1 differs"),
    (champion(metric="log_loss", probability="score"), "log_loss differs"),
    (slices(prediction="predicted"), "accuracy is lowest for state"),
    (calibration(probability="score", at_most=0.25), "expected calibration error"),
    (drift(columns={"score": 0.2, "state": 0.2}), "0 of 2 columns drifted"),
    # What the model does not look at may move.
    (drift(columns={"age": 0.2, "state": 0.2}, importances={"state": 1.0}), "0 of 2 columns drifted"),
    (quality("scored"), "2 of 2 rules of 1 datasets hold"),
    ({"gate": "project_standards"}, "3 of 3 checks pass or do not apply"),
    (metric(), "auc of model Model is 0.9"),
    (custom("passed"), "as it was told"),
]
FAIL: Gates = [
    (champion(metric="accuracy", prediction="predicted", margin=0.01), "accuracy differs from the champion's by -0."),
    (champion(metric="rmse", prediction="predicted"), "rmse differs"),
    (champion(metric="mae", prediction="predicted"), "mae differs"),
    (slices(prediction="by_state", spread=0.1), "accuracy is lowest for state WA"),
    (calibration(probability="shifted"), "expected calibration error"),
    (drift(columns={"age": 0.2, "state": 0.2}), "1 of 2 columns drifted; worst: age"),
    (quality("scored", "training"), "first: training: unique: ERROR: state: 1196 values are not unique"),
    ({"gate": "project_standards", "fail_at": "low"}, "first: Project has a description: severity low (2)"),
    (quality("scored", warnings="fail"), "first: scored: grown up: WARNING: col_stats:MIN:age"),
    (metric(at_least=0.95), "auc of model Model is 0.9"),
    (custom("failed"), "as it was told"),
]
INCONCLUSIVE: Gates = [
    (champion(metric="accuracy", prediction="predicted", rows=5000), "1200 rows are in both datasets; 5000 are"),
    (champion(metric="accuracy", prediction="predicted", margin=0.09), "too few rows to tell"),
    (slices(prediction="predicted", rows=1000), "no slice of state has 1000 rows"),
    (calibration(probability="score", rows=9999), "1200 complete rows"),
    (drift(rows=9999), "9999 are required"),
    (custom("inconclusive"), "as it was told"),
]
UNMEASURED: Gates = [
    ({"gate": "metric", "model": "churn", "metric": "auc", "at_least": 0.8}, "has no saved model churn"),
    (champion(metric="auc", probability="scores"), "has no column scores; did you mean score?"),
    (champion(metric="auc", probability="state"), "column state holds values that are not numbers"),
    (champion(metric="auc", probability="score", positive="yes"), "no row is of the positive class 'yes'"),
    (champion(metric="accuracy", prediction="predicted", key="state"), "has values that occur twice"),
    (slices(prediction="predicted", dataset="nothing"), "cannot read the schema of dataset nothing"),
    (calibration(probability="age"), "holds values that are not between 0 and 1"),
    (drift(scenario="NO_SUCH"), "NO_SUCH"),
    (quality("no_rules"), "has no data quality rule that is enabled"),
    (quality("no_rows"), "EMPTY: age: all values are empty"),
    (quality("nothing"), "cannot compute the data quality rules of dataset nothing"),
    (metric(metric="aucs"), "aucs"),
    (metric(metric="logLoss", at_least=None, at_most=1), "logLoss"),
    ({"gate": "custom", "function": "checks.py:broken"}, "ZeroDivisionError: by hand"),
]
ENDS = {
    "passed": (PASS, None, 0),
    "failed": (FAIL, "failure", 1),
    "inconclusive": (INCONCLUSIVE, "failure", 1),
    "unmeasured": (UNMEASURED, "error", 3),
}


#: Kinds whose endings another test here goes through, in each of these ways.
ELSEWHERE = {"governance": {"passed", "failed", "unmeasured"}, "project_standards": {"unmeasured"}}
#: What these say does not rest on a sample, so that none can be too small.
NO_SAMPLE = {"metric", "data_quality", "project_standards", "governance"}


def test_every_kind_of_gate_has_every_ending() -> None:
    """The table of this file has no gap."""
    found = {
        (gate["gate"], verdict) for verdict, (gates, _, _) in ENDS.items() for gate, _ in gates if "gate" in gate
    } | {(kind, verdict) for kind, verdicts in ELSEWHERE.items() for verdict in verdicts}
    wanted = {(kind, verdict) for kind in get_args(GateKind) for verdict in ENDS}
    assert wanted - found == {(kind, "inconclusive") for kind in NO_SAMPLE}


def names(gates: list[tuple[dict[str, Any], str]]) -> list[dict[str, Any]]:
    """The gates, each with a name of its own."""
    return [{**gate, "name": f"gate{number}"} for number, (gate, _) in enumerate(gates)]


@pytest.mark.parametrize("verdict", list(ENDS))
def test_every_kind_of_gate(two_bundles: Workspace, verdict: str) -> None:
    gates, element, code = ENDS[verdict]
    result = judged(two_bundles, *names(gates))
    assert result.code == code, result.err
    assert "Traceback" not in result.err
    properties = result.properties("test-test")
    kept = two_bundles.record["stages"]["test"]["test"]["gates"]
    for number, (_, said) in enumerate(gates):
        case = result.case("test-test", f"gate gate{number}")
        output = case.findtext("system-out") or ""
        assert said in output, output
        assert properties[f"gate.gate{number}.verdict"] == verdict, output
        assert kept[f"gate{number}"]["verdict"] == verdict
        bad = [child.tag for child in case if child.tag in ("failure", "error", "skipped")]
        assert bad == ([element] if element else []), output
    if verdict == "passed":
        assert float(properties["gate.gate0.value"]) == 0.0
        assert properties["gate.gate0.rows"] == "1200"
        assert properties["gate.gate0.limit"] == "not worse than the champion by more than 0.01, with 95 %"
        assert properties["gate.gate0.interval"].endswith("DeLong)")
        assert (kept["gate0"]["value"], kept["gate0"]["rows"]) == (0.0, 1200)
        assert kept["gate0"]["source"].startswith("dataset scored")
        figures = attachments.read(result.reports / "mlops-test-test.xml").figures
        assert {"gate0-roc", "gate0-calibration"} <= {figure.name for figure in figures}
        assert figures[0].about.startswith("The area under the curve is ")


def test_each_rule_is_a_test_case(two_bundles: Workspace) -> None:
    result = judged(two_bundles, quality("scored", "training"))
    assert result.code == 1, result.err
    good = result.case("test-test", "gate data_quality: scored: enough")
    assert [child.tag for child in good] == ["system-out"]
    bad = result.case("test-test", "gate data_quality: training: unique").find("failure")
    assert bad is not None
    assert bad.get("message") == "ERROR: state: 1196 values are not unique"


def test_each_check_of_project_standards_is_a_test_case(two_bundles: Workspace) -> None:
    result = judged(two_bundles, {"gate": "project_standards", "fail_at": "low"})
    assert result.code == 1, result.err
    found = {
        name: [child.tag for child in result.case("test-test", f"gate project_standards: {name}")]
        for name in ("Project has a description", "Datasets are used", "Saved models have metrics")
    }
    assert found == {
        "Project has a description": ["failure", "system-out"],
        "Datasets are used": ["system-out"],
        "Saved models have metrics": ["skipped", "system-out"],
    }


def test_project_standards_that_cannot_be_measured(steps_sandbox: Sandbox, tmp_path: Path) -> None:
    create_project(steps_sandbox, "GATESSTANDARDS")
    workspace = Workspace(tmp_path, steps_sandbox, "GATESSTANDARDS")
    gate = {"gate": "project_standards"}
    for number, said in enumerate(("no check of Project Standards applies", "Python recipes are short: RUN_ERROR"), 1):
        workspace.ok("package", BUILD_NUMBER=str(number))
        workspace.ok("deploy", "--stage", "test")
        result = judged(workspace, gate)
        assert result.code == 1, result.err
        error = result.case("test-test", "gate project_standards").find("error")
        assert error is not None
        assert said in (error.get("message") or "")
        if number == 1:
            standards(workspace, recipe_lines={"lines": "many"})
    deployer = steps_sandbox.design
    deployer.dss_version = "13.5.2"
    try:
        result = judged(workspace, gate)
    finally:
        deployer.dss_version = steps_sandbox.nodes["auto-test"].dss_version
    assert result.code == 0, result.err
    skipped = result.case("test-test", "gate project_standards").find("skipped")
    assert skipped is not None
    assert skipped.get("message") == "the Project Deployer is DSS 13.5.2; Project Standards came with DSS 14"


def governed(workspace: Workspace, bundle: str) -> Any:
    """Governs a bundle in Govern, and returns its sign-off."""
    design = workspace.sandbox.design
    client = dataikuapi.GovernClient(design.url, design.api_key)
    query = GovernArtifactSearchQuery(artifact_filters=[GovernArtifactFilterFieldValue("EQUALS", bundle)])
    hits = client.new_artifact_search_request(query).fetch_next_batch(100).get_response_hits()
    found = [hit for hit in hits if hit.get_raw()["artifact"]["fields"]["project_key"] == workspace.project]
    blueprint = {"blueprintId": "bp.system.govern_bundle", "versionId": "bv.system.default"}
    fields = {"dataiku_item": [found[0].to_artifact().artifact_id]}
    item = {"name": bundle, "blueprintVersionId": blueprint, "fields": fields}
    return client.create_artifact(item).get_signoff("review")


def set_policy(workspace: Workspace, policy: str) -> None:
    settings = workspace.client("design").get_projectdeployer().get_infra("auto-prod").get_settings()
    settings.get_raw()["governCheckPolicy"] = policy
    settings.save()


def test_governance_must_allow_it(two_bundles: Workspace) -> None:
    """The deployer by the policy of the infrastructure, and Govern by the status of the sign-off."""
    design = two_bundles.sandbox.design
    two_bundles.environment.update(MLOPS_GOVERN_URL=design.url, MLOPS_GOVERN_API_KEY=design.api_key)
    bundle = two_bundles.record["bundle"]["id"]
    plain, full = {"gate": "governance", "name": "plain"}, {"gate": "governance", "name": "full", "govern": "govern"}
    lenient = {"gate": "governance", "name": "lenient", "warnings": "pass"}

    def verdicts(code: int) -> dict[str, str]:
        result = judged(two_bundles, plain, full, lenient)
        assert result.code == code, result.err
        properties = result.properties("test-test")
        return {gate["name"]: properties[f"gate.{gate['name']}.verdict"] for gate in (plain, full, lenient)}

    try:
        # Nothing checks it, but for Govern, which does not govern it.
        assert verdicts(1) == {"plain": "unmeasured", "full": "failed", "lenient": "unmeasured"}
        set_policy(two_bundles, "WARN")
        assert verdicts(1) == {"plain": "failed", "full": "failed", "lenient": "passed"}
        sign_off = governed(two_bundles, bundle)
        set_policy(two_bundles, "PREVENT")
        assert verdicts(1) == {"plain": "failed", "full": "failed", "lenient": "failed"}
        failure = two_bundles_case(two_bundles, "gate full: sign-off review").find("failure")
        assert failure is not None
        assert failure.get("message") == "NOT_STARTED"
        sign_off.update_status("WAITING_FOR_APPROVAL")
        sign_off.add_approval("REJECTED")
        assert verdicts(1)["full"] == "failed"
        sign_off.add_approval("APPROVED")
        assert verdicts(0) == {"plain": "passed", "full": "passed", "lenient": "passed"}
        two_bundles.environment["MLOPS_GOVERN_API_KEY"] = "wrong"
        assert verdicts(3) == {"plain": "passed", "full": "unmeasured", "lenient": "passed"}
    finally:
        set_policy(two_bundles, "NO_CHECK")
        for name in ("MLOPS_GOVERN_URL", "MLOPS_GOVERN_API_KEY"):
            two_bundles.environment.pop(name, None)


def two_bundles_case(workspace: Workspace, name: str) -> Any:
    return Result(0, "", "", workspace.folder / "reports").case("test-test", name)


def test_too_few_rows_may_be_skipped_where_the_project_says_so(two_bundles: Workspace) -> None:
    gate = {**champion(metric="accuracy", prediction="predicted", rows=5000), "inconclusive": "skip"}
    result = judged(two_bundles, gate)
    assert result.code == 0, result.err
    assert result.case("test-test", "gate champion").find("skipped") is not None


def test_a_gate_of_the_teams_own(two_bundles: Workspace) -> None:
    (two_bundles.folder / "team.py").write_text(
        "from mlops_steps import GateResult, GateVerdict\n"
        "def churn_rate(context):\n"
        "    columns = context.rows('scored', 'churned')\n"
        "    live = context.rows('scored', 'churned', champion=True)\n"
        "    assert len(live['churned']) == 1200\n"
        "    rate = sum(int(value) for value in columns['churned']) / len(columns['churned'])\n"
        "    good = rate < float(context.options['limit'])\n"
        "    verdict = GateVerdict.PASSED if good else GateVerdict.FAILED\n"
        "    return GateResult(verdict, f'churn rate {rate:.2f}', rate)\n"
        "def broken(context):\n"
        "    raise ZeroDivisionError('by hand')\n"
        "def nothing(context):\n"
        "    return None\n"
    )
    own = {"gate": "custom", "function": "team.py:churn_rate"}
    result = judged(
        two_bundles,
        {**own, "name": "low", "options": {"limit": 0.9}},
        {**own, "name": "high", "options": {"limit": 0.1}},
        {"gate": "custom", "name": "broken", "function": "team.py:broken"},
        {"gate": "custom", "name": "nothing", "function": "team.py:nothing"},
    )
    assert result.code == 1, result.err
    verdicts = {
        name: result.properties("test-test")[f"gate.{name}.verdict"] for name in ("low", "high", "broken", "nothing")
    }
    assert verdicts == {"low": "passed", "high": "failed", "broken": "unmeasured", "nothing": "unmeasured"}
    assert "ZeroDivisionError: by hand" in result.err


def test_a_release_that_a_gate_has_stopped_is_refused(two_bundles: Workspace) -> None:
    judged(two_bundles, champion(metric="accuracy", prediction="predicted"))
    live = two_bundles.live()
    result = two_bundles.run("release", "--stage", "prod")
    assert result.code == 1
    assert "has not passed its tests" in result.err
    assert two_bundles.live() == live


@pytest.mark.parametrize(
    ("gate", "said"),
    [
        ({"gate": "metrics"}, "gates.0.gate: must be one of metric, champion"),
        ({"model": "a"}, "gates.0.gate: is missing"),
        (
            {"gate": "governance", "govern": "desing"},
            "gates.0.govern: no such node of nodes: desing; did you",
        ),
        ({"gate": "metric", "model": "a", "metric": "auc"}, "gates.0: must have a limit"),
        (
            {"gate": "metric", "model": "a", "metric": "auc", "at_lest": 1},
            "gates.0.at_lest: unknown key; did you mean at_least?",
        ),
        (champion(metric="auc"), "gates.0: must name the column probability"),
        (
            champion(metric="auc", probability="p", confidence=2),
            "gates.0.confidence: must be less than or equal to 0.999",
        ),
    ],
)
def test_mistakes_in_the_configuration(two_bundles: Workspace, gate: dict[str, Any], said: str) -> None:
    result = judged(two_bundles, gate)
    assert result.code == 2, result.err
    assert said in result.err


def test_two_gates_of_one_name_are_refused(two_bundles: Workspace) -> None:
    gate = {"gate": "metric", "model": "a", "metric": "auc", "at_least": 1}
    result = judged(two_bundles, gate, gate)
    assert result.code == 2
    assert "two gates are called 'metric'" in result.err


def test_before_the_first_release_there_is_no_champion(steps_sandbox: Sandbox, tmp_path: Path) -> None:
    create_project(steps_sandbox, "GATESFIRST")
    workspace = Workspace(tmp_path, steps_sandbox, "GATESFIRST")
    upload(workspace, "scored", rows_of("good", 100))
    workspace.ok("package", BUILD_NUMBER="1")
    workspace.ok("deploy", "--stage", "test")
    result = judged(workspace, champion(metric="accuracy", prediction="predicted"))
    assert result.code == 0, result.err
    skipped = result.case("test-test", "gate champion").find("skipped")
    assert skipped is not None
    assert skipped.get("message") == "first release: there is no champion to compare with"
    set_policy(workspace, "PREVENT")
    try:
        result = judged(workspace, {"gate": "governance"})
    finally:
        set_policy(workspace, "NO_CHECK")
    assert result.code == 0, result.err
    skipped = result.case("test-test", "gate governance").find("skipped")
    assert skipped is not None
    assert "first release: there is no deployment on auto-prod" in (skipped.get("message") or "")
