"""Each named operation is one that a node serves."""

from __future__ import annotations

import re

import pytest

from mlops_steps.sandbox.app import services
from mlops_steps.sandbox.faults.operations import OPERATIONS

SERVED = {f"{route.method} {re.sub(r'{[^}]*}', '*', route.path)}" for router in services() for route in router.routes}


@pytest.mark.parametrize("name", sorted(OPERATIONS))
def test_a_named_operation_is_served(name: str) -> None:
    assert OPERATIONS[name] in SERVED
