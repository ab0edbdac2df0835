"""Runs the gates side by side, and turns what they found into test cases."""

from __future__ import annotations

import contextvars
import dataclasses
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial

from mlops_steps.config import Settings
from mlops_steps.config.gates import (
    CalibrationGate,
    ChampionGate,
    CustomGate,
    DataQualityGate,
    DriftGate,
    Gate,
    GovernanceGate,
    MetricGate,
    ProjectStandardsGate,
    SlicesGate,
)
from mlops_steps.errors import CheckFailed, DeadlineExceeded, MlopsError
from mlops_steps.gates.model import GateCheck, GateResult, GateVerdict
from mlops_steps.gates.samples import Samples
from mlops_steps.report.model import Case, Outcome, Report
from mlops_steps.system.extras import require
from mlops_steps.system.parallel import gather
from mlops_steps.system.text import one_line
from mlops_steps.system.waiting import Deadline, duration

_WITHOUT_STATISTICS = (MetricGate, CustomGate, DataQualityGate, ProjectStandardsGate, GovernanceGate)


def check_extras(gates: Sequence[Gate]) -> None:
    """Raises :class:`ConfigError` when a gate requires the extra ``gates`` and it is not installed."""
    for gate in gates:
        if not isinstance(gate, _WITHOUT_STATISTICS):
            require("gates", "numpy", "scipy", purpose=f"the gate {gate.name}")


def run(gates: Sequence[Gate], settings: Settings, samples: Samples) -> list[GateResult]:
    """The result of each gate, in their order. What a gate raises is a result too."""
    return gather([partial(_run, gate, settings, samples) for gate in gates])


def _run(gate: Gate, settings: Settings, samples: Samples) -> GateResult:
    began = time.monotonic()
    deadline = Deadline(gate.timeout)
    try:
        found = _within(deadline, partial(_measure, gate, settings, samples.of(gate), deadline))
    except MlopsError as error:
        found = GateResult(
            GateVerdict.UNMEASURED,
            f"could not be measured: {error.message}",
            details=tuple(error.lines()[1:]),
            error=error,
        )
    except Exception as error:  # a gate may be the code of others, and data may be anything
        text = one_line(f"{type(error).__name__}: {error}", 300)
        found = GateResult(
            GateVerdict.UNMEASURED, f"could not be measured: {text}", error=CheckFailed(f"gate {gate.name}: {text}")
        )
    took = time.monotonic() - began
    return dataclasses.replace(found, name=gate.name, seconds=took, definition=gate.definition)


def _measure(gate: Gate, settings: Settings, samples: Samples, deadline: Deadline) -> GateResult:
    # Imported late: only agents that run such gates have the extra, and only then is it worth its start.
    if isinstance(gate, MetricGate):
        from mlops_steps.gates import metric

        return metric.measure(gate, samples, deadline)
    if isinstance(gate, ChampionGate):
        from mlops_steps.gates import champion

        return champion.measure(gate, samples, deadline)
    if isinstance(gate, SlicesGate):
        from mlops_steps.gates import slices

        return slices.measure(gate, samples, deadline)
    if isinstance(gate, CalibrationGate):
        from mlops_steps.gates import calibration

        return calibration.measure(gate, samples, deadline)
    if isinstance(gate, DriftGate):
        from mlops_steps.gates import drift

        return drift.measure(gate, samples, deadline)
    if isinstance(gate, DataQualityGate):
        from mlops_steps.gates import data_quality

        return data_quality.measure(gate, samples, deadline)
    if isinstance(gate, ProjectStandardsGate):
        from mlops_steps.gates import project_standards

        return project_standards.measure(gate, settings, samples, deadline)
    if isinstance(gate, GovernanceGate):
        from mlops_steps.gates import governance

        return governance.measure(gate, settings, samples, deadline)
    from mlops_steps.gates import custom

    return custom.measure(gate, samples, settings, deadline)


def _within(deadline: Deadline, measure: Callable[[], GateResult]) -> GateResult:
    """Runs it in a thread of its own, so that a gate that hangs does not hang the step."""
    found: list[GateResult] = []
    errors: list[BaseException] = []

    def work() -> None:
        try:
            found.append(measure())
        except BaseException as error:  # handed over to the caller's thread; the team's code may call exit()
            errors.append(error if isinstance(error, Exception) else RuntimeError(repr(error)))

    thread = threading.Thread(target=contextvars.copy_context().run, args=(work,), daemon=True)
    thread.start()
    while thread.is_alive() and not deadline.passed:
        thread.join(min(0.5, max(deadline.remaining, 0.01)))  # in pieces, so that a signal handler gets its turn
    if errors:
        raise errors[0]
    if not found:
        raise DeadlineExceeded(f"timed out after {duration(deadline.seconds)}")
    return found[0]


def add_cases(report: Report, settings: Settings, results: Sequence[GateResult]) -> list[Case]:
    """One test case per gate, with what was measured as its output and as properties of the report.

    Where a gate looks at several things, each of them is one more.
    """
    inconclusive = {gate.name: gate.inconclusive for gate in settings.gates}
    cases = []
    for result in results:
        outcome = _outcome(result.verdict, inconclusive.get(result.name))
        message = result.message
        if result.verdict is GateVerdict.INCONCLUSIVE:
            message = f"inconclusive: {message}"
        facts = [f"{name}: {value}" for name, value in result.facts().items()]
        case = Case(
            f"gate {result.name}",
            outcome,
            message if outcome is not Outcome.PASSED else "",
            "\n".join([message, *facts, *result.details]) if outcome is not Outcome.PASSED else "",
            result.seconds,
            stdout="\n".join([message, *facts, *result.details]),
        )
        cases.append(report.add(case))
        cases += [report.add(_case_of(result, check, inconclusive)) for check in result.checks]
        report.set(**{f"gate.{result.name}.{name}": value for name, value in result.facts().items()})
        report.set(**{f"gate.{result.name}.verdict": result.verdict.value})
        if result.figures:
            report.attach().figures.extend(result.figures)
    return cases


def _outcome(verdict: GateVerdict, inconclusive: str | None) -> Outcome:
    skipped = verdict is GateVerdict.INCONCLUSIVE and inconclusive == "skip"
    return Outcome.SKIPPED if skipped else _OUTCOMES[verdict]


def _case_of(result: GateResult, check: GateCheck, inconclusive: Mapping[str, str]) -> Case:
    outcome = _outcome(check.verdict, inconclusive.get(result.name))
    shown = "" if outcome is Outcome.PASSED else check.message
    return Case(f"gate {result.name}: {check.name}", outcome, shown, shown, stdout=check.message)


_OUTCOMES = {
    GateVerdict.PASSED: Outcome.PASSED,
    GateVerdict.FAILED: Outcome.FAILURE,
    GateVerdict.INCONCLUSIVE: Outcome.FAILURE,
    GateVerdict.UNMEASURED: Outcome.ERROR,
    GateVerdict.SKIPPED: Outcome.SKIPPED,
}
