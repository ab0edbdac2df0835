"""Saved models: trained by a recipe, read by another and through the official client."""

from __future__ import annotations

from typing import Any

import dataikuapi
import pytest
from dataikuapi.dss.project import DSSProject
from dataikuapi.utils import DataikuException

from mlops_steps.sandbox.node.node import Node
from tests.sandbox.flows import flow_files, make_project, managed, recipe

TRAIN = """
    import dataiku
    from sklearn.tree import DecisionTreeClassifier
    people = dataiku.Dataset("people").get_dataframe(limit=2)
    model = DecisionTreeClassifier().fit(people[["age"]], people["name"] == "Ada")
    model.classes_ = model.classes_.astype(int)
    version = dataiku.Model("Who is Ada").save_version(
        model, {"accuracy": 1.0, "auc": 0.99}, features=["age"], target="name", files={"notes.txt": "kept"}
    )
    print("version", version)
"""
SCORE = """
    import dataiku
    model = dataiku.Model("ada_model")
    people = dataiku.Dataset("people").get_dataframe(columns=["name", "age"], limit=2)
    scores = model.get_predictor().predict(people, with_input_cols=True)
    assert list(scores.columns) == ["name", "age", "proba_0", "proba_1", "prediction"], scores.columns
    active = [version["versionId"] for version in model.list_versions() if version["active"]]
    model.activate_version(active[0])
    assert model.get_version_metrics(active[0]).get_performance_values() == {"accuracy": 1.0, "auc": 0.99}
    dataiku.Dataset("scores").write_with_schema(scores[["name", "proba_1", "prediction"]])
"""


def files() -> dict[str, Any]:
    mini_task = {"taskType": "PREDICTION", "predictionType": "BINARY_CLASSIFICATION"}
    return {
        **flow_files(),
        "project_config/saved_models/ada_model.json": {
            "name": "Who is Ada",
            "type": "PREDICTION",
            "miniTask": mini_task,
        },
        "project_config/datasets/scores.json": managed("scores"),
        "project_config/recipes/train.json": recipe(["people"], ["ada_model"]),
        "project_config/recipes/train.py": TRAIN,
        "project_config/recipes/score.json": recipe(["people", "ada_model"], ["scores"]),
        "project_config/recipes/score.py": SCORE,
    }


@pytest.fixture(scope="module")
def project(design_node: Node) -> DSSProject:
    """A project whose model was trained once and used."""
    make_project(design_node, "FLOW_MODELS", files())
    project = dataikuapi.DSSClient(design_node.url, design_node.api_key).get_project("FLOW_MODELS")
    project.new_job("RECURSIVE_BUILD").with_output("scores").start_and_wait()
    return project


def test_a_recipe_trains_a_version_with_metrics(project: DSSProject) -> None:
    model = project.get_saved_model("ada_model")
    [version] = model.list_versions()

    assert version["active"] is True
    assert (version["snippet"]["accuracy"], version["snippet"]["auc"]) == (1.0, 0.99)
    assert version["snippet"]["trainDate"] > 1_600_000_000_000
    details = model.get_version_details(version["id"])
    assert details.get_performance_metrics()["auc"] == 0.99
    assert details.full_id == f"S-FLOW_MODELS-ada_model-{version['id']}"
    assert model.get_metric_values(version["id"]).get_global_value("model_perf:AUC") == 0.99
    assert model.get_origin_ml_task() is None
    assert model.get_settings().prediction_type == "BINARY_CLASSIFICATION"


def test_another_recipe_predicts_with_it(project: DSSProject) -> None:
    schema = project.get_dataset("scores").get_schema()["columns"]
    assert [(column["name"], column["type"]) for column in schema] == [
        ("name", "string"),
        ("proba_1", "double"),
        ("prediction", "bigint"),
    ]
    assert list(project.get_dataset("scores").iter_rows()) == [["Ada", 1.0, 1], ["Grace", 0.0, 0]]


def test_the_model_is_listed_and_part_of_the_graph(project: DSSProject) -> None:
    assert [(item["id"], item["name"]) for item in project.list_saved_models()] == [("ada_model", "Who is Ada")]
    nodes = project.get_flow().get_graph().nodes
    assert nodes["ada_model"]["predecessors"] == ["train"]
    assert nodes["ada_model"]["successors"] == ["score"]


def test_versions_are_activated_and_deleted(project: DSSProject) -> None:
    model = project.get_saved_model("ada_model")
    first = model.get_active_version()["id"]
    project.new_job().with_output("ada_model", object_type="SAVED_MODEL").start_and_wait()
    second = model.get_active_version()["id"]
    assert (second != first, [version["id"] for version in model.list_versions()]) == (True, [second, first])

    model.set_active_version(first)
    assert model.get_active_version()["id"] == first
    with pytest.raises(DataikuException, match=f"version {first} .* is active: it cannot be deleted"):
        model.delete_versions([first])
    model.delete_versions([second])
    assert [version["id"] for version in model.list_versions()] == [first]
    with pytest.raises(DataikuException, match="has no version 123"):
        model.set_active_version("123")


def test_importing_an_mlflow_model_is_refused_by_name(project: DSSProject, tmp_path: Any) -> None:
    model = project.create_mlflow_pyfunc_model("Imported", "REGRESSION")
    with pytest.raises(
        DataikuException, match=r"not supported by the sandbox: POST /projects/FLOW_MODELS/savedmodels/.*/versions/v1"
    ):
        model.import_mlflow_version_from_path("v1", str(tmp_path), code_env_name="x", container_exec_config_name="NONE")
    model.delete()
