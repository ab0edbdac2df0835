"""Faults reach the API Deployer and the API nodes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import dataikuapi
import pytest
import requests
from dataikuapi.utils import DataikuException

from mlops_steps.sandbox.node.node import Node
from mlops_steps.sandbox.services.projects.model import Project
from mlops_steps.sandbox.site import Sandbox
from tests.sandbox.api_service import RECORD, deploy, publish


@pytest.fixture
def nodes(sandbox: Sandbox) -> Iterator[list[Node]]:
    yield [sandbox.nodes["api-dev-1"], sandbox.nodes["api-dev-2"]]
    for node in sandbox.nodes.values():
        node.faults.clear()


@pytest.fixture
def service(design: dataikuapi.DSSClient, tiny: Project) -> str:
    return publish(design, tiny, "v1", "v2")


@pytest.fixture
def deployment(design: dataikuapi.DSSClient, service: str) -> Any:
    """v1 is live on api-dev, the settings say v2."""
    found = deploy(design, service, "v1")
    settings = found.get_settings()
    settings.set_single_version("v2")
    settings.save()
    return found


def live(nodes: list[Node], service: str) -> list[str]:
    return [
        dataikuapi.APINodeClient(node.url, service).predict_record("score", RECORD)["apiContext"]["serviceGeneration"]
        for node in nodes
    ]


def test_calls_of_an_endpoint_fail_as_they_are_told(nodes: list[Node], deployment: Any, service: str) -> None:
    url = f"{nodes[0].url}/public/api/v1/{service}/score/predict"
    nodes[0].faults.add("error", operation="predict", status=503, retry_after=1)
    refused = requests.post(url, json={"features": RECORD}, timeout=60)
    assert (refused.status_code, refused.headers["Retry-After"]) == (503, "1")
    assert requests.post(url, json={"features": RECORD}, timeout=60).status_code == 200
    nodes[0].faults.add("drop", operation="predict")
    with pytest.raises(requests.ConnectionError):
        requests.post(url, json={"features": RECORD}, timeout=60)
    last = nodes[0].faults.requests()[-1]
    assert (last.operation, last.by, last.fault) == ("POST /v1/*/*/predict", "clients", "drop")


def test_an_update_that_fails_on_one_node_switches_none(nodes: list[Node], deployment: Any, service: str) -> None:
    nodes[1].faults.add("update-fails", message="no disk", target=deployment.id())
    result = deployment.start_update().wait_for_result()
    assert result["status"] == "ERROR"
    assert "API node api-dev-2 was not prepared: no disk" in json.dumps(result["infoMessages"])
    assert live(nodes, service) == ["v1", "v1"]
    assert deployment.get_status().get_health() == "ERROR"


def test_an_update_that_fails_after_the_switch_leaves_the_new_version(
    nodes: list[Node], deployment: Any, service: str
) -> None:
    nodes[0].faults.add("update-fails", act="after")
    assert deployment.start_update().wait_for_result()["status"] == "ERROR"
    assert live(nodes, service) == ["v2", "v2"]


def test_a_request_of_the_deployer_that_fails_leaves_nodes_that_differ(
    nodes: list[Node], deployment: Any, service: str
) -> None:
    nodes[1].faults.add("disk-full", operation="set mapping", by="deployer")
    assert deployment.start_update().wait_for_result()["status"] == "ERROR"
    assert live(nodes, service) == ["v2", "v1"]


def test_an_update_may_lie(nodes: list[Node], deployment: Any, service: str) -> None:
    nodes[0].faults.add("update-lies")
    assert deployment.start_update().wait_for_result()["status"] == "SUCCESS"
    assert live(nodes, service) == ["v1", "v2"]
    assert deployment.get_status().get_health() == "OUT_OF_SYNC"


def test_the_health_of_an_api_deployment_may_be_told(nodes: list[Node], deployment: Any) -> None:
    deployment.start_update().wait_for_result()
    nodes[1].faults.add("health", health=["UNHEALTHY", "WARNING"], target=deployment.id())
    assert [deployment.get_status().get_health() for _ in range(3)] == ["UNHEALTHY", "WARNING", "UNHEALTHY"]


def test_a_future_of_an_update_may_get_lost(
    design_node: Node, nodes: list[Node], deployment: Any, service: str
) -> None:
    design_node.faults.add("future-lost", act="after")
    future = deployment.start_update()
    with pytest.raises(DataikuException, match="does not exist"):
        future.get_state()
    for _ in range(600):
        if deployment.get_update().status != "RUNNING":
            break
        import time

        time.sleep(0.05)
    assert live(nodes, service) == ["v2", "v2"]
    design_node.faults.clear()


def test_a_node_that_is_away_for_some_seconds_comes_back(nodes: list[Node], deployment: Any, service: str) -> None:
    nodes[0].faults.add("refuse", operation="predict", seconds=0.5)
    with pytest.raises(requests.ConnectionError):
        live(nodes[:1], service)
    for _ in range(600):
        try:
            assert live(nodes[:1], service) == ["v1"]
            break
        except requests.ConnectionError:
            import time

            time.sleep(0.05)
    else:
        raise AssertionError("the node did not come back")


def test_a_restart_of_a_node_keeps_what_it_serves(
    sandbox: Sandbox, nodes: list[Node], deployment: Any, service: str
) -> None:
    sandbox.restart_node("api-dev-1")
    assert live(nodes, service) == ["v1", "v1"]
