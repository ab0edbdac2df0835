"""Test scenarios: their last runs, the project's testing status, running all of them."""

from __future__ import annotations

from typing import Any

from mlops_steps.sandbox.services.projects.model import Project
from mlops_steps.sandbox.services.scenarios import records
from mlops_steps.sandbox.services.scenarios.model import marked_as_test
from mlops_steps.sandbox.services.scenarios.service import Fire, scenarios_at_work

OUTCOMES = ("SUCCESS", "WARNING", "FAILED", "ABORTED")


def last_runs_of_tests(project: Project, bundle_id: str | None = None) -> list[dict[str, Any]]:
    """The last finished run of each test scenario that has one.

    :param bundle_id: only runs that ran while this bundle was active.
    """
    scenarios_at_work(project.node)
    runs = [records.last_run_of_bundle(project, scenario["id"], bundle_id) for scenario in marked_as_test(project)]
    return [run for run in runs if run is not None]


def status_of_tests(project: Project, bundle_id: str | None = None) -> dict[str, Any]:
    """The outcomes of the last runs of all test scenarios."""
    runs = [document["scenarioRun"] for document in last_runs_of_tests(project, bundle_id)]
    outcomes = [run["result"]["outcome"] for run in runs]
    status: dict[str, Any] = {
        "nbTotalRanScenarios": len(runs),
        "nbScenariosPerOutcome": {name: outcomes.count(name) for name in OUTCOMES if name in outcomes},
        "nbTotalTestScenarios": len(marked_as_test(project)),
        "bundleId": bundle_id,
    }
    if runs:
        status["firstRunStartTime"] = min(run["start"] for run in runs)
        status["lastRunEndTime"] = max(run["end"] for run in runs)
    return status


def run_all_test_scenarios(project: Project, user: str = "admin") -> list[Fire]:
    """Fires every test scenario and returns at once; wait for ``ended`` of each fire."""
    service = scenarios_at_work(project.node)
    return [service.fire(project, scenario["id"], {}, user) for scenario in marked_as_test(project)]
