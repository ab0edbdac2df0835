"""The gate ``drift``: whether a dataset has moved away from a reference, column by column."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mlops_steps.config.gates import DriftGate
from mlops_steps.dss import evaluations
from mlops_steps.errors import CheckFailed
from mlops_steps.gates import figures
from mlops_steps.gates.model import GateResult, GateVerdict
from mlops_steps.gates.samples import Samples
from mlops_steps.gates.scored import text
from mlops_steps.gates.statistics.drift import (
    Drift,
    drift_of_categories,
    drift_of_numbers,
    drifted,
    judge_psi,
    psi_noise,
)
from mlops_steps.gates.statistics.model import Verdict
from mlops_steps.system.text import nearest
from mlops_steps.system.waiting import Deadline

#: A column of numbers with no more different values than this holds codes of categories.
_FEW_VALUES = 10

#: How the drift of what the model predicts is called, among the columns.
PREDICTION = "prediction"


def measure(gate: DriftGate, samples: Samples, deadline: Deadline) -> GateResult:
    """A column fails when its PSI exceeds its limit and its test finds drift after the correction for many columns.

    Raises :class:`CheckFailed` when a column is missing, :class:`NodeError` when the node cannot be asked.
    """
    if gate.store:
        return _of_store(gate, samples, deadline)
    version = samples.candidate
    source = f"dataset {gate.current} against {gate.reference}, {version}"
    # The current dataset first: its scenario may make the reference too.
    names = _columns(gate, samples, deadline)
    current = samples.read(version, str(gate.current), names, deadline, gate.scenario)
    reference = samples.read(version, str(gate.reference), names, deadline)
    rows = min(len(current[names[0]]), len(reference[names[0]]))
    if rows < gate.rows:
        return _too_few(gate, rows, source)
    found = {name: _drift(name, reference[name], current[name]) for name in names}
    return judge(gate, found, gate.importances, rows, source)


def _of_store(gate: DriftGate, samples: Samples, deadline: Deadline) -> GateResult:
    """The drift that the node computes of the latest evaluation of a store."""
    version, node = samples.candidate, samples.candidate.node
    if gate.scenario:
        samples.prepare(version, gate.scenario, deadline)
    with node.within(deadline):
        evaluation = evaluations.latest(node, version.project_key, str(gate.store))
        if evaluation.model and evaluation.model not in evaluations.active_versions(node, version.project_key):
            raise CheckFailed(
                f"the latest evaluation of store {gate.store} is of {evaluation.model}, which is not active",
                next_step="name the scenario that evaluates the active version: `scenario` of the gate",
            )
    drift = evaluations.drift(node, version.project_key, evaluation, gate.against, deadline)
    source = f"evaluation {evaluation.id} of store {gate.store} against {gate.against or 'its reference'}, {version}"
    columns = {**drift.columns, **({PREDICTION: drift.prediction} if drift.prediction else {})}
    unknown = [name for name in gate.columns if name not in columns]
    if unknown or not columns:
        missing = f"column {unknown[0]}{nearest(unknown[0], columns)}" if unknown else "any column"
        raise CheckFailed(f"the node has not computed drift of {missing}")
    columns = {name: columns[name] for name in gate.columns or columns}
    rows = min(drift.rows)
    if rows < gate.rows:
        return _too_few(gate, rows, source)
    noise = psi_noise(*drift.rows, evaluations.BINS)
    found = {name: Drift(one.psi, noise, 0.0, one.p_value, one.test, drift.rows) for name, one in columns.items()}
    weights = {**(gate.importances or drift.importances or {})}
    if weights and PREDICTION in found:
        # What the model predicts is no feature: it counts as much as the one that matters most.
        weights.setdefault(PREDICTION, max(weights.values()))
    return judge(gate, found, weights, rows, source)


def judge(
    gate: DriftGate, found: Mapping[str, Drift], weights: Mapping[str, float], rows: int, source: str
) -> GateResult:
    """The verdict on the drift of all columns; ``weights`` are how much they matter, none: all the same."""
    names = list(found)
    p_values = {name: one.p_value for name, one in found.items()}
    seen = drifted(p_values, gate.alpha, weights if any(weights.get(name, 0.0) > 0 for name in names) else None)
    limits = {name: gate.columns.get(name, gate.psi) for name in names}
    verdicts = {name: judge_psi(found[name], limits[name]) for name in names}
    failed = [name for name in names if verdicts[name] is Verdict.FAILED and name in seen]
    unsure = [name for name in names if verdicts[name] is Verdict.INCONCLUSIVE]
    worst = max(names, key=lambda name: found[name].psi / limits[name])
    verdict = GateVerdict.FAILED if failed else GateVerdict.INCONCLUSIVE if unsure else GateVerdict.PASSED
    shown = ", ".join(f"{name} (PSI {found[name].psi:.3g})" for name in (failed or unsure or [worst])[:5])
    words = {
        GateVerdict.FAILED: "worst",
        GateVerdict.INCONCLUSIVE: "too few rows to tell",
        GateVerdict.PASSED: "most",
    }
    return GateResult(
        verdict,
        f"{len(failed)} of {len(names)} columns drifted; {words[verdict]}: {shown}",
        found[worst].psi,
        _limit(gate),
        rows=rows,
        source=source,
        details=tuple(_line(name, found[name], limits[name]) for name in sorted(names, key=lambda n: -found[n].psi)),
        figures=(figures.drift(gate.name, {name: found[name].psi for name in names}, limits),),
    )


def _too_few(gate: DriftGate, rows: int, source: str) -> GateResult:
    message = f"the smaller sample has {rows} rows; {gate.rows} are required"
    return GateResult(GateVerdict.INCONCLUSIVE, message, limit=_limit(gate), rows=rows, source=source)


def _columns(gate: DriftGate, samples: Samples, deadline: Deadline) -> list[str]:
    if gate.columns:
        unknown = [name for name in gate.importances if name not in gate.columns]
        if unknown:
            raise CheckFailed(
                f"importances names {unknown[0]}, which columns does not{nearest(unknown[0], gate.columns)}"
            )
        return list(gate.columns)
    known = [
        samples.columns(samples.candidate, dataset, deadline) for dataset in (str(gate.reference), str(gate.current))
    ]
    common = [name for name in known[0] if name in known[1]]
    if not common:
        raise CheckFailed(f"datasets {gate.reference} and {gate.current} have no column in common")
    return common


def _drift(name: str, reference: list[Any], current: list[Any]) -> Drift:
    try:
        numbers = _numbers(reference), _numbers(current)
        if numbers[0] is not None and numbers[1] is not None:
            return drift_of_numbers(numbers[0], numbers[1])
        return drift_of_categories(
            *([None if v is None else text(v) for v in values] for values in (reference, current))
        )
    except ValueError as error:
        raise CheckFailed(f"column {name} cannot be compared: {error}") from None


def _numbers(values: list[Any]) -> list[float] | None:
    """The values as numbers, ``nan`` for a missing one; ``None`` where they are categories.

    Datasets in text files often keep numbers as text. Few different numbers are codes of categories.
    """
    try:
        found = [float("nan") if value is None else float(value) for value in values]
    except (TypeError, ValueError):
        return None
    return found if len(set(values)) > _FEW_VALUES else None


def _limit(gate: DriftGate) -> str:
    own = "".join(f", {name} {limit:g}" for name, limit in gate.columns.items())
    return f"PSI at most {own[2:] if own else f'{gate.psi:g}'}"


def _line(name: str, found: Drift, limit: float) -> str:
    return (
        f"{name}: PSI {found.psi:.3g} (limit {limit:g}, {found.noise:.2g} without drift), "
        f"{found.test} p = {found.p_value:.3g}, {found.rows[0]} and {found.rows[1]} rows"
    )
