"""Metrics of datasets: few, and really computed."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from mlops_steps.sandbox.node.errors import bad_request, not_supported
from mlops_steps.sandbox.node.store import now_ms, read_json, write_json
from mlops_steps.sandbox.runtime.lib.dataiku._layout import DatasetData, LayoutError
from mlops_steps.sandbox.services.flow.datasets import data_of
from mlops_steps.sandbox.services.flow.kinds import DATASET
from mlops_steps.sandbox.services.projects.model import Project

RECORDS, COLUMNS, FILES, SIZE = "records:COUNT_RECORDS", "basic:COUNT_COLUMNS", "basic:COUNT_FILES", "basic:SIZE"
# What is always computed; the rest is what checks and probes ask for.
BASIC = (RECORDS, COLUMNS)
KEPT_VALUES = 100

_COLUMN_METRICS: dict[str, Callable[[list[str]], float]] = {
    "MIN": lambda values: min(map(float, values)),
    "MAX": lambda values: max(map(float, values)),
    "MEAN": lambda values: sum(map(float, values)) / len(values),
    "SUM": lambda values: sum(map(float, values)),
    "COUNT": len,
    "COUNT_DISTINCT": lambda values: len(set(values)),
    "MEDIAN": lambda values: statistics.median(map(float, values)),
    "STDDEV": lambda values: statistics.stdev(map(float, values)),
}


def compute(project: Project, name: str, wanted: Iterable[str] = ()) -> dict[str, float]:
    """Computes metrics of a dataset, keeps them, and returns their values.

    :param wanted: further metric ids, for instance ``col_stats:MEAN:age``.
    :raises DssError: 400, no data or an unknown metric.
    """
    data = data_of(project, name)
    ids = list(dict.fromkeys([*BASIC, *_probed(DATASET.of(project).get(name)), *wanted]))
    try:
        values = {identity: value_of(data, identity) for identity in ids}
    except LayoutError as error:
        raise bad_request(str(error)) from None
    _keep(project, name, values)
    return values


def value_of(data: DatasetData, identity: str) -> float:
    """The value of one metric. Raises 400 for one that is not known, or that these data do not allow."""
    kind, _, rest = identity.partition(":")
    if identity == RECORDS:
        return sum(1 for _ in data.rows())
    if identity == COLUMNS:
        return len(data.columns)
    if identity == FILES:
        return len(data.files())
    if identity == SIZE:
        return sum(path.stat().st_size for path in data.files())
    metric, _, column = rest.partition(":")
    if kind != "col_stats" or metric not in (*_COLUMN_METRICS, "COUNT_NULL"):
        raise not_supported(f"metric {identity}")
    if column not in data.names:
        raise bad_request(f"dataset {data.name} has no column {column!r}, which metric {identity} needs")
    position = data.names.index(column)
    everything = [row[position] if position < len(row) else "" for row in data.rows()]
    values = [value for value in everything if value != ""]
    if metric == "COUNT_NULL":
        return len(everything) - len(values)
    try:
        return float(_COLUMN_METRICS[metric](values))
    except (ValueError, ZeroDivisionError, statistics.StatisticsError):
        raise bad_request(f"dataset {data.name}: metric {identity} cannot be computed of these values") from None


def _probed(definition: Mapping[str, Any]) -> list[str]:
    found = []
    for probe in (definition.get("metrics") or {}).get("probes") or []:
        if probe.get("type") != "col_stats" or not probe.get("enabled", True):
            continue
        for aggregate in (probe.get("configuration") or {}).get("aggregates") or []:
            name = {"AVG": "MEAN"}.get(aggregate.get("aggregated"), aggregate.get("aggregated"))
            found.append(f"col_stats:{name}:{aggregate.get('column')}")
    return found


# ---- what was computed


def _keep(project: Project, name: str, values: Mapping[str, float]) -> None:
    path = project.data_dir / "metrics" / "datasets" / f"{name}.json"
    with project.node.lock(project.key):
        history = read_json(path, {})
        for identity, value in values.items():
            history.setdefault(identity, []).append({"time": now_ms(), "value": value})
            history[identity] = history[identity][-KEPT_VALUES:]
        write_json(path, history)


def history_of(project: Project, name: str) -> dict[str, list[dict[str, Any]]]:
    """Metric id → the values that were computed, oldest first: ``time`` in milliseconds, ``value``."""
    DATASET.of(project).get(name)
    history: dict[str, list[dict[str, Any]]] = read_json(project.data_dir / "metrics" / "datasets" / f"{name}.json", {})
    return history


def last_values(project: Project, name: str) -> dict[str, Any]:
    """The last values, in the form that the client's ``ComputedMetrics`` reads."""
    metrics = []
    for identity, values in history_of(project, name).items():
        last = {
            "partition": "NP",
            "dataType": "DOUBLE",
            "value": str(values[-1]["value"]),
            "computed": values[-1]["time"],
        }
        if float(values[-1]["value"]).is_integer():
            last.update(dataType="BIGINT", value=str(int(values[-1]["value"])))
        metrics.append({"metric": {"id": identity, "type": identity.partition(":")[0]}, "lastValues": [last]})
    return {"metrics": metrics}
