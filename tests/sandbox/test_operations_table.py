"""The table of operations in the documentation tells what is served, no more and no less."""

from __future__ import annotations

import re
from pathlib import Path

import requests

from mlops_steps.sandbox.app import api_node_areas, services
from mlops_steps.sandbox.node.node import Node
from mlops_steps.sandbox.services.projects.model import Project
from mlops_steps.sandbox.services.scenarios import internal_routes
from mlops_steps.sandbox.site import Sandbox

TABLE = Path(__file__).parents[2] / "docs" / "sandbox-operations.md"
ROW = re.compile(r"^\|[^|]*\| (GET|POST|PUT|DELETE) (/\S*) \| (proven|inferred|not supported) \|", re.MULTILINE)
PARAMETER = re.compile(r"\{[^}]*\}")


def told() -> dict[str, str]:
    rows = ROW.findall(TABLE.read_text(encoding="utf-8"))
    return {f"{method} {PARAMETER.sub('{}', path)}": state for method, path, state in rows}


def served() -> set[str]:
    internal = internal_routes.router.routes
    routes = [("", route) for router in services() for route in router.routes if route not in internal]
    # Of an API node the table has complete paths.
    routes += [
        (area.bases[0], route) for area in api_node_areas() for router in area.routers for route in router.routes
    ]
    return {f"{route.method} {PARAMETER.sub('{}', base + route.path)}" for base, route in routes}


def test_every_operation_that_is_served_is_in_the_table() -> None:
    assert served() - set(told()) == set()


def test_the_table_names_nothing_that_is_not_served() -> None:
    supported = {operation for operation, state in told().items() if state != "not supported"}
    assert len(supported) > 150
    assert supported - served() == set()


def test_what_the_table_says_is_not_supported_answers_so(design_node: Node, sandbox: Sandbox, tiny: Project) -> None:
    api_node = sandbox.nodes["api-dev-1"]
    missing = [operation for operation, state in told().items() if state == "not supported"]
    assert missing
    for operation in missing:
        method, path = operation.replace("/projects/{}", f"/projects/{tiny.key}").replace("{}", "x").split(" ")
        of_api_node = path.startswith(("/public/api/v1/", "/admin/api/"))
        node, base = (api_node, "") if of_api_node else (design_node, "/public/api")
        answer = requests.request(method, node.url + base + path, auth=(node.api_key, ""), json={}, timeout=20)
        assert (answer.status_code, operation) == (400, operation)
        assert "not supported by the sandbox" in answer.json()["message"]
