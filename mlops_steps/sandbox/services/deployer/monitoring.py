"""The deployed projects, as Unified Monitoring lists them."""

from __future__ import annotations

from typing import Any

from mlops_steps.sandbox.node.store import now_ms
from mlops_steps.sandbox.services.deployer.deployments import Deployments
from mlops_steps.sandbox.services.deployer.health import heavy_status


def projects(deployments: Deployments) -> list[dict[str, Any]]:
    """Every deployment that was updated once."""
    return [
        {
            "deploymentId": settings["id"],
            "infrastructureId": settings["infraId"],
            "stage": deployments.infras.basic_info(settings["infraId"])["stage"],
            "snapshotTimestamp": now_ms(),
            "bundleName": settings["bundleId"],
            "deployedProjectKey": settings["deployedProjectKey"],
            "publishedProjectKey": settings["publishedProjectKey"],
            "deploymentStatus": heavy_status(deployments, settings["id"])["health"],
        }
        for settings in deployments.all_settings()
        if deployments.deployed(settings["id"]) is not None
    ]
