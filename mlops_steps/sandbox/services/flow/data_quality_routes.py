"""Data quality over HTTP."""

from __future__ import annotations

from typing import Any

from mlops_steps.sandbox.http.routing import Call, Router
from mlops_steps.sandbox.node.errors import bad_request, not_supported
from mlops_steps.sandbox.services.flow import data_quality
from mlops_steps.sandbox.services.flow.kinds import DATASET
from mlops_steps.sandbox.services.projects.model import Project

router = Router()
BASE = "/projects/{key}/datasets/{name}/data-quality"


def _dataset(call: Call) -> tuple[Project, str]:
    return Project.load(call.node, call.path["key"]), call.path["name"]


def _check_partition(call: Call) -> None:
    if call.params.get("partition", data_quality.WHOLE) not in (data_quality.WHOLE, "ALL"):
        raise not_supported("partitions of datasets")


@router.get(BASE + "/rules")
def rules(call: Call) -> Any:
    project, name = _dataset(call)
    monitor = (DATASET.of(project).get(name).get("metricsChecks") or {}).get("monitor") or {}
    return {"monitor": monitor, "displayedState": {}, "checks": data_quality.rules(project, name)}


@router.post(BASE + "/rules")
def create(call: Call) -> Any:
    return data_quality.create_rule(*_dataset(call), call.json_object(), call.user)


@router.put(BASE + "/rules/{rule}")
def save(call: Call) -> Any:
    data_quality.save_rule(*_dataset(call), call.path["rule"], call.json_object(), call.user)


@router.delete(BASE + "/rules/{rule}")
def delete(call: Call) -> Any:
    data_quality.delete_rule(*_dataset(call), call.path["rule"], call.user)


@router.post(BASE + "/actions/compute-rules")
def compute(call: Call) -> Any:
    _check_partition(call)
    return data_quality.start(*_dataset(call), call.params.get("ruleId"), call.user).begun()


@router.get(BASE + "/status")
def status(call: Call) -> Any:
    return data_quality.status(*_dataset(call))


@router.get(BASE + "/status-by-partition")
def status_by_partition(call: Call) -> Any:
    return {data_quality.WHOLE: {"status": data_quality.status(*_dataset(call))}}


@router.post(BASE + "/get-partitions-status")
def partitions_status(call: Call) -> Any:
    _check_partition(call)
    return {data_quality.WHOLE: {"status": data_quality.status(*_dataset(call))}}


@router.get(BASE + "/last-rules-result")
def last_results(call: Call) -> Any:
    _check_partition(call)
    return data_quality.last_results(*_dataset(call), call.params.get("ruleId"))


@router.get(BASE + "/rules-history")
def history(call: Call) -> Any:
    """A page of the results, newest first (inferred)."""
    try:
        low, high = int(call.params.get("minTimestamp", 0)), int(call.params.get("maxTimestamp", 2**62))
        size, page = int(call.params.get("resultsPerPage", 10_000)), int(call.params.get("page", 0))
    except ValueError:
        raise bad_request("minTimestamp, maxTimestamp, resultsPerPage and page are numbers") from None
    wanted = {*call.repeated.get("ruleIds", []), *call.repeated.get("ruleId", [])}
    found = [
        result
        for result in reversed(data_quality.history(*_dataset(call)))
        if low <= result["computeDate"] <= high and (not wanted or result["id"] in wanted)
    ]
    return found[page * size : (page + 1) * size]


@router.delete(BASE + "/history/{partition}")
def clear_history(call: Call) -> Any:
    data_quality.clear_history(*_dataset(call))


@router.get("/projects/{key}/data-quality/status")
def project_status(call: Call) -> Any:
    project = Project.load(call.node, call.path["key"])
    return data_quality.of_project(project, only_monitored=call.flag("onlyMonitored", True))
