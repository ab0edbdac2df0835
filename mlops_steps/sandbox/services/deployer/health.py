"""The health of a deployment, computed from what is there at this moment. Nothing is remembered."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from mlops_steps.sandbox.node.errors import DssError
from mlops_steps.sandbox.node.messages import message, report
from mlops_steps.sandbox.services.deployer.deployments import Deployments
from mlops_steps.sandbox.services.deployer.findings import Finding, check_updates
from mlops_steps.sandbox.services.deployer.remote import AutomationNode
from mlops_steps.sandbox.services.deployer.updates import Updates
from mlops_steps.sandbox.services.deployers.remote import RemoteError

# Lists that a sound project can give.
_LISTS = ("datasets", "managedfolders", "recipes", "savedmodels", "scenarios")
_OUTCOMES = {"SUCCESS": "successful", "WARNING": "warning", "FAILED": "failed", "ABORTED": "aborted"}


def heavy_status(deployments: Deployments, deployment_id: str) -> dict[str, Any]:
    """Health, its messages, and what the scenarios on the node do. Raises 404."""
    settings = deployments.settings(deployment_id)
    monitoring: dict[str, Any] = {}
    health, messages = "HEALTHY", []
    try:
        _check_updates(deployments, deployment_id)
        for node in deployments.infras.automation_nodes(settings["infraId"]):
            with node:
                _check_node(node, settings)
                monitoring = monitoring or _monitoring(node, settings["deployedProjectKey"])
        _check_warnings(deployments, deployment_id)
    except Finding as finding:
        health, messages = finding.health, finding.messages
    except RemoteError as error:
        messages = [message("ERROR", "DEPLOYMENT_NODE_UNREACHABLE", "Unknown state", f"{error}")]
        health = "UNKNOWN"
    except DssError as error:
        messages = [message("ERROR", "DEPLOYMENT_INFRA_UNUSABLE", "Infrastructure", error.message)]
        health = "UNKNOWN"
    faulty = deployments.infras.faults(settings["infraId"]).health(deployment_id)
    if faulty is not None and faulty != health:
        messages = [message("ERROR", f"DEPLOYMENT_{faulty}", "Health", f"The deployment is {faulty}")]
        health = faulty
    return {
        "deploymentId": deployment_id,
        "health": health,
        "healthMessages": report(messages),
        "monitoring": monitoring,
    }


def _check_updates(deployments: Deployments, deployment_id: str) -> None:
    settings, pending = deployments.settings(deployment_id), deployments.pending(deployment_id)
    named = f"bundle {settings['bundleId']}" if "bundleId" in pending else None
    check_updates(Updates(deployments).last(deployment_id), pending, settings["enabled"], named)


def _check_node(node: AutomationNode, settings: dict[str, Any]) -> None:
    key, bundle_id = settings["deployedProjectKey"], settings["bundleId"]
    projects = node.call("GET", "/projects/")
    project = next((item for item in projects if item["projectKey"] == key), None)
    if project is None:
        raise Finding("UNHEALTHY", "ERROR", "No project", [f"Project {key} does not exist on node {node.name}"])
    active = (project.get("activeBundleState") or {}).get("bundleId")
    if active != bundle_id:
        text = f"Node {node.name} runs bundle {active}, the settings say {bundle_id}" if active else ""
        text = text or f"No bundle is active in project {key} on node {node.name}, the settings say {bundle_id}"
        raise Finding("OUT_OF_SYNC", "WARNING", "Another bundle is active", [text])
    problems = _problems(node, key)
    if problems:
        raise Finding("UNHEALTHY", "ERROR", "The project is broken", problems)


def _problems(node: AutomationNode, key: str) -> list[str]:
    problems: list[str] = []
    used: dict[str, str] = {}
    for name in _LISTS:
        try:
            items = node.call("GET", f"/projects/{quote(key)}/{name}/")
        except RemoteError as error:
            if error.status is None:
                raise
            problems.append(f"Project {key}: {name} can't be listed: {error}")
            continue
        if name in ("datasets", "managedfolders"):
            for item in items:
                connection = (item.get("params") or {}).get("connection")
                if connection:
                    used.setdefault(connection, f"{name[:-1]} {item.get('name') or item.get('id')}")
    there = node.call("GET", "/connections/get-names", params={"type": "all"})
    problems += [
        f"Connection {name} ({user}) does not exist on node {node.name}"
        for name, user in sorted(used.items())
        if name not in there
    ]
    return problems


def _check_warnings(deployments: Deployments, deployment_id: str) -> None:
    last = Updates(deployments).last(deployment_id)
    if last is not None and last["status"] == "WARNING":
        texts = [item["message"] for item in last["infoMessages"]["messages"]]
        raise Finding("WARNING", "WARNING", "Last update gave warnings", texts)


def _monitoring(node: AutomationNode, key: str) -> dict[str, Any]:
    scenarios = node.call("GET", f"/projects/{quote(key)}/scenarios/")
    found: dict[str, Any] = {name: [] for name in (*_OUTCOMES.values(), "running")}
    for scenario in scenarios:
        path = f"/projects/{quote(key)}/scenarios/{quote(scenario['id'])}/get-last-runs/"
        name = scenario.get("name") or scenario["id"]
        if scenario.get("running"):
            found["running"].append(name)
        for run in node.call("GET", path, params={"limit": 1, "onlyFinishedRuns": True}):
            outcome = _OUTCOMES.get((run.get("result") or {}).get("outcome", ""))
            if outcome:
                found[outcome].append(name)
    active = any(scenario.get("active") for scenario in scenarios)
    return {"hasScenarios": bool(scenarios), "hasActiveScenarios": active, **found}
