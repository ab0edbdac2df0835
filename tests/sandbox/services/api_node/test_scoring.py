"""Calls of endpoints, by the official client of API nodes."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import dataikuapi
import pytest
import requests
from dataikuapi.utils import DataikuException

from mlops_steps.sandbox.node.node import Node
from mlops_steps.sandbox.services.api_node.model import activity_of
from mlops_steps.sandbox.services.projects.model import Project
from mlops_steps.sandbox.site import Sandbox
from tests.sandbox.api_service import RECORD, deploy, publish, put_model, put_service, share


@pytest.fixture
def api_node(sandbox: Sandbox) -> Node:
    return sandbox.nodes["api-dev-1"]


def client_of(node: Node, service_id: str, key: str | None = None) -> dataikuapi.APINodeClient:
    return dataikuapi.APINodeClient(node.url, service_id, key)


@pytest.fixture
def service(design: dataikuapi.DSSClient, tiny: Project) -> str:
    """A service with the versions v1 and v2, of which v1 answers on api-dev."""
    service_id = publish(design, tiny, "v1", "v2")
    deploy(design, service_id, "v1")
    return service_id


def test_a_record_is_predicted_in_the_form_of_an_api_node(api_node: Node, service: str) -> None:
    answer = client_of(api_node, service).predict_record("score", RECORD, context={"who": "test"})
    assert answer["result"] == {
        "prediction": "0",
        "probaPercentile": 40,
        "probas": {"0": 0.6, "1": 0.4},
        "ignored": False,
    }
    assert answer["apiContext"] == {"serviceId": service, "endpointId": "score", "serviceGeneration": "v1"}
    assert all(isinstance(microseconds, int) for microseconds in answer["timing"].values())


def test_every_answer_says_the_versions(api_node: Node, service: str) -> None:
    for url, status in (
        (f"/public/api/v1/{service}/score/predict", 200),
        ("/public/api/v1/none/score/predict", 404),
        ("/isAlive/", 200),
    ):
        method = "GET" if url == "/isAlive/" else "POST"
        answer = requests.request(method, api_node.url + url, json={"features": RECORD}, timeout=60)
        assert answer.status_code == status
        assert answer.headers["DSS-API-Version"]
        assert answer.headers["DSS-Version"]


def test_many_records_are_answered_in_their_order(api_node: Node, service: str) -> None:
    records = [{"features": {"age": age, "calls": 1}} for age in range(90)]
    answer = client_of(api_node, service).predict_records("score", records)
    assert [round(result["probas"]["1"] * 100) for result in answer["results"]] == list(range(90))
    assert answer["apiContext"]["serviceGeneration"] == "v1"
    assert client_of(api_node, service).predict_records("score", [])["results"] == []


@pytest.mark.parametrize(
    "features", [{"age": 40}, {"age": None, "calls": 1}, {"age": float("nan"), "calls": 1}, {"x": 1}]
)
def test_a_record_that_lacks_a_feature_is_ignored(api_node: Node, service: str, features: dict[str, Any]) -> None:
    result = client_of(api_node, service).predict_record("score", features)["result"]
    assert result == {"ignored": True, "ignoreReason": "IGNORED_BY_MODEL"}


def test_records_that_lack_a_feature_leave_the_others_of_a_batch_alone(api_node: Node, service: str) -> None:
    records = [{"features": RECORD}, {"features": {"age": 1}}, {"features": {"age": "50", "calls": True}}]
    results = client_of(api_node, service).predict_records("score", records)["results"]
    assert [result["ignored"] for result in results] == [False, True, False]
    assert results[2]["probas"]["1"] == 0.5


def test_a_model_may_ask_for_records_with_gaps_and_fail(
    design: dataikuapi.DSSClient, api_node: Node, tiny: Project
) -> None:
    put_model(tiny, "m1", missingHandling="PASS_ON")
    service = put_service(design, tiny, tiny.key.lower())
    service.create_package("v1")
    service.publish_package("v1")
    deploy(design, service.id, "v1")
    client = client_of(api_node, service.id)
    assert client.predict_record("score", RECORD)["result"]["prediction"] == "0"
    with pytest.raises(DataikuException, match="endpoint score failed: ValueError: the input has gaps"):
        client.predict_record("score", {"age": 1})
    assert client.predict_record("score", RECORD)["result"]["prediction"] == "0", "the process lives on"


def test_a_function_is_called_with_its_arguments(api_node: Node, service: str) -> None:
    client = client_of(api_node, service)
    answer = client.run_function("greet", who="Ada", times=2)
    assert answer["response"]["greeting"].count(service.upper()) == 2
    assert answer["apiContext"]["serviceGeneration"] == "v1"
    with pytest.raises(DataikuException, match="TypeError: api_py_function"):
        client.run_function("greet", nothing=1)
    url = f"{api_node.url}/public/api/v1/{service}/greet/run"
    refused = requests.post(url, json={"who": "nobody"}, timeout=60)
    assert (refused.status_code, refused.json()["message"]) == (418, "nobody is not known")


def test_generations_see_their_own_code_and_models_only(
    design: dataikuapi.DSSClient, api_node: Node, service: str
) -> None:
    share(design.get_apideployer().get_deployment(f"{service}-on-api-dev"), v1=0.5, v2=0.5)
    client = client_of(api_node, service)
    found = {
        version: client.predict_record("score", RECORD, forced_generation=version)["result"]["probas"]["1"]
        for version in ("v1", "v2", "v1")
    }
    assert found == {"v1": 0.4, "v2": 0.8}


@pytest.mark.parametrize(
    ("path", "body", "status", "said"),
    [
        ("none/score/predict", {"features": {}}, 404, "service none does not exist"),
        ("{}/none/predict", {"features": {}}, 404, "no endpoint none"),
        ("{}/greet/predict", {"features": {}}, 400, "is of type PY_FUNCTION"),
        ("{}/score/run", {}, 400, "is of type STD_PREDICTION"),
        ("{}/score/predict", {}, 400, "needs features"),
        ("{}/score/predict", {"features": [1]}, 400, "needs features"),
        ("{}/score/predict-multi", {"features": {}}, 400, "needs items"),
        ("{}/score/predict-multi", {"items": [{}]}, 400, "needs features"),
        ("{}/score/predict", {"features": {}, "dispatch": {"forcedGeneration": "v9"}}, 400, "v9"),
        ("{}/score/predict", {"features": {}, "dispatch": "v1"}, 400, "dispatch must be"),
        ("{}/score/predict", {"features": {}, "explanations": {"enabled": True}}, 400, "explanations"),
        ("{}/score/forecast", {"items": []}, 400, "not supported by the sandbox"),
    ],
)
def test_a_call_that_makes_no_sense_gets_an_error_of_the_dss_form(
    api_node: Node, service: str, path: str, body: dict[str, Any], status: int, said: str
) -> None:
    url = f"{api_node.url}/public/api/v1/{path.format(service)}"
    answer = requests.post(url, json=body, timeout=60)
    assert answer.status_code == status
    document = answer.json()
    assert {"errorType", "message", "detailedMessage"} <= set(document)
    assert said in document["message"]
    not_json = requests.post(url, data=b"{", timeout=60)
    assert not_json.status_code in (status, 400)


def test_a_service_with_keys_wants_one_of_them(design: dataikuapi.DSSClient, api_node: Node, tiny: Project) -> None:
    keys = [{"key": "first-key", "label": "a"}, {"key": "second-key", "label": "b"}]
    service = publish(design, tiny, "v1", authMethod="API_KEYS", apiKeys=keys)
    deploy(design, service, "v1")
    for key in ("first-key", "second-key"):
        assert client_of(api_node, service, key).predict_record("score", RECORD)["result"]["prediction"] == "0"
    bearer = dataikuapi.APINodeClient(api_node.url, service, bearer_token="second-key")
    assert bearer.predict_record("score", RECORD)["result"]["prediction"] == "0"
    for wrong in (None, "other", api_node.api_key):
        with pytest.raises(DataikuException, match="UnauthorizedException"):
            client_of(api_node, service, wrong).predict_record("score", RECORD)


def test_shares_are_kept_over_many_calls(design: dataikuapi.DSSClient, api_node: Node, service: str) -> None:
    share(design.get_apideployer().get_deployment(f"{service}-on-api-dev"), v1=0.8, v2=0.2)
    client = client_of(api_node, service)
    served = [client.predict_record("score", RECORD)["apiContext"]["serviceGeneration"] for _ in range(300)]
    # Five standard deviations of 300 calls with a share of 0.2: about 35.
    assert abs(served.count("v2") - 60) < 35
    counts = activity_of(api_node).of_generations(service)
    assert (counts["v1"].calls, counts["v2"].calls) == (served.count("v1"), served.count("v2"))


def test_a_generation_without_a_share_answers_only_when_it_is_forced(
    design: dataikuapi.DSSClient, api_node: Node, service: str
) -> None:
    share(design.get_apideployer().get_deployment(f"{service}-on-api-dev"), v1=1.0, v2=0.0)
    client = client_of(api_node, service)
    assert {client.predict_record("score", RECORD)["apiContext"]["serviceGeneration"] for _ in range(50)} == {"v1"}
    forced = client.predict_record("score", RECORD, forced_generation="v2")
    assert (forced["apiContext"]["serviceGeneration"], forced["result"]["prediction"]) == ("v2", "1")
    counts = activity_of(api_node).of_generations(service)
    assert (counts["v2"].calls, counts["v2"].forced, counts["v1"].forced) == (1, 1, 0)


def test_hashing_wants_a_key_and_sends_a_key_to_one_generation(
    design: dataikuapi.DSSClient, api_node: Node, service: str
) -> None:
    deployment = design.get_apideployer().get_deployment(f"{service}-on-api-dev")
    settings = deployment.get_settings()
    entries = [{"generation": "v1", "proba": 0.7}, {"generation": "v2", "proba": 0.3}]
    settings.get_raw()["generationsMapping"] = {
        "mode": "MULTI_GENERATION",
        "strategy": "HASH_BASED",
        "entries": entries,
    }
    settings.save()
    deployment.start_update().wait_for_result()
    client = client_of(api_node, service)
    with pytest.raises(DataikuException, match="A dispatch key is needed"):
        client.predict_record("score", RECORD)
    assert (
        requests.post(
            f"{api_node.url}/public/api/v1/{service}/score/predict", json={"features": RECORD}, timeout=60
        ).status_code
        == 400
    )
    served = {
        key: client.predict_record("score", RECORD, dispatch_key=key)["apiContext"]["serviceGeneration"]
        for key in map(str, range(200))
    }
    assert 30 < list(served.values()).count("v2") < 95
    assert all(
        client.predict_records("score", [{"features": RECORD}], dispatch_key=key)["apiContext"]["serviceGeneration"]
        == version
        for key, version in list(served.items())[:20]
    )


def test_calls_at_the_same_time_are_answered_side_by_side(
    design: dataikuapi.DSSClient, api_node: Node, tiny: Project
) -> None:
    put_model(tiny, "m1", seconds=1.0)
    service = put_service(design, tiny, tiny.key.lower())
    service.create_package("v1")
    service.publish_package("v1")
    deploy(design, service.id, "v1")
    with ThreadPoolExecutor(4) as pool:
        calls = [pool.submit(client_of(api_node, service.id).predict_record, "score", RECORD) for _ in range(4)]
        assert [call.result()["result"]["prediction"] for call in calls] == ["0"] * 4
    counts = activity_of(api_node).of_generations(service.id)["v1"]
    assert max(counts.times) < 3500, "in a row, the last one would have waited for four seconds"


def test_the_access_log_has_a_line_for_each_call(api_node: Node, service: str) -> None:
    client = client_of(api_node, service)
    client.predict_record("score", RECORD)
    client.predict_records("score", [{"features": RECORD}, {"features": {}}], forced_generation="v1")
    with pytest.raises(DataikuException):
        client.predict_record("none", RECORD)
    lines = [json.loads(line) for line in (api_node.dir / "logs" / "access.log").read_text().splitlines()]
    found = [line for line in lines if line["service"] == service]
    assert [(line["endpoint"], line["generation"], line["status"]) for line in found] == [
        ("score", "v1", 200),
        ("score", "v1", 200),
        ("none", "v1", 404),
    ]
    assert [(line["records"], line["ignored"], line["forced"]) for line in found] == [
        (1, 0, False),
        (2, 1, True),
        (0, 0, False),
    ]
