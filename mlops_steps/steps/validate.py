"""validate: the project on the Design node against the rules, one test case per rule and object."""

from __future__ import annotations

from mlops_steps.config import Settings
from mlops_steps.dss import projects
from mlops_steps.dss.facts import ProjectFacts
from mlops_steps.dss.scenarios import ScenarioInfo
from mlops_steps.dss.session import connect
from mlops_steps.errors import CheckFailed
from mlops_steps.report.model import Case, Outcome
from mlops_steps.rules.engine import Engine, Result, Verdict
from mlops_steps.rules.loading import load_rules
from mlops_steps.steps.context import Context
from mlops_steps.system.console import Console
from mlops_steps.system.waiting import Deadline, duration
from mlops_steps.trials.scenario_cases import choose

# How a verdict is reported in JUnit XML. A warning passes and carries its text.
_OUTCOMES = {
    Verdict.PASSED: Outcome.PASSED,
    Verdict.WARNING: Outcome.PASSED,
    Verdict.FAILED: Outcome.FAILURE,
    Verdict.SKIPPED: Outcome.SKIPPED,
    Verdict.ERROR: Outcome.ERROR,
}
_MOST_DETAILS = 20


def run(context: Context) -> None:
    """Checks the project. Changes nothing.

    Raises :class:`CheckFailed` when a rule of severity error is violated or a rule could not be applied,
    :class:`ConfigError` before anything is asked, :class:`NodeError` when the project cannot be read.
    """
    settings, report, console = context.settings, context.report, context.console
    engine = Engine(load_rules(settings), settings)
    report.set(node=settings.nodes["design"].url)
    with report.case(f"read project {settings.project}") as case:
        facts = _read(settings, console)
        case.stdout = _summary(facts)
    console.line(f"project {facts.key}: {_summary(facts)}")
    results = []
    for result in engine.run(facts):
        results.append(result)
        report.add(_case(result))
        _say(result, console)
    for exception in engine.unused:
        place = settings.place("validate", "exceptions", str(settings.validation.exceptions.index(exception)))
        text = f"{place}: the exception of rule {exception.rule} for {exception.object!r} matches nothing"
        console.warn(text)
        report.stdout += f"warning: {text}\n"
    _conclude(results, console)


def _read(settings: Settings, console: Console) -> ProjectFacts:
    scenarios = projects.ScenarioFilter(
        is_test=lambda name, marked: bool(choose(settings.test, [ScenarioInfo(name, name, marked)])),
        patterns=tuple(settings.test.scenarios),
        smoke_scenario=settings.release.smoke_scenario,
    )
    deadline = Deadline(settings.validation.timeout)
    with console.waiting(f"reading project {settings.project}"), connect(settings, settings.nodes["design"]) as design:
        return projects.read(design, settings.project, scenarios, deadline)


def _summary(facts: ProjectFacts) -> str:
    counts = ((len(facts.recipes), "recipe"), (len(facts.library), "library file"), (len(facts.scenarios), "scenario"))
    return ", ".join(f"{count} {name}{'' if count == 1 else 's'}" for count, name in counts)


def _case(result: Result) -> Case:
    is_warning = result.verdict is Verdict.WARNING
    return Case(
        result.name,
        _OUTCOMES[result.verdict],
        message="" if is_warning else result.message,
        details="" if is_warning else result.details,
        seconds=result.seconds,
        stdout=f"warning: {result.message}\n{result.details}" if is_warning else "",
    )


def _say(result: Result, console: Console) -> None:
    if result.verdict is Verdict.WARNING:
        console.warn(f"{result.name}: {result.message}")
    elif result.verdict in (Verdict.FAILED, Verdict.ERROR):
        console.error(f"{result.verdict.value}: {result.name}: {result.message}")
        for line in result.details.splitlines()[:_MOST_DETAILS]:
            console.line(f"  {line}")
    elif result.verdict is Verdict.SKIPPED:
        console.line(f"skipped: {result.name}: {result.message}")


def _conclude(results: list[Result], console: Console) -> None:
    made = [result for result in results if result.verdict is not Verdict.SKIPPED]
    failed = [result for result in made if result.verdict in (Verdict.FAILED, Verdict.ERROR)]
    warnings = sum(result.verdict is Verdict.WARNING for result in made)
    others = [f"{warnings} warning{'' if warnings == 1 else 's'}"] if warnings else []
    if len(made) < len(results):
        others.append(f"{len(results) - len(made)} skipped")
    remark = f" ({', '.join(others)})" if others else ""
    seconds = duration(round(sum(result.seconds for result in results), 1))
    if failed:
        error = CheckFailed(
            f"{len(failed)} of {len(made)} checks failed{remark}",
            next_step="mend the project on the Design node, or see `validate` in mlops.yml for limits, "
            "severities and exceptions",
        )
        error.is_reported = True
        raise error
    console.good(f"{len(made)} checks passed in {seconds}{remark}")
