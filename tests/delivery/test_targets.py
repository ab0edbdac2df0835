"""Another kind of unit is another target: the rest of delivery does not know the Project Deployer."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from mlops_steps import delivery

ROOM = Path(str(delivery.__file__)).parent
#: What a deployment and its settings, and a quarantine, are, in words that all deployers share; no requests.
SHARED = {"mlops_steps.dss.deployments", "mlops_steps.dss.quarantines"}


@pytest.mark.parametrize("name", ["change", "evidence", "phases", "record", "restore", "verify", "targets/base"])
def test_a_module_works_on_any_target(name: str) -> None:
    tree = ast.parse((ROOM / f"{name}.py").read_text())
    imported = {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    named = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    found = {module for module in imported | named if ".dss" in module or module.endswith("project_deployer")}
    assert found <= SHARED
