"""``monitor`` of an API service: what the nodes say of the calls of users, by version and since the last look."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import dataikuapi
import pytest
from dataikuapi.utils import DataikuException

from mlops_steps.report import attachments
from mlops_steps.report.attachments import Look
from tests.front_door.api_workspace import ApiWorkspace, api

__all__ = ["api"]

LIMITS: dict[str, Any] = {
    "errors": {"warn": "20%", "act": 0.5, "calls": 10},
    "latency": {"warn": "20s", "act": "30s", "calls": 10},
}
NODES = ("api-prod-1", "api-prod-2")


@pytest.fixture
def live(api: ApiWorkspace) -> ApiWorkspace:
    """Version v1 answers on production."""
    api.configure(monitor=LIMITS)
    api.deployed("v1")
    api.ok("api-release", "--stage", "prod")
    return api


def call(api: ApiWorkspace, good: int, bad: int) -> None:
    """Calls of users; a bad one is refused."""
    for number in range(good + bad):
        node = dataikuapi.APINodeClient(api.sandbox.nodes[NODES[number % 2]].url, api.service)
        with suppress(DataikuException):
            node.predict_record("score", {"age": 20, "calls": 1} if number < good else "nothing")


def look(api: ApiWorkspace, code: int = 0, **environment: str) -> dict[str, tuple[str, float | None]]:
    result = api.run("monitor", "--stage", "prod", **environment)
    assert result.code == code, f"exit code {result.code}\n{result.out}\n{result.err}"
    return {measure.name: (measure.level, measure.value) for measure in looks(api)[-1].measures}


def looks(api: ApiWorkspace) -> list[Look]:
    return attachments.read(api.folder / "reports" / "mlops-monitor-prod.xml").looks


def test_calls_of_users_are_counted_from_look_to_look(live: ApiWorkspace) -> None:
    before = look(live)
    assert before["API service deployment"] == ("good", 0.0)
    assert before["deployment"] == ("skipped", None)
    call(live, 18, 2)
    after = look(live)
    assert after["errors of the live version"] == ("good", 0.1)
    assert after["response time of score"][0] == "good"
    assert looks(live)[-1].live == {"version": "v1"}
    (level, value) = after["95th percentile of score"]
    assert level == "good"
    assert value is not None
    assert 0 < value < 20_000
    call(live, 14, 6)
    assert look(live)["errors of the live version"] == ("warn", 0.3)
    call(live, 8, 12)
    assert look(live, 1)["errors of the live version"] == ("act", 0.6)
    assert look(live)["errors of the live version"] == ("skipped", None)
    live.configure(monitor={**LIMITS, "latency": {"act": "0.001ms", "calls": 10}})
    assert look(live, 1)["response time of score"][0] == "act"
    live.configure(monitor={**LIMITS, "latency": {"p95_warn": "0.001ms", "calls": 10}})
    call(live, 20, 0)
    assert look(live)["95th percentile of score"][0] == "warn"


def test_without_keys_of_the_api_nodes_unified_monitoring_counts(live: ApiWorkspace) -> None:
    keys = {name: "" for name in live.environment if name.startswith("MLOPS_API_PROD") and name.endswith("_API_KEY")}
    call(live, 20, 0)
    found = look(live, **keys)
    assert found["errors of score"][0] == "good"
    assert "errors of the live version" not in found


def test_an_api_node_that_answers_nothing(live: ApiWorkspace) -> None:
    live.sandbox.nodes["api-prod-2"].faults.add("error", status=503, count="for ever")
    try:
        result = live.run("monitor", "--stage", "prod")
    finally:
        live.sandbox.nodes["api-prod-2"].faults.clear()
    assert result.code == 1, result.err
    assert "API service deployment" in result.err
    document = json.loads((live.folder / "reports" / "mlops-monitor-prod.json").read_text())
    assert document["looks"][-1]["measures"][-1]["level"] in ("act", "skipped", "good")
