"""Asks a node for what a bundle needs and reports each need: what `compare` and `release` share."""

from __future__ import annotations

from dataclasses import dataclass, replace

from mlops_steps.config import CompareSettings
from mlops_steps.dss import inventory
from mlops_steps.dss.deployments import Deployment
from mlops_steps.dss.session import Dss
from mlops_steps.errors import CheckFailed
from mlops_steps.needs.compare import Result, Verdict, compare, differences, kinds_of
from mlops_steps.needs.model import BundleNeeds
from mlops_steps.report.model import Case, Outcome, Report
from mlops_steps.system.console import Console
from mlops_steps.system.waiting import Deadline

_OUTCOMES = {
    Verdict.PASSED: Outcome.PASSED,
    # A warning passes and carries its text.
    Verdict.WARNING: Outcome.PASSED,
    Verdict.FAILED: Outcome.FAILURE,
    Verdict.SKIPPED: Outcome.SKIPPED,
}


@dataclass(frozen=True)
class Place:
    """Where a bundle goes: the stage, its node, the project's key there, its deployment if there is one."""

    stage: str
    node: Dss
    project: str
    deployment: Deployment | None = None


def check_needs(
    needs: BundleNeeds,
    place: Place,
    settings: CompareSettings,
    report: Report,
    console: Console,
    deadline: Deadline,
    *,
    other: Place | None = None,
    only_warn: bool = False,
) -> None:
    """Reports each need as a test case; with ``other``, also where the two nodes differ.

    Changes nothing. Raises :class:`CheckFailed` when something is missing, unless ``only_warn``; :class:`NodeError`.
    """
    kinds = kinds_of(needs)
    with console.waiting(f"comparing what the bundle needs with {place.node}"):
        here = inventory.read(place.node, kinds, place.project, deadline)
        results = compare(needs, here, place.deployment, settings)
        if other:
            there = inventory.read(other.node, kinds, other.project, deadline)
            results += differences(needs, here, there, other.stage)
    if only_warn:
        results = [replace(one, verdict=Verdict.WARNING) if one.verdict is Verdict.FAILED else one for one in results]
    for result in results:
        report.add(_case(result))
        _say(result, console)
    _conclude(results, place, console)


def _case(result: Result) -> Case:
    is_warning = result.verdict is Verdict.WARNING
    said = result.details if result.verdict is Verdict.PASSED else ""
    return Case(
        result.name,
        _OUTCOMES[result.verdict],
        message="" if is_warning else result.message,
        details="" if is_warning or said else result.details,
        stdout=f"warning: {result.message}\n{result.details}" if is_warning else said,
    )


def _say(result: Result, console: Console) -> None:
    users = f" ({result.details})" if result.details and "\n" not in result.details else ""
    if result.verdict is Verdict.WARNING:
        console.warn(f"{result.name}: {result.message}{users}")
    elif result.verdict is Verdict.FAILED:
        console.error(f"failed: {result.name}: {result.message}{users}")
    elif result.verdict is Verdict.SKIPPED:
        console.line(f"skipped: {result.name}: {result.message}")


def _conclude(results: list[Result], place: Place, console: Console) -> None:
    made = [result for result in results if result.verdict is not Verdict.SKIPPED]
    failed = [result for result in made if result.verdict is Verdict.FAILED]
    warnings = sum(result.verdict is Verdict.WARNING for result in made)
    others = [f"{warnings} warning{'' if warnings == 1 else 's'}"] if warnings else []
    if len(made) < len(results):
        others.append(f"{len(results) - len(made)} skipped")
    remark = f" ({', '.join(others)})" if others else ""
    if failed:
        names = ", ".join(result.name for result in failed[:3]) + (" …" if len(failed) > 3 else "")
        error = CheckFailed(
            f"{place.stage} lacks what the bundle needs: {names}; {place.stage} is untouched",
            next_step="add what is missing on that node, or see `compare` in mlops.yml for severities and exceptions",
        )
        error.is_reported = True
        raise error
    console.good(f"{place.stage} has what the bundle needs: {len(made)} checks passed{remark}")
