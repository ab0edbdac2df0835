"""Data quality: the rules of a dataset, computed on the node."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from mlops_steps.dss import futures
from mlops_steps.dss.session import Dss, expect
from mlops_steps.errors import CheckFailed
from mlops_steps.system.waiting import Deadline


@dataclass(frozen=True)
class RuleResult:
    """What a rule has found. ``outcome`` is OK, WARNING, ERROR or EMPTY; "" when the node has not computed it."""

    name: str
    outcome: str
    message: str


def compute(dss: Dss, project_key: str, dataset: str, deadline: Deadline) -> list[RuleResult]:
    """Computes the enabled rules of a dataset, and returns what each has found now.

    A result from before is not one: the rule's outcome is "" then. Raises :class:`CheckFailed` when the dataset has no
    enabled rule, :class:`NodeError` when the node cannot be asked or cannot compute them.
    """
    what = f"compute the data quality rules of dataset {dataset} of project {project_key}"
    with dss.within(deadline), dss.asking(what):
        ruleset = dss.client.get_project(project_key).get_dataset(dataset).get_data_quality_rules()
        rules = [expect(rule.get_raw(), dict, "a rule") for rule in ruleset.list_rules()]
        names = {str(rule["id"]): _name(rule) for rule in rules if rule.get("enabled", True)}
        before = {str(result.id): result.compute_date for result in ruleset.get_last_rules_results()} if names else {}
        future = ruleset.compute_rules() if names else None
    if not names:
        raise CheckFailed(
            f"{dss}: dataset {dataset} of project {project_key} has no data quality rule that is enabled",
            next_step="define rules for the dataset in DSS, or leave it out of the gate's datasets",
        )
    futures.result_of(dss, future, what, deadline)
    with dss.within(deadline), dss.asking(what):
        results = {str(result.id): result for result in ruleset.get_last_rules_results()}
        fresh = {name: found for name, found in results.items() if found.compute_date != before.get(name)}
        return [
            RuleResult(name, str(fresh[rule].outcome).upper(), str(fresh[rule].data.get("message") or ""))
            if rule in fresh
            else RuleResult(name, "", "the node has not computed it")
            for rule, name in names.items()
        ]


def _name(rule: dict[str, Any]) -> str:
    meta = rule.get("meta") or {}
    return str(rule.get("displayName") or meta.get("label") or meta.get("name") or rule["id"])
