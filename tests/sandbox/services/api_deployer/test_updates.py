"""Updates of API deployments and the health that follows, with the official client and real API nodes."""

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
from tests.sandbox.api_service import RECORD, deploy, publish, put_service, share


@pytest.fixture
def nodes(sandbox: Sandbox) -> list[Node]:
    return [sandbox.nodes["api-dev-1"], sandbox.nodes["api-dev-2"]]


@pytest.fixture
def service(design: dataikuapi.DSSClient, tiny: Project) -> str:
    """A service with the published versions v1 and v2."""
    return publish(design, tiny, "v1", "v2")


@pytest.fixture
def deployment(design: dataikuapi.DSSClient, service: str) -> Iterator[Any]:
    """A deployment on api-dev where v1 is live."""
    found = deploy(design, service, "v1")
    yield found
    found.delete(disable_first=True, ignore_pre_delete_errors=True)


def update(deployment: Any, version: str | None = None) -> dict[str, Any]:
    if version is not None:
        settings = deployment.get_settings()
        settings.set_single_version(version)
        settings.save()
    result: dict[str, Any] = deployment.start_update().wait_for_result()
    return result


def live(nodes: list[Node], service: str) -> list[str]:
    """The generation that answers, for each node."""
    return [
        dataikuapi.APINodeClient(node.url, service).predict_record("score", RECORD)["apiContext"]["serviceGeneration"]
        for node in nodes
    ]


def health(deployment: Any) -> str:
    return str(deployment.get_status().get_health())


def texts(deployment: Any) -> str:
    return json.dumps(deployment.get_status().get_health_messages()["messages"])


def test_an_update_lets_every_node_answer(deployment: Any, nodes: list[Node], service: str) -> None:
    assert live(nodes, service) == ["v1", "v1"]
    assert health(deployment) == "HEALTHY"
    status = deployment.get_status()
    assert status.get_service_urls() == [f"{node.url}/public/api/v1/{service}" for node in nodes]
    assert status.get_light()["neverEverDeployed"] is False
    result = update(deployment, "v2")
    assert (result["status"], result["infoMessages"]["messages"]) == ("SUCCESS", [])
    assert (live(nodes, service), health(deployment)) == (["v2", "v2"], "HEALTHY")
    update(deployment, "v1")
    assert (live(nodes, service), health(deployment)) == (["v1", "v1"], "HEALTHY")


def test_saved_settings_change_no_node_before_the_update(deployment: Any, nodes: list[Node], service: str) -> None:
    settings = deployment.get_settings()
    settings.set_single_version("v2")
    settings.save()
    assert (live(nodes, service), health(deployment)) == (["v1", "v1"], "OUT_OF_SYNC")
    assert "they name version v2" in texts(deployment)


def test_several_generations_and_back(deployment: Any, nodes: list[Node], service: str) -> None:
    assert share(deployment, v1=0.5, v2=0.5)["status"] == "SUCCESS"
    assert health(deployment) == "HEALTHY"
    entries = [{"generation": "v1", "proba": 0.5}, {"generation": "v2", "proba": 0.5}]
    assert [sorted(node["generations"], key=str) for node in deployment.get_status().get_heavy()["apiNodes"]] == [
        entries,
        entries,
    ]
    assert set(live(nodes * 30, service)) == {"v1", "v2"}
    update(deployment, "v2")
    assert set(live(nodes * 5, service)) == {"v2"}


def test_no_call_fails_while_versions_are_switched(
    deployment: Any, nodes: list[Node], service: str, design: dataikuapi.DSSClient
) -> None:
    import threading

    stop, outcomes = threading.Event(), []

    def call() -> None:
        with requests.Session() as session:
            while not stop.is_set():
                url = f"{nodes[len(outcomes) % 2].url}/public/api/v1/{service}/score/predict"
                outcomes.append(session.post(url, json={"features": RECORD}, timeout=60).status_code)

    caller = threading.Thread(target=call)
    caller.start()
    try:
        for version in ("v2", "v1", "v2"):
            assert update(deployment, version)["status"] == "SUCCESS"
        share(deployment, v1=0.5, v2=0.5)
    finally:
        stop.set()
        caller.join()
    assert set(outcomes) == {200}
    assert len(outcomes) > 10


def test_a_version_that_can_not_be_loaded_is_live_nowhere(
    design: dataikuapi.DSSClient, deployment: Any, nodes: list[Node], service: str, tiny: Project
) -> None:
    code = "raise RuntimeError('not today')\n"
    maker = put_service(design, tiny, "maker", endpoints=[{"id": "e", "type": "PY_FUNCTION", "code": code}])
    maker.create_package("v3")
    maker.publish_package("v3", service)
    result = update(deployment, "v3")
    assert result["status"] == "ERROR"
    assert "not today" in json.dumps(result["infoMessages"])
    assert (live(nodes, service), health(deployment)) == (["v1", "v1"], "ERROR")
    update(deployment, "v1")
    assert health(deployment) == "HEALTHY"


def test_the_history_tells_every_update_with_its_log(deployment: Any) -> None:
    update(deployment, "v2")
    second, first = deployment.list_updates()
    assert (first.status, first.type, second.status) == ("SUCCESS", "UPDATE", "SUCCESS")
    assert second.get_raw()["generationsMapping"]["generation"] == "v2"
    assert "logs" not in first.get_raw()
    full = first.get_full_update()
    assert full.requester == "admin"
    assert full.end_time >= full.start_time
    assert any("Switching service" in line for line in full.logs)
    assert deployment.get_update().start_time == second.start_time
    with pytest.raises(DataikuException, match="has no update of 17"):
        deployment.get_update(17)


