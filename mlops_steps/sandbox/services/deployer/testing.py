"""Test scenarios of a deployment: run on the node, over its public API."""

from __future__ import annotations

import time
from typing import Any
from urllib.parse import quote

from mlops_steps.sandbox.node.errors import DssError
from mlops_steps.sandbox.services.deployer.deployments import Deployments
from mlops_steps.sandbox.services.deployer.remote import AutomationNode
from mlops_steps.sandbox.services.deployers.remote import RemoteError

RUN_SECONDS = 3600.0
_POLL_SECONDS = (0.05, 1.0)


def testing_status(deployments: Deployments, deployment_id: str, bundle_id: str | None) -> dict[str, Any]:
    """How the last runs of the test scenarios ended. Raises 404, and 502 when the node does not answer."""
    settings = deployments.settings(deployment_id)
    with deployments.infras.automation_node(settings["infraId"]) as node:
        return _asked(node, settings["deployedProjectKey"], bundle_id)


def run_test_scenarios(deployments: Deployments, deployment_id: str) -> dict[str, Any]:
    """Runs every test scenario on the node, waits for them, and returns their status. Raises 404, 502 and 504."""
    settings = deployments.settings(deployment_id)
    key = settings["deployedProjectKey"]
    limit = time.monotonic() + RUN_SECONDS
    with deployments.infras.automation_node(settings["infraId"]) as node:
        try:
            base = f"/projects/{quote(key)}/scenarios/"
            scenarios = [item["id"] for item in node.call("GET", base) if item.get("markedAsTest")]
            fires = [(name, node.call("POST", f"{base}{quote(name)}/run", json={})) for name in scenarios]
            for name, fire in fires:
                _await_end(node, f"{base}{quote(name)}/", fire, limit)
        except RemoteError as error:
            raise _bad_gateway(error) from error
        return _asked(node, key, None)


def _await_end(node: AutomationNode, base: str, fire: dict[str, Any], limit: float) -> None:
    wait, longest = _POLL_SECONDS
    while True:
        params = {"triggerId": fire["trigger"]["id"], "triggerRunId": fire["runId"]}
        run = node.call("GET", f"{base}get-run-for-trigger", params=params).get("scenarioRun")
        if run is not None and (run.get("result") or {}).get("outcome"):
            return
        if run is None:
            scenario, trigger = base.rstrip("/").rpartition("/")[2], fire["trigger"]["id"]
            path = f"{base.rstrip('/').rpartition('/')[0]}/trigger/{scenario}/{quote(trigger)}"
            if node.call("GET", path, params={"triggerRunId": fire["runId"]}).get("cancelled"):
                return
        if time.monotonic() > limit:
            raise DssError(504, "java.util.concurrent.TimeoutException", "The test scenarios did not end in time")
        time.sleep(wait)
        wait = min(longest, wait * 1.5)


def _asked(node: AutomationNode, key: str, bundle_id: str | None) -> dict[str, Any]:
    params = {"bundleId": bundle_id} if bundle_id else None
    try:
        status: dict[str, Any] = node.call("GET", f"/projects/{quote(key)}/scenarios/testing-status", params=params)
    except RemoteError as error:
        raise _bad_gateway(error) from error
    return status


def _bad_gateway(error: RemoteError) -> DssError:
    return DssError(error.status or 502, "java.io.IOException", str(error))
