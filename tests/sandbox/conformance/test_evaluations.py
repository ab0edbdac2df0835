"""Evaluation stores as the official client asks for them: evaluations by a recipe, metrics, drift."""

from __future__ import annotations

import dataikuapi
import pytest
from dataikuapi.dss.modelevaluationstore import DriftParams, PerColumnDriftParamBuilder
from dataikuapi.dss.project import DSSProject
from dataikuapi.utils import DataikuException

from mlops_steps.sandbox.node.node import Node
from mlops_steps.sandbox.services.projects.model import Project
from tests.sandbox.conformance.conftest import build
from tests.sandbox.conftest import client_of
from tests.sandbox.evaluated import STORE, csv_rows, evaluated_files
from tests.sandbox.flows import make_project

KEY = "EVALUATED"


@pytest.fixture(scope="module")
def evaluated(design_node: Node) -> DSSProject:
    """Trained on 1,000 rows, evaluated on 800: first on rows like these, then on rows whose x has moved."""
    make_project(design_node, KEY, evaluated_files(csv_rows(2, 800)))
    project = client_of(design_node).get_project(KEY)
    assert build(project, "model")["state"] == "DONE"
    project.get_evaluation_store(STORE).build()
    moved = Project(design_node, KEY).uploads_dir / "incoming" / "incoming.csv"
    moved.write_text(csv_rows(3, 800, shift=1.0))
    project.get_evaluation_store(STORE).build()
    return project


def test_a_recipe_makes_evaluations_with_metrics(evaluated: DSSProject) -> None:
    store = evaluated.get_model_evaluation_store(STORE)
    first, second = store.list_model_evaluations()
    assert store.get_latest_evaluation().evaluation_id == second.evaluation_id
    info = first.get_full_info()
    active = evaluated.get_saved_model("model").get_active_version()["id"]
    assert info.model_full_id == f"S-{KEY}-model-{active}"
    assert info.full_id == first.full_id
    assert (info.prediction_type, info.target_variable, info.has_model) == ("BINARY_CLASSIFICATION", "label", True)
    assert set(info.metrics) == {"accuracy", "auc", "f1", "logLoss", "precision", "recall"}
    assert 0.8 < info.metrics["auc"] < 1
    assert info.creation_date < second.get_full_info().creation_date
    assert first.get_metrics()["metrics"][1]["metric"]["id"] == "model_perf:AUC"
    values = store.get_last_metric_values()
    assert float(values.get_metric_by_id("model_perf:AUC")["lastValues"][0]["value"]) == pytest.approx(
        second.get_full_info().metrics["auc"]
    )
    assert len(store.get_metric_history("model_perf:AUC")["values"]) == 2
    assert store.get_usages() == [{"type": "RECIPE_OUTPUT", "objectId": "evaluate", "objectProjectKey": KEY}]
    sample = first.get_sample_df()
    assert (len(sample), list(sample.columns)[:4]) == (800, ["x", "noise", "kind", "label"])


def test_drift_against_the_training_data(evaluated: DSSProject) -> None:
    first = evaluated.get_model_evaluation_store(STORE).list_model_evaluations()[0]
    found = first.compute_drift()
    columns = found.univariate_drift_result.per_column_drift_data
    assert set(columns) == {"x", "noise", "kind"}
    assert all(one["populationStabilityIndex"] < 0.1 for one in columns.values())
    assert found.drift_model_result.drift_model_accuracy.value < 0.6
    importance = found.drift_model_result.feature_drift_importance
    scores = dict(zip(importance["columns"], importance["columnImportanceScores"], strict=True))
    assert scores["x"] > scores["noise"]
    assert sum(scores.values()) == pytest.approx(1)
    raw = found.drift_model_result.get_raw()
    assert (raw["referenceSampleSize"], raw["currentSampleSize"]) == (1000, 800)


def test_drift_of_chosen_columns_against_another_evaluation(evaluated: DSSProject) -> None:
    first, second = evaluated.get_model_evaluation_store(STORE).list_model_evaluations()
    chosen = PerColumnDriftParamBuilder().with_column_drift_param("kind", "CATEGORICAL")
    params = DriftParams.from_params(chosen.with_column_drift_param("noise", enabled=False).build(), nb_bins=5)
    found = second.compute_drift(reference=first, drift_params=params)
    columns = found.univariate_drift_result.per_column_drift_data
    assert set(columns) == {"x", "kind"}
    assert columns["x"]["populationStabilityIndex"] > 0.5
    assert columns["x"]["ksTestPvalue"] < 1e-6
    assert columns["kind"]["chiSquareTestPvalue"] > 1e-3
    assert found.drift_model_result.drift_model_accuracy.lower_confidence_interval > 0.55
    assert found.prediction_drift_result.chiSquare < 1e-6
    assert found.prediction_drift_result.psi > 0.05
    handled = {one.name: (one.default_column_handling, one.actual_column_handling) for one in found.per_column_settings}
    assert handled == {
        "x": ("NUMERICAL", "NUMERICAL"),
        "noise": ("NUMERICAL", "IGNORED"),
        "kind": ("NUMERICAL", "CATEGORICAL"),
    }


def test_what_cannot_be_compared_is_an_error(evaluated: DSSProject) -> None:
    store = evaluated.get_evaluation_store(STORE)
    with pytest.raises(DataikuException, match="neither a model version nor an evaluation"):
        store.get_latest_evaluation().compute_drift(reference="S-OTHER-model-1")
    with pytest.raises(DataikuException, match="has no evaluation 1"):
        store.get_latest_evaluation().compute_drift(reference=f"ME-{KEY}-{STORE}-1")


def test_stores_are_made_filled_and_deleted(design: dataikuapi.DSSClient, project: DSSProject) -> None:
    store = project.create_model_evaluation_store("mine")
    assert [one.id for one in project.list_model_evaluation_stores()] == [store.id]
    assert [one.id for one in project.list_evaluation_stores("LLM")] == []
    assert store.get_latest_evaluation() is None
    store.add_custom_model_evaluation(
        [store.MetricDefinition("cost", 3.5)], "e1", "by hand", [{"key": "a", "value": "b"}]
    )
    evaluation = store.get_latest_model_evaluation()
    info = evaluation.get_full_info()
    assert (info.metrics, info.model_full_id, info.user_meta["name"]) == ({"cost": 3.5}, None, "by hand")
    info.user_meta["name"] = "renamed"
    info.save_user_meta()
    assert evaluation.get_full_info().user_meta["name"] == "renamed"
    with pytest.raises(DataikuException, match="evaluation e1 has no sample"):
        evaluation.compute_drift(reference="S-A-b-c")
    settings = store.get_settings()
    settings.get_raw()["name"] = "ours"
    settings.save()
    assert store.get_settings().get_raw()["name"] == "ours"
    evaluation.delete()
    assert store.list_model_evaluations() == []
    store.delete()
    assert project.list_model_evaluation_stores() == []


def test_an_evaluation_recipe_is_made_by_the_client(design_node: Node, new_key: str) -> None:
    make_project(design_node, new_key, evaluated_files(csv_rows(2, 100)))
    project = client_of(design_node).get_project(new_key)
    project.get_recipe("evaluate").delete()
    builder = project.new_recipe("evaluation", "mine").with_input("incoming").with_input_model("model")
    recipe = builder.with_output_evaluation_store(STORE).create()
    assert recipe.get_status().get_status_severity() in (None, "SUCCESS")
