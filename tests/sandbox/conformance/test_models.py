"""Versions of saved models that a real DSS trained: what the client shows of them is read from their files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import dataikuapi
import pytest

from mlops_steps.sandbox.services.projects.model import Project
from tests.sandbox.conftest import write_tree

# Shortened, with the names of published exports.
FILES: dict[str, Any] = {
    "perf.json": {
        "usedThreshold": 0.725,
        "metrics": {},
        "tiMetrics": {"auc": 0.8389, "logLoss": 0.9543, "lift": 1.9271},
        "perCutData": {"cut": [0.0, 0.25, 0.5, 0.75], "f1": [0.545, 0.672, 0.710, 0.701], "fp": [80, 33, 21, 2]},
    },
    "iperf.json": {"gridCells": [{"score": 0.85, "params": {"C": 1.0}}]},
    "train_info.json": {"state": "DONE", "startTime": 1593794339995, "endTime": 1593794355845, "trainingTime": 15850},
    "user_meta.json": {"name": "Random forest", "starred": False, "activeClassifierThreshold": 0.25},
    "rmodeling_params.json": {"algorithm": "RANDOM_FOREST_CLASSIFICATION", "gridLength": 2},
    "rpreprocessing_params.json": {"per_feature": {"Fare": {"role": "INPUT"}, "Survived": {"role": "TARGET"}}},
    "actual_params.json": {"resolved": {"algorithm": "RANDOM_FOREST_CLASSIFICATION", "rf": {"estimators": 100}}},
    "split/split.json": {"params": {"ttPolicy": "SPLIT_SINGLE_DATASET"}, "trainRows": 416, "testRows": 113},
    "sm_origin.json": {"origin": "EXPORTED_FROM_ANALYSIS"},
}


@pytest.fixture
def real(tiny: Project) -> Project:
    """A project whose model was trained by a real DSS."""
    write_tree(tiny.data_dir / "saved_models" / "model" / "versions" / "v1", FILES)
    definition = {
        "name": "Model",
        "activeVersion": "v1",
        "miniTask": {"predictionType": "BINARY_CLASSIFICATION", "targetVariable": "Survived"},
    }
    write_tree(tiny.dir, {"project_config/saved_models/model.json": definition})
    return tiny


def check(client: dataikuapi.DSSClient, key: str) -> None:
    model = client.get_project(key).get_saved_model("model")
    (version,) = model.list_versions()
    assert version["snippet"]["trainDate"] == 1593794355845
    details = model.get_version_details("v1")
    metrics = details.get_performance_metrics()
    # At the threshold in use, 0.25.
    assert (metrics["auc"], metrics["f1"], metrics["fp"]) == (0.8389, 0.672, 33)
    assert details.get_raw_snippet()["algorithm"] == "RANDOM_FOREST_CLASSIFICATION"
    assert details.get_raw_snippet()["predictionType"] == "BINARY_CLASSIFICATION"
    assert details.get_raw_snippet()["userMeta"]["name"] == "Random forest"
    assert details.get_train_info()["trainingTime"] == 15850
    assert details.get_modeling_settings()["gridLength"] == 2
    assert details.get_actual_modeling_params()["resolved"]["rf"] == {"estimators": 100}
    assert details.get_hyperparameter_search_points() == [{"score": 0.85, "params": {"C": 1.0}}]
    assert details.get_preprocessing_settings()["per_feature"]["Fare"] == {"role": "INPUT"}
    assert details.get_raw()["splitDesc"]["trainRows"] == 416
    assert details.get_raw()["coreParams"]["target_variable"] == "Survived"
    assert details.get_raw()["smOrigin"]["origin"] == "EXPORTED_FROM_ANALYSIS"
    computed = {
        entry["metric"]["id"]: entry["lastValues"][0]["value"] for entry in model.get_metric_values("v1").raw["metrics"]
    }
    assert computed["model_perf:AUC"] == "0.8389"


def test_what_is_known_of_a_version_is_read_from_its_files(design: dataikuapi.DSSClient, real: Project) -> None:
    check(design, real.key)


def test_it_travels_in_a_bundle(
    auto_test: dataikuapi.DSSClient, real: Project, exported: Callable[[Project, str], Path]
) -> None:
    with exported(real, "v1").open("rb") as file:
        auto_test.create_project_from_bundle_archive(file)
    auto_test.get_project(real.key).activate_bundle("v1")
    check(auto_test, real.key)


def test_a_version_without_such_files_is_listed_all_the_same(design: dataikuapi.DSSClient, tiny: Project) -> None:
    model = design.get_project(tiny.key).get_saved_model("model")
    assert [version["id"] for version in model.list_versions()] == ["v1"]
    assert model.get_version_details("v1").get_raw()["splitDesc"] == {}
