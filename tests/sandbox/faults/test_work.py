"""Faults of the work itself: futures, updates, health and scenarios, with the official client."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import dataikuapi
import pytest
from dataikuapi.utils import DataikuException

from mlops_steps.sandbox.node.node import Node
from mlops_steps.sandbox.services.projects.model import Project
from mlops_steps.sandbox.site import Sandbox

SCENARIO = "TEST_GREET"


@pytest.fixture(autouse=True)
def _no_faults(sandbox: Sandbox) -> Iterator[None]:
    yield
    for node in sandbox.nodes.values():
        node.faults.clear()


@pytest.fixture
def deployment(design: dataikuapi.DSSClient, tiny: Project) -> Any:
    """A deployment on auto-test with bundle v1 live; bundle v2 is published."""
    for bundle in ("v1", "v2"):
        design.get_project(tiny.key).export_bundle(bundle)
        design.get_project(tiny.key).publish_bundle(bundle)
    found = design.get_projectdeployer().create_deployment(f"d-{tiny.key}", tiny.key, "auto-test", "v1")
    found.start_update().wait_for_result()
    settings = found.get_settings()
    settings.bundle_id = "v2"
    settings.save()
    return found


def active(client: dataikuapi.DSSClient, key: str) -> Any:
    (project,) = (item for item in client.list_projects() if item["projectKey"] == key)
    return project.get("activeBundleState", {}).get("bundleId")


def until(true: Callable[[], bool]) -> None:
    limit = time.monotonic() + 10
    while not true():
        assert time.monotonic() < limit
        time.sleep(0.02)


def last_status(deployment: Any) -> str:
    return str(deployment.get_update().status)


@pytest.mark.parametrize(("act", "live"), [("before", "v1"), ("after", "v2")])
def test_a_future_that_never_ends_is_ended_by_an_abort(
    deployment: Any, design_node: Node, auto_test: dataikuapi.DSSClient, tiny: Project, act: str, live: str
) -> None:
    design_node.faults.add("future-never-ends", act=act, target=f"Update of deployment {deployment.id}")
    future = deployment.start_update()
    if act == "after":
        until(lambda: last_status(deployment) == "SUCCESS")
    time.sleep(0.1)
    assert future.get_state()["hasResult"] is False
    future.abort()
    until(lambda: future.get_state()["hasResult"])
    assert future.get_state()["aborted"] is True
    assert active(auto_test, tiny.key) == live


def test_a_future_that_does_not_end_goes_on_when_the_fault_is_cleared(deployment: Any, design_node: Node) -> None:
    design_node.faults.add("future-never-ends")
    future = deployment.start_update()
    design_node.faults.clear()
    assert future.wait_for_result()["status"] == "SUCCESS"


@pytest.mark.parametrize(("act", "live"), [("before", "v1"), ("after", "v2")])
def test_a_future_may_end_without_a_result(
    deployment: Any, design_node: Node, auto_test: dataikuapi.DSSClient, tiny: Project, act: str, live: str
) -> None:
    design_node.faults.add("future-without-result", act=act)
    future = deployment.start_update()
    until(lambda: future.get_state()["hasResult"])
    assert "result" not in future.get_state()
    assert active(auto_test, tiny.key) == live


def test_a_lost_future_is_not_known_while_its_work_is_done(
    deployment: Any, design_node: Node, auto_test: dataikuapi.DSSClient, tiny: Project
) -> None:
    design_node.faults.add("future-lost")
    future = deployment.start_update()
    with pytest.raises(DataikuException, match="does not exist"):
        future.get_state()
    until(lambda: active(auto_test, tiny.key) == "v2")


@pytest.mark.parametrize(("act", "live"), [("before", "v1"), ("after", "v2")])
def test_an_update_fails(
    deployment: Any, test_node: Node, auto_test: dataikuapi.DSSClient, tiny: Project, act: str, live: str
) -> None:
    test_node.faults.add("update-fails", act=act, message="no luck", target=deployment.id)
    result = deployment.start_update().wait_for_result()
    assert result["status"] == "ERROR"
    assert result["infoMessages"]["messages"][-1]["message"] == "no luck"
    assert active(auto_test, tiny.key) == live
    assert deployment.get_status().get_health() == "ERROR"


def test_an_update_that_lies_leaves_the_deployment_out_of_sync(
    deployment: Any, test_node: Node, auto_test: dataikuapi.DSSClient, tiny: Project
) -> None:
    test_node.faults.add("update-lies")
    assert deployment.start_update().wait_for_result()["status"] == "SUCCESS"
    assert active(auto_test, tiny.key) == "v1"
    assert deployment.get_status().get_health() == "OUT_OF_SYNC"


def test_the_health_is_what_it_is_told_to_be_and_flaps(deployment: Any, test_node: Node) -> None:
    deployment.start_update().wait_for_result()
    test_node.faults.add("health", health=["UNHEALTHY", "HEALTHY", "WARNING"])
    assert [str(deployment.get_status().get_health()) for _ in range(4)] == [
        "UNHEALTHY",
        "HEALTHY",
        "WARNING",
        "UNHEALTHY",
    ]
    assert "is UNHEALTHY" not in str(deployment.get_status().get_health_messages())
    test_node.faults.clear()
    assert deployment.get_status().get_health() == "HEALTHY"


@pytest.fixture
def scenario(deployment: Any, auto_test: dataikuapi.DSSClient, tiny: Project) -> Any:
    return auto_test.get_project(tiny.key).get_scenario(SCENARIO)


def test_a_trigger_is_cancelled(scenario: Any, test_node: Node) -> None:
    test_node.faults.add("trigger-cancelled", target=SCENARIO)
    fire = scenario.run()
    assert fire.get_scenario_run() is None
    assert fire.is_cancelled(refresh=True)
    assert scenario.get_last_runs() == []
    scenario.run_and_wait()


def test_a_hanging_run_is_ended_by_an_abort(scenario: Any, test_node: Node) -> None:
    test_node.faults.add("scenario-hangs")
    run = scenario.run().wait_for_scenario_run()
    run.refresh()
    assert run.running
    scenario.abort()
    until(lambda: run.refresh() or not run.running)
    assert run.outcome == "ABORTED"


@pytest.mark.parametrize("outcome", ["WARNING", "FAILED", "ABORTED"])
def test_a_run_ends_as_it_is_told(scenario: Any, test_node: Node, outcome: str) -> None:
    test_node.faults.add("scenario-ends", outcome=outcome)
    assert scenario.run_and_wait(no_fail=True).outcome == outcome
    assert scenario.run_and_wait(no_fail=True).outcome == "SUCCESS"


def test_the_log_tells_the_deployers_requests_from_those_of_clients(
    deployment: Any, test_node: Node, auto_test: dataikuapi.DSSClient
) -> None:
    test_node.faults.clear_requests()
    auto_test.list_projects()
    deployment.start_update().wait_for_result()
    by = {entry.operation: entry.by for entry in test_node.faults.requests()}
    assert by["POST /projects/*/bundles/imported/*/actions/activate"] == "deployer"
    assert test_node.faults.requests()[0].by == "clients"


def test_a_fault_may_be_of_the_deployers_requests_only(
    deployment: Any, test_node: Node, auto_test: dataikuapi.DSSClient
) -> None:
    test_node.faults.add("error", by="deployer", operation="list projects", count="for ever")
    auto_test.list_projects()
    assert deployment.get_status().get_health() == "OUT_OF_SYNC"  # the settings differ from what was deployed
    assert deployment.start_update().wait_for_result()["status"] == "ERROR"
