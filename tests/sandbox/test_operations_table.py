"""The table of operations in the documentation tells what is served, no more and no less."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from mlops_steps.sandbox.bundles import routes as bundles
from mlops_steps.sandbox.core import admin, instance
from mlops_steps.sandbox.core.app import services
from mlops_steps.sandbox.core.http import Router
from mlops_steps.sandbox.deployer import routes as deployer

TABLE = Path(__file__).parents[2] / "docs" / "sandbox-operations.md"
ROW = re.compile(r"^\|[^|]*\| (GET|POST|PUT|DELETE) (/\S*) \| (proven|inferred|not supported) \|", re.MULTILINE)


def told() -> dict[str, str]:
    return {f"{method} {path}": state for method, path, state in ROW.findall(TABLE.read_text(encoding="utf-8"))}


def served(*routers: Router) -> set[str]:
    return {f"{route.method} {route.path}" for router in routers for route in router.routes}


@pytest.mark.parametrize("router", [instance.router, admin.router, bundles.design, bundles.automation, deployer.router])
def test_every_operation_that_is_served_is_in_the_table(router: Router) -> None:
    assert served(router) - set(told()) == set()


def test_the_table_names_nothing_that_is_not_served() -> None:
    supported = {operation for operation, state in told().items() if state != "not supported"}
    assert supported - served(*services()) == set()


def test_what_the_table_says_is_not_supported_is_not_served() -> None:
    missing = {operation for operation, state in told().items() if state == "not supported"}
    assert missing
    assert missing & served(*services()) == set()
