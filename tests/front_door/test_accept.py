"""`accept`: what the steps assume of DSS is tried on the nodes, with a project of its own that is removed again."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
import yaml

from mlops_steps.acceptance.list import assumptions
from mlops_steps.acceptance.world import PREFIX
from tests.front_door.conftest import Workspace


def left(workspace: Workspace) -> list[str]:
    """Everything of `accept` that the nodes still have."""
    found = []
    for node in ("design", "auto-test", "auto-prod"):
        found += [f"{node}: {key}" for key in workspace.client(node).list_project_keys() if key.startswith(PREFIX)]
    deployer = workspace.client("design").get_projectdeployer()
    found += [item.id for item in deployer.list_projects() if str(item.id).startswith(PREFIX)]
    found += [item.id for item in deployer.list_deployments() if str(item.id).startswith(PREFIX)]
    return [str(one) for one in found]


def test_all_assumptions_hold_and_nothing_is_left(workspace: Workspace) -> None:
    result = workspace.ok("accept", "--stage", "test")
    suite = result.report("accept-test")
    cases = {str(case.get("name")): case for case in suite.iter("testcase")}
    for assumption in assumptions():
        case = cases[assumption.name]
        assert not list(case.iter("failure")) + list(case.iter("error")) + list(case.iter("skipped")), assumption.name
        said = case.findtext("system-out") or ""
        assert assumption.sentence in said
        assert all(place in said for place in assumption.places)
    assert f"{len(assumptions())} of {len(assumptions())} assumptions hold on stage test" in result.err
    assert left(workspace) == []
