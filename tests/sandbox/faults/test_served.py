"""Each named operation is one that a node serves."""

from __future__ import annotations

import re

import pytest

from mlops_steps.sandbox.app import api_node_areas, services
from mlops_steps.sandbox.faults.operations import OPERATIONS

ROUTERS = [*services(), *(router for area in api_node_areas() for router in area.routers)]
SERVED = {f"{route.method} {re.sub(r'{[^}]*}', '*', route.path)}" for router in ROUTERS for route in router.routes}


@pytest.mark.parametrize("name", sorted(OPERATIONS))
def test_a_named_operation_is_served(name: str) -> None:
    assert OPERATIONS[name] in SERVED
