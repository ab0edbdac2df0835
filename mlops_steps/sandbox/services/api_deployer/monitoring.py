"""What the API nodes report of the traffic of deployed endpoints, as Unified Monitoring shows it."""

from __future__ import annotations

from typing import Any

from mlops_steps.sandbox.node.store import now_ms
from mlops_steps.sandbox.services.api_deployer.deployments import Deployments
from mlops_steps.sandbox.services.api_deployer.health import heavy_status
from mlops_steps.sandbox.services.api_deployer.queries import endpoint_of, settings_of_service
from mlops_steps.sandbox.services.deployers.remote import RemoteError

TYPE = "MANAGED_API_ENDPOINT"
PERIOD = "SIX_HOURS"
PERIOD_MS = 6 * 3600 * 1000


def endpoints(deployments: Deployments) -> list[dict[str, Any]]:
    """Every endpoint of every deployment that was updated once."""
    return [
        item
        for settings in deployments.all_settings()
        if deployments.deployed(settings["id"]) is not None
        for item in _of_deployment(deployments, settings)
    ]


def _of_deployment(deployments: Deployments, settings: dict[str, Any]) -> list[dict[str, Any]]:
    health = heavy_status(deployments, settings["id"])["health"]
    stage = deployments.infras.basic_info(settings["infraId"])["stage"]
    return [
        {
            "type": TYPE,
            "deploymentId": settings["id"],
            "infrastructureId": settings["infraId"],
            "stage": stage,
            "endpointId": endpoint["id"],
            "snapshotTimestamp": now_ms(),
            "deploymentStatus": health,
        }
        for endpoint in settings_of_service(deployments, settings["id"])["endpoints"]
    ]


def activity(deployments: Deployments, deployment_id: str, endpoint_id: str) -> dict[str, Any]:
    """The calls of an endpoint on all nodes that can be reached, by the minute. Raises 404."""
    endpoint_of(deployments, deployment_id, endpoint_id)
    settings = deployments.settings(deployment_id)
    since = now_ms() - PERIOD_MS
    minutes: dict[int, list[float]] = {}
    for node in deployments.infras.nodes(settings["infraId"]):
        with node:
            try:
                services = node.metrics()["services"]
            except RemoteError:
                continue
        found = services.get(settings["deployedServiceId"], {}).get("endpoints", {}).get(endpoint_id, {})
        for minute in found.get("perMinute", []):
            if minute["timestamp"] >= since:
                total = minutes.setdefault(minute["timestamp"], [0, 0, 0.0])
                for number, name in enumerate(("calls", "serverErrors", "ms")):
                    total[number] += minute[name]
    calls = int(sum(values[0] for values in minutes.values()))
    errors, spent = sum(values[1] for values in minutes.values()), sum(values[2] for values in minutes.values())
    return {
        "deploymentId": deployment_id,
        "endpointId": endpoint_id,
        "period": PERIOD,
        "periodAllRequestsCount": calls,
        "periodErrorRate": errors / calls if calls else 0.0,
        "periodResponseTimeMs": spent / calls if calls else None,
        "counts": [
            {"timestamp": minute, "count": int(values[0]), "errors": int(values[1])}
            for minute, values in sorted(minutes.items())
        ],
    }
