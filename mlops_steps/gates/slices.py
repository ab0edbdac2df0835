"""The gate ``slices``: a metric for each value of a column."""

from __future__ import annotations

from collections import Counter
from typing import Any

from mlops_steps.config.gates import SlicesGate
from mlops_steps.gates.model import GateResult, GateVerdict
from mlops_steps.gates.samples import Samples
from mlops_steps.gates.scored import complete, text
from mlops_steps.gates.statistics.model import Verdict
from mlops_steps.gates.statistics.slices import Slices, judge_spread, judge_worst, shares_of_slices
from mlops_steps.system.waiting import Deadline

#: A column with more values than this is no column to slice by.
_MOST_SLICES = 1_000


def measure(gate: SlicesGate, samples: Samples, deadline: Deadline) -> GateResult:
    """Raises :class:`CheckFailed` when a column is missing, :class:`NodeError` when the node cannot be asked."""
    version = samples.candidate
    columns = samples.read(version, gate.dataset, [gate.by, gate.label, gate.prediction], deadline, gate.scenario)
    rows, _incomplete = complete(columns)
    counts = _counts(gate, rows)
    source = f"dataset {gate.dataset}, {version}, by {gate.by}"
    found = shares_of_slices(counts, fewest_rows=gate.rows, level=gate.confidence)
    total = sum(estimate.rows for estimate in found.slices.values())
    if found.worst is None or len(counts) > _MOST_SLICES:
        reason = f"no slice of {gate.by} has {gate.rows} rows" if found.worst is None else f"{len(counts)} slices"
        return GateResult(GateVerdict.INCONCLUSIVE, reason, limit=_limit(gate), rows=total, source=source)
    verdicts = []
    if gate.at_least is not None:
        verdicts.append(judge_worst(found, gate.at_least))
    if gate.spread is not None:
        verdicts.append(judge_spread(found, gate.spread))
    worst = found.slices[found.worst]
    return GateResult(
        _verdict(verdicts),
        f"{gate.metric} is lowest for {gate.by} {found.worst}: {worst.value:.4g} {worst.interval}; "
        f"the spread is {found.spread:.4g}",
        worst.value,
        _limit(gate),
        str(worst.interval),
        total,
        source,
        _details(found),
    )


def _counts(gate: SlicesGate, rows: dict[str, list[Any]]) -> dict[str, tuple[int, int]]:
    """For each slice, how many rows are right, of how many that count for the metric."""
    good: Counter[str] = Counter()
    every: Counter[str] = Counter()
    positive = gate.positive.strip().lower()
    for by, label, prediction in zip(rows[gate.by], rows[gate.label], rows[gate.prediction], strict=True):
        truth, said = text(label).lower(), text(prediction).lower()
        if (gate.metric == "recall" and truth != positive) or (gate.metric == "precision" and said != positive):
            continue
        every[text(by)] += 1
        good[text(by)] += truth == said
    return {name: (good[name], count) for name, count in every.items()}


def _limit(gate: SlicesGate) -> str:
    limits = {"every slice at least": gate.at_least, "spread at most": gate.spread}
    return ", ".join(f"{word} {number:g}" for word, number in limits.items() if number is not None)


def _verdict(verdicts: list[Verdict]) -> GateVerdict:
    if Verdict.FAILED in verdicts:
        return GateVerdict.FAILED
    return GateVerdict.INCONCLUSIVE if Verdict.INCONCLUSIVE in verdicts else GateVerdict.PASSED


def _details(found: Slices) -> tuple[str, ...]:
    by_value = sorted(found.slices.items(), key=lambda item: item[1].value)
    lines = [f"{name}: {each.value:.4g} {each.interval}, {each.rows} rows" for name, each in by_value[:50]]
    if found.too_small:
        lines.append(
            f"too few rows to tell: {', '.join(f'{n} ({c})' for n, c in sorted(found.too_small.items())[:50])}"
        )
    return tuple(lines)
