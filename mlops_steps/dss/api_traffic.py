"""What API nodes report of the calls of users: how many each version has answered, how many failed, how long they took.

Source: ``APINodeAdminClient.get_metrics`` of the client, which says that it is a JSON object, and no more. The form
that is read here is that of the sandbox; an answer in another form counts as no report.
"""

from __future__ import annotations

import logging
import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from dataikuapi import APINodeAdminClient

from mlops_steps.config import Settings
from mlops_steps.config.api import ApiNodeSettings
from mlops_steps.dss.http import HttpLimits, NodeSession
from mlops_steps.dss.session import Dss, expect
from mlops_steps.errors import NodeError
from mlops_steps.system.pace import pace
from mlops_steps.system.waiting import Deadline

log = logging.getLogger(__name__)


#: An API node, and an endpoint.
Place = tuple[str, str]
#: The part of the calls that took at most so long (0 to 1), and the seconds.
Quantiles = dict[float, float]


@dataclass(frozen=True)
class Traffic:
    """Calls of users by version, and how many of them failed, since the nodes were started.

    ``at`` are the calls of each version in each place, ``times`` how long the latest of them took, where that is told.
    """

    calls: Counter[str]
    errors: Counter[str]
    at: Counter[tuple[Place, str]] = field(default_factory=Counter)
    times: dict[tuple[Place, str], Quantiles] = field(default_factory=dict)

    def since(self, before: Traffic) -> Traffic:
        """What has come since then. A node that was restarted meanwhile begins again: its calls are left out."""
        return Traffic(self.calls - before.calls, self.errors - before.errors, self.at - before.at, self.times)


@dataclass(frozen=True)
class EndpointActivity:
    """What Unified Monitoring says of an endpoint: calls in its period, and how they were answered.

    ``error_rate`` is a share from 0 to 1, ``response_time`` the mean in seconds; ``None`` where there is none.
    """

    endpoint: str
    period: str
    calls: int
    error_rate: float | None
    response_time: float | None


def activity(deployer: Dss, deployment_id: str) -> list[EndpointActivity]:
    """The activity of each endpoint of a deployment, as Unified Monitoring has it. Raises :class:`NodeError`."""
    with deployer.asking(f"read the activity of deployment {deployment_id}"):
        monitoring = deployer.client.get_unified_monitoring()
        found = []
        for endpoint in monitoring.list_monitored_api_endpoints():
            if endpoint.deployment_id != deployment_id or not hasattr(endpoint, "endpoint_id"):
                continue
            metrics = endpoint.get_activity_metrics()
            if metrics is None:
                continue
            rate, time = metrics.period_error_rate, metrics.period_response_time_ms
            found.append(
                EndpointActivity(
                    expect(endpoint.endpoint_id, str, "the id of an endpoint"),
                    str(metrics.period or ""),
                    int(metrics.period_all_requests_count or 0),
                    None if rate is None else float(rate),
                    None if time is None else float(time) / 1000,
                )
            )
        return sorted(found, key=lambda one: one.endpoint)


def users_traffic(
    settings: Settings, nodes: Sequence[ApiNodeSettings], service: str, limit: float | None = None
) -> Traffic | None:
    """The traffic on all nodes together; ``None`` where one has no key of its administration, or reports nothing.

    ``limit``: seconds for each node. Raises nothing for a node that does not answer: it is logged.
    """
    if not nodes or not all(node.admin_key for node in nodes):
        return None
    found = Traffic(Counter(), Counter())
    for node in nodes:
        try:
            with _connect(settings, node) as dss, dss.within(Deadline(limit or pace().look)):
                with dss.asking("read the metrics of the API node"):
                    for endpoint, version, counts, times in _generations(dss.client.get_metrics(), service):
                        calls = counts["calls"] - counts["forcedCalls"]
                        found.calls[version] += calls
                        found.errors[version] += counts["errors"] - counts["forcedErrors"]
                        found.at[(node.name, endpoint), version] += calls
                        if times:
                            found.times[(node.name, endpoint), version] = times
        except NodeError as error:
            log.warning("%s; going on without the calls of users", error)
            return None
    return found


def _generations(metrics: Any, service: str) -> list[tuple[str, str, dict[str, int], Quantiles]]:
    """Endpoint, version, counts and times. Raises ``KeyError`` and the like for another form."""
    endpoints = expect(expect(metrics, dict, "the metrics")["services"], dict, "services").get(service, {})
    found = []
    for name, endpoint in endpoints.get("endpoints", {}).items():
        for version, counts in endpoint["generations"].items():
            names = ("calls", "forcedCalls", "errors", "forcedErrors")
            numbers = {name: expect(counts[name], int, name) for name in names}
            found.append((str(name), str(version), numbers, _quantiles(counts.get("unforcedResponseTimeMs"))))
    return found


def _quantiles(told: Any) -> Quantiles:
    """``{"p95": 12.5}`` in milliseconds; what has another form is left out: then nothing is said of times."""
    if not isinstance(told, dict):
        return {}
    return {
        int(name[1:]) / 100: value / 1000
        for name, value in told.items()
        if re.fullmatch(r"p[1-9][0-9]", str(name))
        and isinstance(value, (int, float))
        and not isinstance(value, bool)
        and math.isfinite(value)
        and value >= 0
    }


def _connect(settings: Settings, node: ApiNodeSettings) -> Dss:
    key, http = node.admin_key, settings.http
    client = APINodeAdminClient(node.url.rstrip("/"), key.get_secret_value() if key else "")
    session = NodeSession(HttpLimits(http.connect_timeout, http.read_timeout, http.retries, http.max_wait))
    session.auth = client._session.auth
    session.verify = node.verify if isinstance(node.verify, bool) else str(node.verify)
    if node.client_certificate:
        certificate = str(node.client_certificate)
        session.cert = (certificate, str(node.client_key)) if node.client_key else certificate
    client._session = session
    return Dss(node.name, node.url, client, session, key_variable=f"{node.variable}_API_KEY")
