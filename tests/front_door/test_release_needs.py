"""release stops before its first change when production lacks what the bundle needs."""

from __future__ import annotations

import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mlops_steps.sandbox.site import Sandbox
from tests.front_door.conftest import Workspace
from tests.records import pending

RETENTION = (
    Path(__file__).parents[2]
    / "mlops_steps/sandbox/content/churn/revision_3/project_config/lib/python/churn/retention.py"
)
SMOKE = """
import dataiku
import sys
import types
pandas = sys.modules.setdefault("pandas", types.SimpleNamespace(DataFrame=object, Series=object))
from churn.retention import budget
print(budget(dataiku.get_custom_variables(typed=True)))
"""


def set_budget(workspace: Workspace, node: str, **values: Any) -> None:
    variables = workspace.client(node).get_global_variables()
    variables.clear()
    variables.update(values)
    variables.save()


@pytest.fixture
def forgotten(workspace: Workspace, steps_sandbox: Sandbox) -> Iterator[tuple[Workspace, str]]:
    """A bundle is live; the tested one needs the variable retention_budget, which production does not have."""
    bundle = workspace.released(1)
    library = steps_sandbox.design.project_dir(workspace.project) / "project_config" / "lib" / "python" / "churn"
    library.mkdir(parents=True)
    shutil.copy(RETENTION, library)
    (library / "__init__.py").touch()
    scenario = workspace.client("design").get_project(workspace.project).get_scenario("TEST_SMOKE")
    settings = scenario.get_settings()
    settings.get_raw()["params"]["steps"][0]["params"]["script"] = SMOKE
    settings.save()
    set_budget(workspace, "auto-test", retention_budget=25)
    workspace.tested(2)
    yield workspace, bundle
    for node in ("auto-test", "auto-prod"):
        set_budget(workspace, node)


def test_it_is_stopped_beforehand_and_production_is_untouched(forgotten: tuple[Workspace, str]) -> None:
    workspace, bundle = forgotten
    runs = len(workspace.runs("auto-prod", "TEST_SMOKE"))
    deployment = workspace.client("design").get_projectdeployer().get_deployment(f"{workspace.project}-on-auto-prod")
    updates = len(deployment.list_updates())
    result = workspace.run("release", "--stage", "prod")
    assert result.code == 1, result.err
    assert "prod lacks what the bundle needs: variable retention_budget; prod is untouched" in result.err
    failure = result.case("release-prod", "variable retention_budget").find("failure")
    assert failure is not None
    assert "node 'prod'" in failure.get("message", "")
    assert (workspace.live(), workspace.health()) == (bundle, "HEALTHY")
    assert len(workspace.runs("auto-prod", "TEST_SMOKE")) == runs
    assert len(deployment.list_updates()) == updates
    assert deployment.get_settings().get_raw()["bundleId"] == bundle
    assert not pending(workspace.record, "prod")
    assert not list((workspace.folder / ".mlops").glob("bundle-*"))


def test_a_dry_run_says_so_too(forgotten: tuple[Workspace, str]) -> None:
    workspace, _ = forgotten
    assert workspace.run("release", "--stage", "prod", "--dry-run").code == 1


def test_with_the_variable_it_is_released(forgotten: tuple[Workspace, str]) -> None:
    workspace, bundle = forgotten
    assert workspace.run("release", "--stage", "prod").code == 1
    set_budget(workspace, "auto-prod", retention_budget=30)
    result = workspace.ok("release", "--stage", "prod")
    assert workspace.live() == workspace.record["bundle"]["id"] != bundle
    assert result.case("release-prod", "variable retention_budget").find("failure") is None


@pytest.mark.parametrize(
    "compare",
    [
        {"at_release": "off"},
        {"at_release": "warning"},
        {"exceptions": [{"need": "variable retention_*", "reason": "the operators set it"}]},
    ],
    ids=lambda compare: next(iter(compare)) + str(compare.get("at_release", "")),
)
def test_switched_off_it_is_rolled_back(forgotten: tuple[Workspace, str], compare: dict[str, Any]) -> None:
    workspace, bundle = forgotten
    workspace.configure(compare=compare)
    result = workspace.run("release", "--stage", "prod")
    assert result.code == 4, result.err
    assert (workspace.live(), workspace.health()) == (bundle, "HEALTHY")
    assert ("retention_budget is read" in result.err) == (compare.get("at_release") == "warning")


def test_a_restore_that_is_pending_is_not_stopped(forgotten: tuple[Workspace, str]) -> None:
    """A release that was killed after its update is finished, whatever the node lacks."""
    workspace, bundle = forgotten
    workspace.configure(compare={"at_release": "off"})
    faults = workspace.sandbox.nodes["auto-prod"].faults
    try:
        held = faults.add("late", seconds=600, operation="run scenario", count=1)
        process = workspace.start("release", "--stage", "prod")
        while not held.fired:
            assert process.poll() is None
        process.send_signal(signal.SIGKILL)
        process.communicate()
    finally:
        faults.clear()
    assert workspace.live() != bundle
    workspace.configure()
    result = workspace.run("release", "--stage", "prod")
    assert result.code == 4, result.err
    assert (workspace.live(), workspace.health()) == (bundle, "HEALTHY")
