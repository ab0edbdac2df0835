"""`mlops-steps sandbox fault …` and `requests`, on a sandbox that runs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from click.testing import CliRunner, Result

from mlops_steps.sandbox.commands import sandbox as group
from mlops_steps.sandbox.site import Sandbox


@pytest.fixture(autouse=True)
def _no_faults(sandbox: Sandbox) -> Iterator[None]:
    for node in sandbox.nodes.values():
        node.faults.clear_requests()
    yield
    for node in sandbox.nodes.values():
        node.faults.clear()


@pytest.fixture
def call(sandbox: Sandbox) -> object:
    def run(*arguments: str, **environment: str) -> Result:
        variables = {"MLOPS_SANDBOX_DIR": str(sandbox.dir), **environment}
        return CliRunner().invoke(group, arguments, env=variables)

    return run


def asked(sandbox: Sandbox, node: str = "design") -> int:
    target = sandbox.node(node)
    return requests.get(f"{target.url}/public/api/instance-info", auth=(target.api_key, ""), timeout=5).status_code


def test_a_fault_is_added_listed_and_cleared(call: object, sandbox: Sandbox) -> None:
    added = call("fault", "add", "error", "--node", "design", "--status", "503", "--count", "for ever")
    assert added.exit_code == 0, added.output
    assert "design: error 503" in added.output
    assert [asked(sandbox) for _ in range(2)] == [503, 503]
    assert "2 of 2" in call("fault", "list").output
    assert call("fault", "list", "--node", "prod").output.count("\n") == 1
    assert call("fault", "clear").output == "1 cleared\n"
    assert asked(sandbox) == 200


def test_one_fault_is_cleared_by_its_id(call: object) -> None:
    first = call("fault", "add", "drop", "--node", "prod").output.split()[0]
    call("fault", "add", "drop", "--node", "test")
    assert call("fault", "clear", first).output == "1 cleared\n"
    assert [item["node"] for item in json.loads(call("fault", "list", "--json").output)] == ["auto-test"]
    missing = call("fault", "clear", first)
    assert (missing.exit_code, f"fault {first} does not exist" in missing.output) == (2, True)


def test_a_plan_is_added_as_a_whole_or_not_at_all(call: object, tmp_path: Path) -> None:
    plan = tmp_path / "faults.yml"
    plan.write_text("faults:\n  - {node: prod, kind: health, health: [HEALTHY, ERROR]}\n  - {node: test, kind: drop}\n")
    assert call("fault", "add", "--file", str(plan)).exit_code == 0
    assert len(json.loads(call("fault", "list", "--json").output)) == 2
    plan.write_text(plan.read_text().replace("drop", "dorp"))
    refused = call("fault", "add", "--file", str(plan))
    assert refused.exit_code == 2
    assert f"{plan}:3: faults.1.kind: no such kind of fault; did you mean drop?" in refused.output
    assert len(json.loads(call("fault", "list", "--json").output)) == 2


def test_a_fault_that_makes_no_sense_is_refused_in_one_line(call: object) -> None:
    refused = call("fault", "add", "cut", "--node", "prod", "--act", "before")
    assert refused.exit_code == 2
    assert refused.output == "configuration: act must be after for a fault of kind cut\n"


def test_a_kind_and_a_plan_together_are_a_mistake(call: object) -> None:
    assert call("fault", "add").exit_code == 2
    assert call("fault", "add", "drop", "--node", "prod", "--file", "x.yml").exit_code == 2


def test_the_sandbox_is_found_by_the_environment(call: object, sandbox: Sandbox) -> None:
    found = call("fault", "list", MLOPS_SANDBOX_DIR="", **sandbox.environment())
    assert found.exit_code == 0, found.output


def test_a_node_that_is_out_of_order_is_no_obstacle_to_its_control(call: object, sandbox: Sandbox) -> None:
    call("fault", "add", "refuse", "--node", "design", "--count", "for ever")
    assert call("fault", "clear").output == "1 cleared\n"


def test_without_a_sandbox_it_says_how_to_name_one(call: object) -> None:
    lost = call("fault", "list", MLOPS_SANDBOX_DIR="", MLOPS_DESIGN_URL="https://dss.example.com")
    assert lost.exit_code == 2
    assert "no sandbox is named" in lost.output


def test_a_stopped_sandbox_is_not_found(call: object, tmp_path: Path) -> None:
    entry = {"port": 9, "apiKey": "dku-sandbox-x"}
    (tmp_path / "sandbox.json").write_text(json.dumps({"nodes": {"design": entry}}))
    lost = call("fault", "list", MLOPS_SANDBOX_DIR=str(tmp_path))
    assert lost.exit_code == 3
    assert "was not found" in lost.output


def test_the_control_wants_the_key(sandbox: Sandbox) -> None:
    node = sandbox.nodes["design"]
    for path in ("/sandbox/faults", "/sandbox/requests"):
        assert requests.get(node.url + path, auth=("wrong", ""), timeout=5).status_code == 401
    assert requests.get(node.url + "/sandbox/faults", auth=(node.api_key, ""), timeout=5).status_code == 200


def test_the_requests_are_shown_and_emptied(call: object, sandbox: Sandbox) -> None:
    call("fault", "add", "error", "--node", "test", "--status", "504")
    asked(sandbox)
    asked(sandbox, "test")
    shown = call("requests").output
    assert shown.count("GET /public/api/instance-info") == 2
    only = json.loads(call("requests", "--node", "auto-test", "--json", "--clear").output)
    assert [(item["status"], item["fault"]) for item in only] == [(504, "error")]
    assert [item["node"] for item in json.loads(call("requests", "--json").output)] == ["design"]


def test_the_kinds_and_operations_are_listed(call: object) -> None:
    listed = call("fault", "kinds").output
    assert "update-lies" in listed
    assert "start update" in listed
