"""A tiny API service for tests: a model of the project's own library, and a function."""

from __future__ import annotations

import pickle
import sys
import types
from typing import Any

import dataikuapi

from mlops_steps.sandbox.services.projects.model import Project
from tests.sandbox.conftest import write_tree

FEATURES = ["age", "calls"]
RECORD = {"age": 40, "calls": 3}
MODEL_CODE = """
import time

import pandas as pd


class Scorer:
    classes_ = [0, 1]

    def __init__(self, weight, seconds, broken, fails_over, slow_over):
        self.weight, self.seconds, self.broken, self.fails_over = weight, seconds, broken, fails_over
        self.slow_over = slow_over

    def predict_proba(self, frame):
        if (frame["age"].fillna(1e9) > self.slow_over).any():
            time.sleep(self.seconds)
        if self.broken or frame.isna().any().any():
            raise ValueError("the input has gaps" if not self.broken else "broken")
        if (frame["age"] > self.fails_over).any():
            raise ValueError("too old")
        likely = ((frame["age"] * self.weight).clip(0, 100) / 100).to_numpy()
        import numpy
        return numpy.column_stack([1 - likely, likely])

    def predict(self, frame):
        return (frame["age"] * self.weight).to_numpy()
"""
FUNCTION_CODE = """
def api_py_function(who, times=1):
    if who == "nobody":
        raise DkuCustomApiException("nobody is not known", http_status_code=418)
    return {"greeting": "MARK " * times + who}
"""


def put_model(
    project: Project,
    version: str,
    *,
    weight: float = 1,
    seconds: float = 0,
    broken: bool = False,
    fails_over: float = 1e9,
    slow_over: float = -1e9,
    **version_fields: Any,
) -> None:
    """Makes ``version`` the active one of the project's saved model; ``version_fields`` stand in its document."""
    module = types.ModuleType("scorer_of_test")
    exec(MODEL_CODE, module.__dict__)
    module.Scorer.__module__ = "scorer_of_test"
    sys.modules["scorer_of_test"] = module
    try:
        pickled = pickle.dumps(module.Scorer(weight, seconds, broken, fails_over, slow_over))
    finally:
        del sys.modules["scorer_of_test"]
    folder = project.data_dir / "saved_models" / "model" / "versions" / version
    document = {
        "id": version,
        "trainDate": 1,
        "metrics": {},
        "algorithm": "TEST",
        "predictionType": "BINARY_CLASSIFICATION",
        "features": FEATURES,
        "classes": [0, 1],
        "probaPercentiles": [percent / 100 for percent in range(1, 101)],
        **version_fields,
    }
    write_tree(folder, {"version.json": document})
    (folder / "model.joblib").write_bytes(pickled)
    write_tree(project.dir, {"project_config/lib/python/scorer_of_test.py": MODEL_CODE})
    write_tree(project.dir, {"project_config/saved_models/model.json": {"name": "Model", "activeVersion": version}})


def put_service(design: dataikuapi.DSSClient, project: Project, service_id: str = "scores", **settings: Any) -> Any:
    """Creates the service with an endpoint for predictions and one for a function; returns its handle."""
    handle = design.get_project(project.key).create_api_service(service_id)
    wanted = handle.get_settings()
    wanted.add_prediction_endpoint("score", "model")
    wanted.get_raw()["endpoints"][0]["testQueries"] = [{"q": {"features": RECORD}}, {"q": {"features": {"age": 1}}}]
    code = FUNCTION_CODE.replace("MARK", project.key)
    wanted.get_raw()["endpoints"].append({"id": "greet", "type": "PY_FUNCTION", "code": code})
    wanted.get_raw().update(settings)
    wanted.save()
    return handle


def publish(design: dataikuapi.DSSClient, project: Project, *versions: str, **settings: Any) -> str:
    """Publishes versions of a service of its own, the n-th with weight n; returns the service's id."""
    service_id = project.key.lower()
    service = put_service(design, project, service_id, **settings)
    for number, version in enumerate(versions, 1):
        put_model(project, f"m{number}", weight=number)
        service.create_package(version)
        service.publish_package(version)
    return service_id


def deploy(design: dataikuapi.DSSClient, service_id: str, version: str, infra: str = "api-dev") -> Any:
    """Deploys a version and returns the deployment; it is updated, whatever comes of it."""
    deployment = design.get_apideployer().create_deployment(f"{service_id}-on-{infra}", service_id, infra, version)
    deployment.start_update().wait_for_result()
    return deployment


def share(deployment: Any, **probabilities: float) -> Any:
    """Gives versions their shares of the calls and returns the result of the update."""
    settings = deployment.get_settings()
    entries = [{"generation": version, "proba": proba} for version, proba in probabilities.items()]
    settings.get_raw()["generationsMapping"] = {"mode": "MULTI_GENERATION", "entries": entries}
    settings.save()
    return deployment.start_update().wait_for_result()
