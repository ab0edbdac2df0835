"""Saved models: the metrics of the active version."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from mlops_steps.dss.session import Dss, expect
from mlops_steps.errors import CheckFailed
from mlops_steps.system.text import nearest


@dataclass(frozen=True)
class ActiveVersion:
    """The active version of a saved model. ``metrics`` holds its numbers by the names that DSS gives them."""

    model: str
    version: str
    metrics: dict[str, float]


def active_version(dss: Dss, project_key: str, model: str) -> ActiveVersion:
    """The active version of the saved model with this name or id.

    Raises :class:`CheckFailed` when there is no such model, or none of its versions is active; :class:`NodeError` when
    the node cannot be asked.
    """
    identifier = _identifier(dss, project_key, model)
    with dss.asking(f"read saved model {model} of project {project_key}"):
        saved = dss.client.get_project(project_key).get_saved_model(identifier)
        active = saved.get_active_version()
        if active is None:
            raise CheckFailed(f"{dss}: no version of saved model {model} is active")
        version = expect(active["id"], str, "the id of a version")
        metrics = expect(saved.get_version_details(version).get_performance_metrics(), dict, "the metrics")
        return ActiveVersion(model, version, dict(_numbers(metrics)))


def trained(dss: Dss, project_key: str, model: str) -> tuple[str, float | None]:
    """The active version of the model, and when it was trained (seconds since 1970), where the node knows.

    Raises as :func:`active_version` does.
    """
    identifier = _identifier(dss, project_key, model)
    with dss.asking(f"read saved model {model} of project {project_key}"):
        active = dss.client.get_project(project_key).get_saved_model(identifier).get_active_version()
        if active is None:
            raise CheckFailed(f"{dss}: no version of saved model {model} is active")
        snippet = active.get("snippet") or {}
        info = snippet.get("trainInfo") or {}
        known = (snippet.get("trainDate"), info.get("endTime"), (active.get("versionTag") or {}).get("lastModifiedOn"))
        moment = next((value for value in known if isinstance(value, (int, float)) and value > 0), None)
        return expect(active["id"], str, "the id of a version"), None if moment is None else moment / 1000


def _identifier(dss: Dss, project_key: str, model: str) -> str:
    """The id of the saved model with this name or id. Raises :class:`CheckFailed`, :class:`NodeError`."""
    with dss.asking(f"list the saved models of project {project_key}"):
        project = dss.client.get_project(project_key)
        items = [expect(item, dict, "a saved model") for item in expect(project.list_saved_models(), list, "the list")]
        names = {str(item.get("name") or item["id"]): str(item["id"]) for item in items}
    identifier = model if model in names.values() else names.get(model)
    if identifier is None:
        raise CheckFailed(f"{dss}: project {project_key} has no saved model {model}{nearest(model, names)}")
    return identifier


def _numbers(metrics: dict[str, Any]) -> list[tuple[str, float]]:
    """The numbers among the metrics. JSON has no NaN; Java's writers put it there as a text."""
    return [
        (name, float(value))
        for name, value in metrics.items()
        if (isinstance(value, (int, float)) and not isinstance(value, bool))
        or value in ("NaN", "Infinity", "-Infinity")
    ]
