"""Puts a stage of the API service under the load of the configuration, and adds what was measured to the report."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from typing import Any

from mlops_steps.config import Settings
from mlops_steps.config.api import ApiNodeSettings
from mlops_steps.config.api_load import LoadSettings
from mlops_steps.dss.api_node import connect_api_node
from mlops_steps.errors import ConfigError
from mlops_steps.report.model import Case, Outcome, Report
from mlops_steps.system.console import Console
from mlops_steps.system.waiting import duration
from mlops_steps.trials.load import Load
from mlops_steps.trials.load_verdict import LOAD, Limit, add_to, summary
from mlops_steps.trials.queries import Query

#: What is sent: an endpoint, and the records that it is asked for in turn.
Sent = tuple[str, list[dict[str, Any]]]


def what_to_send(load: LoadSettings, queries: Sequence[Query]) -> Sent:
    """The endpoint, and the records of those queries of it that must be predicted.

    Raises :class:`ConfigError` when there is none, or when it cannot be told which endpoint is meant.
    """
    usable = [
        query
        for query in queries
        if query.features is not None and query.expect.ignored is None and query.expect.refused is None
    ]
    endpoints = list(dict.fromkeys(query.endpoint for query in usable))
    if load.endpoint:
        endpoints = [endpoint for endpoint in endpoints if endpoint == load.endpoint]
    if not endpoints:
        of = f" of endpoint {load.endpoint}" if load.endpoint else ""
        raise ConfigError(
            f"api.test.load: there is no record to send: no test query{of} that must be predicted",
            next_step="add queries with features to the file that api.test.queries names",
        )
    if len(endpoints) > 1:
        raise ConfigError(
            f"api.test.load: the test queries are of several endpoints: {', '.join(endpoints)}",
            next_step="name one of them in api.test.load.endpoint of mlops.yml",
        )
    return endpoints[0], [query.features for query in usable if query.endpoint == endpoints[0] and query.features]


def not_loaded(report: Report, why: str) -> None:
    """Notes that there was no load, and why."""
    report.add(Case(LOAD, Outcome.SKIPPED, why))


def run_load(
    settings: Settings,
    load: LoadSettings,
    report: Report,
    console: Console,
    service: str,
    nodes: Mapping[str, ApiNodeSettings],
    version: str,
    sent: Sent,
) -> list[Limit]:
    """Sends the load to the API nodes in turn, which know the service by this name; returns the limits, judged.

    A failed call is not repeated, so that it is seen.
    """
    endpoint, records = sent
    seconds = load.measured_seconds + load.warm_up_calls / load.rate
    text = f"load on endpoint {endpoint}: {load.rate:g} calls a second for {duration(round(seconds, 1))}"
    started = time.monotonic()
    with ExitStack() as stack:
        clients = [
            stack.enter_context(connect_api_node(settings, node, service, retries=0, connections=load.under_way))
            for node in nodes.values()
        ]
        running = Load(load, clients, endpoint, records, version, settings.api.call_timeout)
        with console.waiting(text) as wait:
            found = running.run(wait.state)
    source = f"{load.rate:g} calls/s on {len(nodes)} API nodes, endpoint {endpoint}"
    limits = add_to(report, load, found, time.monotonic() - started, source)
    console.line(f"load: {summary(load, found)}")
    return limits
