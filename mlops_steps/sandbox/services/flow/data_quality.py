"""Data quality of datasets: their rules, what computing them found, and the history of that."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mlops_steps.sandbox.node.errors import bad_request, not_found
from mlops_steps.sandbox.node.futures import Future, current_future
from mlops_steps.sandbox.node.store import now_ms, read_json, write_json
from mlops_steps.sandbox.runtime.lib.dataiku._layout import LayoutError
from mlops_steps.sandbox.services.flow import metrics
from mlops_steps.sandbox.services.flow.datasets import data_of
from mlops_steps.sandbox.services.flow.kinds import DATASET
from mlops_steps.sandbox.services.flow.rules import EMPTY, SEVERITY, evaluate, is_enabled, rule_name
from mlops_steps.sandbox.services.projects.model import Project
from mlops_steps.sandbox.services.projects.objects import new_id

KEPT_RESULTS = 1000
#: A dataset of the sandbox has no partitions: this is the name of the whole.
WHOLE = "NP"


def rules(project: Project, name: str) -> list[dict[str, Any]]:
    """The rules of a dataset; they travel in bundles with its definition. Each has an id."""
    checks = (DATASET.of(project).get(name).get("metricsChecks") or {}).get("checks") or []
    # Checks of older projects have no id: their place is one.
    return [{"id": f"check-{number}", **check} for number, check in enumerate(checks)]


def _save(project: Project, name: str, checks: Sequence[Mapping[str, Any]], user: str) -> None:
    definition = DATASET.of(project).get(name)
    kept = {"runOnBuild": False, **(definition.get("metricsChecks") or {}), "checks": list(checks)}
    DATASET.of(project).save(name, {**definition, "metricsChecks": kept}, user)


def create_rule(project: Project, name: str, config: Mapping[str, Any], user: str) -> dict[str, Any]:
    """Adds a rule and returns it with its id. Raises 400 for one without a type."""
    if not config.get("type"):
        raise bad_request("A data quality rule needs a type")
    rule = {"enabled": True, "displayName": str(config["type"]), **config, "id": config.get("id") or new_id()}
    with project.node.lock(project.key):
        _save(project, name, [*rules(project, name), rule], user)
    return rule


def save_rule(project: Project, name: str, rule_id: str, config: Mapping[str, Any], user: str) -> None:
    """Replaces a rule. Raises 404."""
    with project.node.lock(project.key):
        _one(project, name, rule_id)
        changed = [{**config, "id": rule_id} if rule["id"] == rule_id else rule for rule in rules(project, name)]
        _save(project, name, changed, user)


def delete_rule(project: Project, name: str, rule_id: str, user: str) -> None:
    """Deletes a rule; its history stays. Raises 404."""
    with project.node.lock(project.key):
        _one(project, name, rule_id)
        _save(project, name, [rule for rule in rules(project, name) if rule["id"] != rule_id], user)


def _one(project: Project, name: str, rule_id: str) -> dict[str, Any]:
    for rule in rules(project, name):
        if rule["id"] == rule_id:
            return rule
    raise not_found(f"dataset {name} of project {project.key} has no data quality rule {rule_id}")


# ---- computing


def start(project: Project, name: str, rule_id: str | None, user: str) -> Future:
    """Computes the enabled rules of a dataset, or one rule, in a future."""
    DATASET.of(project).get(name)
    chosen = [_one(project, name, rule_id)] if rule_id else [rule for rule in rules(project, name) if is_enabled(rule)]
    label = f"Compute data quality rules of {name}"
    return project.node.futures.start(compute, project, name, chosen, label=label, project_key=project.key, owner=user)


def compute(project: Project, name: str, chosen: Sequence[Mapping[str, Any]], origin: str = "API") -> dict[str, Any]:
    """Computes rules, keeps their results, and returns them. Raises 400 for a rule that the sandbox does not know."""
    data = data_of(project, name)
    results = []
    for rule in chosen:
        if future := current_future():
            future.check()
        try:
            outcome, message = evaluate(data, rule)
        except LayoutError as error:
            raise bad_request(str(error)) from None
        results.append(
            {
                "id": rule["id"],
                "name": rule_name(rule),
                "outcome": outcome,
                "message": message,
                "computeDate": now_ms(),
                "runOrigin": origin,
                "partition": WHOLE,
            }
        )
    with project.node.lock(project.key):
        write_json(_path(project, name), [*history(project, name), *results][-KEPT_RESULTS:])
    return {"results": results}


def run_checks(project: Project, name: str) -> list[dict[str, Any]]:
    """Runs the checks of a dataset, as steps of scenarios do: computes its metrics too.

    :return: for each check its definition, name, outcome and message.
    :raises DssError: 400, a check that cannot be made; the message names it.
    """
    chosen = [rule for rule in rules(project, name) if is_enabled(rule)]
    wanted = [(rule if "metricId" in rule else rule.get("params") or {}).get("metricId") for rule in chosen]
    metrics.compute(project, name, [identity for identity in wanted if identity])
    results = compute(project, name, chosen, "SCENARIO")["results"]
    return [{"check": dict(rule), **result} for rule, result in zip(chosen, results, strict=True)]


# ---- what was found


def _path(project: Project, name: str) -> Any:
    return project.data_dir / "data_quality" / f"{name}.json"


def history(project: Project, name: str) -> list[dict[str, Any]]:
    """All results that are kept, oldest first. Raises 404 for an unknown dataset."""
    DATASET.of(project).get(name)
    found: list[dict[str, Any]] = read_json(_path(project, name), [])
    return found


def clear_history(project: Project, name: str) -> None:
    """Forgets the results."""
    DATASET.of(project).get(name)
    with project.node.lock(project.key):
        write_json(_path(project, name), [])


def last_results(project: Project, name: str, rule_id: str | None = None) -> list[dict[str, Any]]:
    """The last result of each rule that the dataset still has, in the order of its rules."""
    newest = {result["id"]: result for result in history(project, name)}
    wanted = [rule["id"] for rule in rules(project, name) if rule_id in (None, rule["id"])]
    return [newest[identity] for identity in wanted if identity in newest]


def status(project: Project, name: str) -> str:
    """The worst of the last results of the enabled rules; ``EMPTY`` when there is none."""
    enabled = {rule["id"] for rule in rules(project, name) if is_enabled(rule)}
    outcomes = [result["outcome"] for result in last_results(project, name) if result["id"] in enabled]
    return max(outcomes, key=SEVERITY.index, default=EMPTY)


def of_project(project: Project, *, only_monitored: bool) -> dict[str, dict[str, Any]]:
    """The status of each dataset that has rules."""
    found = {}
    for name in DATASET.of(project).ids():
        monitored = bool(
            ((DATASET.of(project).get(name).get("metricsChecks") or {}).get("monitor") or {}).get("enabled")
        )
        if rules(project, name) and (monitored or not only_monitored):
            found[name] = {"datasetName": name, "outcome": status(project, name), "monitored": monitored}
    return found
