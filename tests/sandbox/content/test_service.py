"""The API service of the churn project with each of its versions, on a real API node, by the official client."""

from __future__ import annotations

import csv
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dataikuapi
import pytest
import yaml
from dataikuapi.utils import DataikuException

from mlops_steps.sandbox.content import queries_of_service
from mlops_steps.sandbox.content.revisions import revision_files, write_revision
from mlops_steps.sandbox.services.projects.model import Project, create
from mlops_steps.sandbox.site import Sandbox

LIVE, BETTER, SLOWER, WRONG, FRAGILE = (f"revision-{number}" for number in (2, 4, 5, 6, 7))
# Runs the recipe of each revision in one process: five flows in processes of their own take minutes on a busy machine.
TRAINING = """
import json, pathlib, sys, types
import joblib
import pandas as pd

root = pathlib.Path(sys.argv[1])
for number in sys.argv[2:]:
    folder = root / number / "project_config"
    for name in [name for name in sys.modules if name.split(".")[0] == "churn"]:
        del sys.modules[name]
    sys.path.insert(0, str(folder / "lib/python"))
    from churn.features import prepare
    from churn.split import split
    train, test = split(prepare(pd.read_csv(root / number / "uploads/churn/churn.csv")))
    frames = {"customers_train": train, "customers_test": test}

    class Model:
        def __init__(self, name):
            pass

        def save_version(self, model, metrics, **given):
            joblib.dump(model, root / number / "model.joblib")
            given["probabilities"] = list(given["probabilities"])
            (root / number / "given.json").write_text(json.dumps({"metrics": metrics, **given}))
            return number

    class Dataset:
        def __init__(self, name):
            self.get_dataframe = lambda: frames[name]

    sys.modules["dataiku"] = types.SimpleNamespace(Model=Model, Dataset=Dataset)
    exec((folder / "recipes/train_churn_model.py").read_text(), {})
    sys.path.pop(0)
"""
QUERIES = [query for query in yaml.safe_load(queries_of_service())["queries"] if "features" in query]
ENDPOINT = "predict_churn"


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for each of the revisions with its files and what its recipe has trained."""
    root = tmp_path_factory.mktemp("trained")
    for number in (2, 4, 5, 6, 7):
        write_revision(root / str(number), number)
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", TRAINING, str(root), "2", "4", "5", "6", "7"]
    subprocess.run(command, env=environment, check=True, timeout=280)
    return root


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    with Sandbox.open(tmp_path_factory.mktemp("service") / "nodes") as sandbox:
        yield sandbox


@pytest.fixture(scope="module")
def client(nodes: Sandbox, trained: Path) -> dataikuapi.APINodeClient:
    """Of an API node that serves every version; revision 2 has all calls that force none."""
    design = dataikuapi.DSSClient(nodes.design.url, nodes.design.api_key)
    project = create(nodes.design, "DKU_CHURN", "Churn")
    service = design.get_project("DKU_CHURN").get_api_service("churn")
    for number in (2, 4, 5, 6, 7):
        write_revision(project.dir, number)
        add_version(project, trained / str(number), f"v{number}")
        service.create_package(f"revision-{number}")
        service.publish_package(f"revision-{number}")
    deployment = design.get_apideployer().create_deployment("churn-dev", "churn", "api-dev", LIVE)
    settings = deployment.get_settings()
    entries = [{"generation": name, "proba": float(name == LIVE)} for name in (LIVE, BETTER, SLOWER, WRONG, FRAGILE)]
    settings.get_raw()["generationsMapping"] = {"mode": "MULTI_GENERATION", "entries": entries}
    settings.save()
    result = deployment.start_update().wait_for_result()
    assert result["status"] == "SUCCESS", result
    return dataikuapi.APINodeClient(nodes.nodes["api-dev-1"].url, "churn")


@pytest.fixture(scope="module")
def customers() -> list[tuple[dict[str, Any], str]]:
    """Customers as records, each with what became of it: ``1`` for one who left."""
    (path,) = (path for path in revision_files(1) if path.name == "churn.csv")
    rows = csv.DictReader(revision_files(1)[path].decode().splitlines())
    features = list(QUERIES[0]["features"])
    words = {"yes": 1, "no": 0}
    return [
        (
            {name: words.get(row[name]) if row[name] in words else float(row[name]) for name in features},
            str(words[row["churn"]]),
        )
        for row in rows
    ][:1500]


def add_version(project: Project, trained: Path, version: str) -> None:
    """Makes what a recipe has trained the active version of the model."""
    given = json.loads((trained / "given.json").read_text())
    document = {
        "id": version,
        "trainDate": 1,
        "metrics": given["metrics"],
        "algorithm": given["algorithm"],
        "predictionType": "BINARY_CLASSIFICATION",
        "features": given["features"],
        "classes": [0, 1],
        "missingHandling": given.get("missing_handling", "DROP_ROW"),
        "probaPercentiles": [percent / 100 for percent in range(1, 101)],
    }
    folder = project.data_dir / "saved_models" / "churn_model" / "versions" / version
    folder.mkdir(parents=True)
    (folder / "version.json").write_text(json.dumps(document))
    shutil.copy(trained / "model.joblib", folder)
    settings = project.config_dir / "saved_models" / "churn_model.json"
    settings.write_text(json.dumps({**json.loads(settings.read_text()), "activeVersion": version}))


def predictions(client: dataikuapi.APINodeClient, customers: list[Any], version: str) -> list[str]:
    records = [{"features": record} for record, _left in customers]
    answer = client.predict_records(ENDPOINT, records, forced_generation=version)
    return [result["prediction"] for result in answer["results"]]


@pytest.mark.parametrize("version", [LIVE, BETTER, SLOWER])
@pytest.mark.parametrize("query", QUERIES, ids=[query["name"] for query in QUERIES])
def test_the_queries_of_the_file_are_answered_as_it_says(
    client: dataikuapi.APINodeClient, query: dict[str, Any], version: str
) -> None:
    result = client.predict_record(ENDPOINT, query["features"], forced_generation=version)["result"]
    expected = query["expect"]
    if "ignored" in expected:
        assert (result["ignored"], result["ignoreReason"]) == (True, expected["ignored"])
        return
    assert result["prediction"] == expected["prediction"]
    assert result["probas"]["1"] == pytest.approx(expected["probas"]["1"], abs=expected["tolerance"])
    assert 0 <= result["probaPercentile"] <= 100


def test_a_record_that_lacks_a_feature_as_in_the_published_sample(client: dataikuapi.APINodeClient) -> None:
    record = {name: value for name, value in QUERIES[0]["features"].items() if name != "voice_mail_plan"}
    prediction = client.predict_record(ENDPOINT, record)
    assert prediction["result"]["ignored"] is True
    assert prediction["result"]["ignoreReason"] == "IGNORED_BY_MODEL"
    assert prediction["apiContext"]["serviceGeneration"] == LIVE


def test_the_better_version_is_right_more_often(client: dataikuapi.APINodeClient, customers: list[Any]) -> None:
    left = [what for _record, what in customers]
    right = {version: sum(map(str.__eq__, predictions(client, customers, version), left)) for version in (LIVE, BETTER)}
    assert right[BETTER] > right[LIVE]


def test_the_slower_version_says_the_same_and_takes_longer(
    client: dataikuapi.APINodeClient, customers: list[Any]
) -> None:
    assert predictions(client, customers[:200], SLOWER) == predictions(client, customers[:200], LIVE)
    answer = client.predict_record(ENDPOINT, customers[0][0], forced_generation=SLOWER)
    assert answer["timing"]["prediction"] > 80_000


def test_the_wrong_version_differs_for_customers_with_an_international_plan(
    client: dataikuapi.APINodeClient, customers: list[Any]
) -> None:
    live, wrong = predictions(client, customers, LIVE), predictions(client, customers, WRONG)
    differ = {0: [0, 0], 1: [0, 0]}
    for one, other, (record, _left) in zip(live, wrong, customers, strict=True):
        differ[record["international_plan"]][0] += one != other
        differ[record["international_plan"]][1] += 1
    shares = {plan: count / total for plan, (count, total) in differ.items()}
    assert shares[1] > 0.15
    assert shares[0] < 0.03


def test_the_fragile_version_fails_for_a_record_that_lacks_a_feature(
    client: dataikuapi.APINodeClient, customers: list[Any]
) -> None:
    record = dict(customers[0][0])
    assert client.predict_record(ENDPOINT, record, forced_generation=FRAGILE)["result"]["ignored"] is False
    del record["total_day_minutes"]
    with pytest.raises(DataikuException, match="predict_churn failed: ValueError"):
        client.predict_record(ENDPOINT, record, forced_generation=FRAGILE)


def test_the_function_makes_an_offer(client: dataikuapi.APINodeClient) -> None:
    assert client.run_function("retention_offer", probability=0.8, monthly_bill=20)["response"] == {
        "offer": True,
        "discount": 48.0,
    }
    assert client.run_function("retention_offer", probability=0.1, monthly_bill=20)["response"]["offer"] is False
    with pytest.raises(DataikuException, match="must be from 0 to 1"):
        client.run_function("retention_offer", probability=7, monthly_bill=20)
