"""The health of a deployment, found out by asking every API node at this moment. Nothing is remembered."""

from __future__ import annotations

from typing import Any

from mlops_steps.sandbox.node.errors import DssError
from mlops_steps.sandbox.node.messages import message, report
from mlops_steps.sandbox.services.api_deployer.deployments import Deployments
from mlops_steps.sandbox.services.api_deployer.remote import ApiNode
from mlops_steps.sandbox.services.api_deployer.updates import Updates
from mlops_steps.sandbox.services.api_services.mapping import shares_of
from mlops_steps.sandbox.services.deployer.findings import Finding, check_updates
from mlops_steps.sandbox.services.deployers.remote import RemoteError

# The worst first: the health of a deployment is that of its worst node.
_WORST = ("UNHEALTHY", "OUT_OF_SYNC", "UNKNOWN", "HEALTHY")


def heavy_status(deployments: Deployments, deployment_id: str) -> dict[str, Any]:
    """Health, its messages, and what each API node serves. Raises 404."""
    settings = deployments.settings(deployment_id)
    nodes: list[dict[str, Any]] = []
    messages: list[dict[str, Any]] = []
    try:
        nodes = [_node_status(node, settings) for node in deployments.infras.nodes(settings["infraId"])]
        check_updates(
            Updates(deployments).last(deployment_id),
            deployments.pending(deployment_id),
            settings["enabled"],
            _named(settings["generationsMapping"]),
        )
        health = _of_nodes(nodes)
        messages = [
            message(
                "ERROR" if node["health"] == "UNHEALTHY" else "WARNING",
                f"DEPLOYMENT_{node['health']}",
                "API node",
                node["text"],
            )
            for node in nodes
            if node["health"] != "HEALTHY"
        ]
    except Finding as finding:
        health, messages = finding.health, finding.messages
    except DssError as error:
        messages = [message("ERROR", "DEPLOYMENT_INFRA_UNUSABLE", "Infrastructure", error.message)]
        health = "UNKNOWN"
    faulty = next(
        (word for one in deployments.infras.faults(settings["infraId"]) if (word := one.health(deployment_id))), None
    )
    if faulty is not None and faulty != health:
        messages = [message("ERROR", f"DEPLOYMENT_{faulty}", "Health", f"The deployment is {faulty}")]
        health = faulty
    return {
        "deploymentId": deployment_id,
        "health": health,
        "healthMessages": report(messages),
        "apiNodes": [{name: value for name, value in node.items() if name != "text"} for node in nodes],
    }


def _of_nodes(nodes: list[dict[str, Any]]) -> str:
    found = {node["health"] for node in nodes}
    if found == {"UNKNOWN"}:
        return "UNKNOWN"
    # One node that can't be reached, while others answer: callers of that one fail.
    found = {"UNHEALTHY" if health == "UNKNOWN" else health for health in found}
    return next(health for health in _WORST if health in found)


def _node_status(client: ApiNode, settings: dict[str, Any]) -> dict[str, Any]:
    service_id, wanted = settings["deployedServiceId"], settings["generationsMapping"]
    status: dict[str, Any] = {"url": client.url, "nodeId": client.name, "enabled": False, "generations": []}
    try:
        with client:
            service = client.service(service_id)
            generations = client.generations(service_id) if service else {}
    except RemoteError as error:
        health = "UNKNOWN" if error.status is None else "UNHEALTHY"
        return {**status, "health": health, "text": str(error)}
    served = {name: item["proba"] for name, item in generations.items() if item["mapped"]}
    status["enabled"] = bool(service and service["enabled"])
    status["generations"] = [{"generation": name, "proba": share} for name, share in served.items()]
    if not status["enabled"]:
        what = "is disabled" if service else "does not exist"
        return {**status, "health": "OUT_OF_SYNC", "text": f"Service {service_id} {what} on API node {client.name}"}
    if served != dict(shares_of(wanted).entries):
        text = f"API node {client.name} serves {_shown(served)}, the settings say {_named(wanted)}"
        return {**status, "health": "OUT_OF_SYNC", "text": text}
    return {**status, "health": "HEALTHY", "text": ""}


def _named(mapping: Any) -> str:
    return _shown(dict(shares_of(mapping).entries))


def _shown(shares: dict[str, float]) -> str:
    if len(shares) == 1:
        return f"version {next(iter(shares))}"
    return ", ".join(f"version {name} ({share:.0%})" for name, share in shares.items()) or "no version"