def test_a_generation_that_somebody_switches_on_a_node_is_out_of_sync(
    deployment: Any, nodes: list[Node], service: str
) -> None:
    update(deployment, "v2")
    admin = dataikuapi.APINodeAdminClient(nodes[1].url, nodes[1].api_key)
    admin.service(service).switch_to_single_generation("v1")
    assert health(deployment) == "OUT_OF_SYNC"
    assert "API node api-dev-2 serves version v1, the settings say version v2" in texts(deployment)
    admin.service(service).disable()
    assert health(deployment) == "OUT_OF_SYNC"
    update(deployment)
    assert (health(deployment), live(nodes, service)) == ("HEALTHY", ["v2", "v2"])


def test_a_node_that_can_not_be_reached_is_unhealthy_and_all_of_them_unknown(own_sandbox: Sandbox) -> None:
    from mlops_steps.sandbox.services.projects.model import create
    from tests.sandbox.conftest import client_of as dss_client
    from tests.sandbox.conftest import tiny_project_files, write_tree

    design = dss_client(own_sandbox.design)
    project = create(own_sandbox.design, "AWAY", "Away")
    write_tree(project.dir, tiny_project_files())
    deployment = deploy(design, publish(design, project, "v1"), "v1", "api-prod")
    assert health(deployment) == "HEALTHY"
    own_sandbox.stop_node("api-prod-1")
    assert health(deployment) == "UNHEALTHY"
    assert "api-prod-1 can't be reached" in texts(deployment)
    own_sandbox.stop_node("api-prod-2")
    assert health(deployment) == "UNKNOWN"
    own_sandbox.start_node("api-prod-1")
    own_sandbox.start_node("api-prod-2")
    assert health(deployment) == "HEALTHY"
    nodes = [own_sandbox.nodes["api-prod-1"], own_sandbox.nodes["api-prod-2"]]
    assert live(nodes, "away") == ["v1", "v1"], "what a node serves survives a restart"


def test_a_disabled_deployment_answers_no_call(deployment: Any, nodes: list[Node], service: str) -> None:
    with pytest.raises(Exception, match="must be disabled first"):
        deployment.delete()
    settings = deployment.get_settings()
    settings.set_enabled(False)
    settings.save()
    assert update(deployment)["status"] == "SUCCESS"
    assert health(deployment) == "UNKNOWN"
    with pytest.raises(DataikuException, match="is not enabled"):
        live(nodes, service)
    settings.set_enabled(True)
    settings.save()
    update(deployment)
    assert live(nodes, service) == ["v1", "v1"]


def test_deleting_a_deployment_takes_the_service_from_its_nodes(
    design: dataikuapi.DSSClient, nodes: list[Node], service: str
) -> None:
    deploy(design, service, "v1").delete(disable_first=True)
    with pytest.raises(DataikuException, match="does not exist"):
        live(nodes, service)
    assert f"{service}-on-api-dev" not in [item.id() for item in design.get_apideployer().list_deployments()]


def test_queries_go_through_the_deployer(deployment: Any, service: str) -> None:
    with pytest.raises(DataikuException, match="has 2 endpoints"):
        deployment.run_test_queries()
    own = deployment.run_test_queries("score")["responses"]
    assert [item["response"]["result"]["ignored"] for item in own] == [False, True]
    given = [{"q": {"features": RECORD}, "headers": [{"key": "X-Mine", "value": "1"}]}, {"q": {"features": 3}}]
    first, second = deployment.run_queries(given, endpoint_id="score")["responses"]
    assert first["response"]["apiContext"]["serviceGeneration"] == "v1"
    assert (second["success"], second["httpStatus"]) == (False, 400)
    (greeting,) = deployment.run_test_queries("greet", [{"q": {"who": "Ada"}}])["responses"]
    assert greeting["response"]["response"]["greeting"].endswith("Ada")
    with pytest.raises(DataikuException, match="no endpoint none"):
        deployment.run_test_queries("none")


def test_the_openapi_document_names_the_endpoints(design: dataikuapi.DSSClient, deployment: Any, service: str) -> None:
    document = deployment.get_open_api().get()
    assert document["openapi"].startswith("3.")
    assert set(document["paths"]) == {
        f"/public/api/v1/{service}/score/predict",
        f"/public/api/v1/{service}/score/predict-multi",
        f"/public/api/v1/{service}/greet/run",
    }
    never = design.get_apideployer().create_deployment(f"never-{service}", service, "api-prod", "v1")
    with pytest.raises(DataikuException, match="was never updated"):
        never.get_open_api()


def test_unified_monitoring_tells_the_calls_of_all_nodes(
    design: dataikuapi.DSSClient, deployment: Any, nodes: list[Node], service: str
) -> None:
    live(nodes * 3, service)
    monitoring = design.get_unified_monitoring()
    (endpoint,) = [
        item
        for item in monitoring.list_monitored_api_endpoints()
        if (item.deployment_id, item.endpoint_id) == (deployment.id(), "score")
    ]
    assert (endpoint.infrastructure_id, endpoint.stage) == ("api-dev", "Development")
    metrics = endpoint.get_activity_metrics()
    assert (metrics.period_all_requests_count, metrics.period_error_rate) == (6, 0.0)
    assert metrics.period_response_time_ms > 0
    (both,) = monitoring.list_monitored_api_endpoint_with_activity_metrics([endpoint])
    assert both.activity_metrics.period_all_requests_count == 6
