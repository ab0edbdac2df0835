"""Scenario runs as test cases, with the tests that DSS itself reports for them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase

from mlops_steps.config import TestSettings
from mlops_steps.dss.scenarios import ScenarioInfo, ScenarioOutcome
from mlops_steps.errors import ReportError
from mlops_steps.report import junit
from mlops_steps.report.model import Case, Outcome, Report
from mlops_steps.system.console import Console
from mlops_steps.trials.scenario_runs import Ran

# ABORTED, NOT_STARTED: the check was not made to its end. TIMED_OUT: taking too long is a failure.
_OUTCOMES = {
    "SUCCESS": Outcome.PASSED,
    "WARNING": Outcome.PASSED,
    "FAILED": Outcome.FAILURE,
    "TIMED_OUT": Outcome.FAILURE,
    "ABORTED": Outcome.ERROR,
    "NOT_STARTED": Outcome.ERROR,
}
_LAST_LINES = 25
# A shorter id may be part of a name by chance.
_SHORTEST_VOLATILE = 8


def choose(settings: TestSettings, present: Iterable[ScenarioInfo]) -> list[str]:
    """The ids of the scenarios to run: those that a pattern matches, and those that are marked as test."""
    return [
        scenario.id
        for scenario in present
        if any(fnmatchcase(scenario.id, pattern) for pattern in settings.scenarios)
        or (settings.marked and scenario.marked_as_test)
    ]


def missing(settings: TestSettings, present: Sequence[ScenarioInfo]) -> list[str]:
    """The scenarios that are asked for by their id and are not there."""
    ids = {scenario.id for scenario in present}
    return [name for name in settings.scenarios if not set("*?[") & set(name) and name not in ids]


def add_cases(report: Report, ran: Ran, warning: str, bundle: str, console: Console) -> None:
    """Adds the scenario's own case and those of the reports that DSS has for its run."""
    if ran.outcome is None:
        message = ran.error.message if ran.error else "not run"
        details = "\n".join(ran.error.lines()) if ran.error else ""
        report.add(Case(ran.scenario_id, Outcome.ERROR, message, details))
        return
    case = report.add(_case(ran.outcome, warning))
    volatile = [text for text in (ran.outcome.run_id, bundle) if text and len(text) >= _SHORTEST_VOLATILE]
    inner = _inner_cases(report.project, ran.outcome, case, console)
    junit.merge(report, inner, scope=ran.scenario_id, volatile=volatile)


def _case(ran: ScenarioOutcome, warning: str) -> Case:
    outcome = _OUTCOMES[ran.outcome]
    if ran.outcome == "WARNING" and warning == "fail":
        outcome = Outcome.FAILURE
    case = Case(ran.scenario_id, outcome, seconds=ran.seconds, stdout=ran.log)
    if outcome is Outcome.PASSED:
        # A case that passed has no place for a message but its output.
        case.stdout = f"{ran.outcome}: {ran.message}\n{ran.log}" if ran.message else ran.log
        return case
    case.message = f"{ran.outcome}: {ran.message}" if ran.message else ran.outcome
    tail = ran.log.splitlines()[-_LAST_LINES:]
    run = f"run {ran.run_id} of scenario {ran.scenario_id}" if ran.run_id else f"scenario {ran.scenario_id}"
    case.details = "\n".join([f"{run}: {case.message}", *(["", "The log ends with:", *tail] if tail else [])])
    return case


def _inner_cases(project: str, ran: ScenarioOutcome, scenario: Case, console: Console) -> list[Case]:
    """The cases of all reports of a run. What the run's report has of a step's report too is taken once."""
    cases: list[Case] = []
    seen: set[tuple[str, str]] = set()
    for data in ran.reports:
        try:
            found = junit.parse(data, source=f"the test report of scenario {ran.scenario_id}")
        except ReportError as error:
            console.warn(f"{error.message}; the scenario's own outcome stands")
            scenario.stderr += f"{error.message}\n"
            continue
        for case in found:
            case.classname = _below(case.classname, project, ran.scenario_id)
        new = [case for case in found if (case.classname, case.name) not in seen and not _same(case, scenario)]
        seen.update((case.classname, case.name) for case in new)
        cases.extend(new)
    return cases


def _below(classname: str, project: str, scenario_id: str) -> str:
    """The class without the project and the scenario at its head: the report's own classes name these already."""
    parts = classname.split(".")
    while parts and parts[0] in (project, scenario_id):
        parts = parts[1:]
    return ".".join(parts)


def _same(case: Case, scenario: Case) -> bool:
    """Whether the case says what the scenario's own case says: DSS has one for the scenario as a whole."""
    return case.name == scenario.name and not case.classname and case.outcome is scenario.outcome
