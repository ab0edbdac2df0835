"""What is looked at of an API service that is live: its deployment, its API nodes, what users' calls got."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

from mlops_steps.config.monitor import ErrorLimits, LatencyLimits, MonitorSettings
from mlops_steps.dss import api_traffic
from mlops_steps.dss.api_traffic import EndpointActivity, Traffic
from mlops_steps.insight.findings import Finding, Level, above, limits_in_words
from mlops_steps.system.waiting import Deadline

if TYPE_CHECKING:
    from mlops_steps.delivery.targets.api_deployer import ApiDeployerTarget
    from mlops_steps.delivery.targets.live_service import LiveService
    from mlops_steps.report.attachments import Look


def health(live: LiveService, settings: MonitorSettings) -> list[Finding]:
    """Whether one version answers on each API node, alone, and the deployment is HEALTHY."""
    if live.deployment is None:
        return [Finding("API service deployment", Level.SKIPPED, f"the service has no deployment on {live.infra}")]
    if settings.health == "off":
        return []
    good = live.is_healthy(live.version)
    level = Level.GOOD if good else Level(settings.health)
    details = (*(live.health.messages if live.health else ()), *(str(answer) for answer in live.answers))
    return [Finding("API service deployment", level, str(live), float(not good), "HEALTHY", details)]


def activity(target: ApiDeployerTarget, live: LiveService, deadline: Deadline) -> list[EndpointActivity]:
    """What Unified Monitoring says of the endpoints. Raises :class:`NodeError`."""
    if live.deployment is None:
        return []
    with target.within(deadline):
        return api_traffic.activity(target.deployer, live.deployment.id)


def response_times(found: list[EndpointActivity], limits: LatencyLimits) -> list[Finding]:
    """The mean response time of each endpoint, in milliseconds."""
    words = limits_in_words(*(None if one is None else f"{one:g} ms" for one in (limits.warn, limits.act)))
    findings = []
    for one in found:
        name = f"response time of {one.endpoint}"
        if one.response_time is None or one.calls < limits.calls:
            findings.append(Finding(name, Level.SKIPPED, _too_few(one.calls, limits.calls, one.period), limit=words))
            continue
        findings.append(
            Finding(
                name,
                above(1000 * one.response_time, limits.warn, limits.act),
                f"{1000 * one.response_time:.1f} ms on average, {one.calls} calls in {_period(one.period)}",
                1000 * one.response_time,
                words,
                of_release=False,
            )
        )
    return findings


def errors(found: list[EndpointActivity], limits: ErrorLimits) -> list[Finding]:
    """The share of failed calls of each endpoint, by Unified Monitoring."""
    findings = []
    for one in found:
        name = f"errors of {one.endpoint}"
        if one.error_rate is None or one.calls < limits.calls:
            findings.append(_skipped(name, _too_few(one.calls, limits.calls, one.period), limits))
        else:
            period = f"of {one.calls} calls in {_period(one.period)}"
            findings.append(replace(_share(name, one.error_rate, period, limits), of_release=False))
    return findings


def of_users(
    now: Traffic, before: Look | None, version: str | None, errors: ErrorLimits, latency: LatencyLimits
) -> list[Finding]:
    """What the users' calls of the live version got since the last look, by the API nodes: failures, response times."""
    earlier = Traffic(Counter(before.calls), Counter(before.errors)) if before else Traffic(Counter(), Counter())
    if any(now.calls[name] < count for name, count in earlier.calls.items()):
        earlier = Traffic(Counter(), Counter())  # a node was started anew, and counts from nothing
    since = now.since(earlier)
    calls, failed = since.calls[version or ""], since.errors[version or ""]
    name = "errors of the live version"
    when = "since the last look" if before else "since the API nodes were started"
    told = f"{calls} calls of users {when}"
    slow = [] if version is None else _percentiles(now, version, calls, told, latency)
    if version is None or calls < errors.calls:
        return [_skipped(name, f"{told}; {errors.calls} are required", errors), *slow]
    return [_share(name, failed / calls, f"of {told}", errors), *slow]


def _percentiles(traffic: Traffic, version: str, calls: int, told: str, limits: LatencyLimits) -> list[Finding]:
    """The 95th percentile of the latest response times on the slowest API node, where the nodes tell it by version."""
    words = limits_in_words(*(None if one is None else f"{one:g} ms" for one in (limits.p95_warn, limits.p95_act)))
    slowest: dict[str, float] = {}
    for ((_node, endpoint), of), times in traffic.times.items():
        if of == version and 0.95 in times:
            slowest[endpoint] = max(slowest.get(endpoint, 0.0), 1000 * times[0.95])
    found = []
    for endpoint, value in sorted(slowest.items()):
        name = f"95th percentile of {endpoint}"
        if calls < limits.calls:
            found.append(Finding(name, Level.SKIPPED, f"{told}; {limits.calls} are required", limit=words))
            continue
        level = above(value, limits.p95_warn, limits.p95_act)
        message = f"{value:.1f} ms on the slowest API node, by the latest of {told}"
        found.append(Finding(name, level, message, round(value, 3), words))
    return found


def _share(name: str, rate: float, of: str, limits: ErrorLimits) -> Finding:
    return Finding(name, above(rate, limits.warn, limits.act), f"{100 * rate:.3g} % {of} failed", rate, _words(limits))


def _skipped(name: str, message: str, limits: ErrorLimits) -> Finding:
    return Finding(name, Level.SKIPPED, message, limit=_words(limits))


def _words(limits: ErrorLimits) -> str:
    return limits_in_words(*(None if one is None else f"{100 * one:g} %" for one in (limits.warn, limits.act)))


def _too_few(calls: int, required: int, period: str) -> str:
    return f"{calls} calls in {_period(period)}; {required} are required"


def _period(period: str) -> str:
    return period.lower().replace("_", " ") or "the node's period"
