"""The gate ``champion``: the candidate against the version that is live, on the same rows."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np

from mlops_steps.config.gates import ChampionGate
from mlops_steps.errors import CheckFailed
from mlops_steps.gates import figures
from mlops_steps.gates.measures import ERRORS, f1
from mlops_steps.gates.model import GateResult, GateVerdict
from mlops_steps.gates.samples import Samples, Version
from mlops_steps.gates.scored import numbers, positives, text
from mlops_steps.gates.statistics import auc, bootstrap, proportions
from mlops_steps.gates.statistics.model import Comparison, Verdict, not_worse
from mlops_steps.report.attachments import Figure
from mlops_steps.system.parallel import gather
from mlops_steps.system.waiting import Deadline

_LOWER_IS_BETTER = ("log_loss", "mae", "rmse")
_VERDICTS = {
    Verdict.SUCCESSFUL: GateVerdict.PASSED,
    Verdict.FAILED: GateVerdict.FAILED,
    Verdict.INCONCLUSIVE: GateVerdict.INCONCLUSIVE,
}


def measure(gate: ChampionGate, samples: Samples, deadline: Deadline) -> GateResult:
    """Raises :class:`CheckFailed` when the rows cannot be compared, :class:`NodeError` when a node cannot be asked."""
    champion = samples.champion
    if champion is None:
        return GateResult(GateVerdict.SKIPPED, "first release: there is no champion to compare with")
    if champion.bundle == samples.candidate.bundle:
        return GateResult(GateVerdict.SKIPPED, f"{champion.word} {champion.bundle} is the champion itself")
    labels, new, live = _pairs(gate, samples, champion, deadline)
    source = f"dataset {gate.dataset}: {samples.candidate} against {champion}"
    if len(labels) < gate.rows:
        return GateResult(
            GateVerdict.INCONCLUSIVE,
            f"{len(labels)} rows are in both datasets; {gate.rows} are required",
            limit=_limit(gate),
            rows=len(labels),
            source=source,
            against=champion.bundle,
        )
    found = _compare(gate, labels, new, live)
    higher_is_better = gate.metric not in _LOWER_IS_BETTER
    verdict = _VERDICTS[not_worse(found.interval, gate.margin, higher_is_better=higher_is_better)]
    message = f"{gate.metric} differs from the champion's by {found.difference:+.4g} {found.interval}"
    if verdict is GateVerdict.INCONCLUSIVE:
        message += "; too few rows to tell whether that is within the limit"
    return GateResult(
        verdict,
        message,
        found.difference,
        _limit(gate),
        str(found.interval),
        found.rows,
        source,
        () if found.p_value is None else (f"p-value of no difference: {found.p_value:.3g}",),
        figures=_figures(gate, labels, new, live),
        against=champion.bundle,
    )


def _figures(gate: ChampionGate, labels: Sequence[Any], new: Sequence[Any], live: Sequence[Any]) -> tuple[Figure, ...]:
    """ROC and calibration of probabilities, residuals of numbers; nothing of classes."""
    sides = {"candidate": new, "champion": live}
    if gate.metric in ("auc", "log_loss"):
        truth = positives(labels, gate.positive)
        scores = {name: numbers(values, str(gate.probability)) for name, values in sides.items()}
        return figures.roc(gate.name, truth, scores), figures.calibration(gate.name, truth, scores)
    if gate.metric in ("mae", "rmse"):
        predicted = {name: numbers(values, str(gate.prediction)) for name, values in sides.items()}
        return (figures.residuals(gate.name, numbers(labels, gate.label), predicted),)
    return ()


def _limit(gate: ChampionGate) -> str:
    return f"not worse than the champion by more than {gate.margin:g}, with {100 * gate.confidence:g} %"


def _pairs(
    gate: ChampionGate, samples: Samples, champion: Version, deadline: Deadline
) -> tuple[list[Any], list[Any], list[Any]]:
    """Labels, and the scores of both versions, of the rows that are in both datasets."""
    score = gate.probability if gate.metric in ("auc", "log_loss") else gate.prediction
    columns = [gate.key, gate.label, str(score)]
    rows = []
    versions = (samples.candidate, champion)
    tables = gather([partial(samples.read, one, gate.dataset, columns, deadline, gate.scenario) for one in versions])
    for version, found in zip(versions, tables, strict=True):
        keyed = {
            text(key): (label, value) for key, label, value in zip(*found.values(), strict=True) if key is not None
        }
        if len(keyed) < sum(key is not None for key in found[gate.key]):
            raise CheckFailed(f"{version}: column {gate.key} of dataset {gate.dataset} has values that occur twice")
        rows.append({key: row for key, row in keyed.items() if None not in row})
    new, live = rows
    shared = sorted(new.keys() & live.keys())
    if any(text(new[key][0]) != text(live[key][0]) for key in shared):
        raise CheckFailed(
            f"the labels of dataset {gate.dataset} differ between {samples.candidate.stage} and {champion.stage}",
            next_step="score the same rows on both nodes",
        )
    return [new[key][0] for key in shared], [new[key][1] for key in shared], [live[key][1] for key in shared]


def _compare(gate: ChampionGate, labels: Sequence[Any], new: Sequence[Any], live: Sequence[Any]) -> Comparison:
    level = gate.confidence
    if gate.metric == "accuracy":
        right = [text(label) for label in labels]
        good_new = np.asarray([text(a) == b for a, b in zip(new, right, strict=True)])
        good_live = np.asarray([text(a) == b for a, b in zip(live, right, strict=True)])
        both, only_new = int((good_new & good_live).sum()), int((good_new & ~good_live).sum())
        only_live = int((~good_new & good_live).sum())
        return proportions.paired_shares(both, only_new, only_live, len(right) - both - only_new - only_live, level)
    if gate.metric == "auc":
        column = str(gate.probability)
        classes = positives(labels, gate.positive)
        return auc.compare_areas(classes, numbers(new, column), numbers(live, column), level)
    if gate.metric == "f1":
        truth = positives(labels, gate.positive).astype(np.float64)
        scores = [[text(value).lower() == gate.positive.strip().lower() for value in column] for column in (new, live)]
        return bootstrap.compare(truth, scores[0], scores[1], f1, level=level)
    if gate.metric == "log_loss":
        truth = positives(labels, gate.positive).astype(np.float64)
    else:
        truth = numbers(labels, gate.label)
    column = str(gate.probability if gate.metric == "log_loss" else gate.prediction)
    return bootstrap.compare(truth, numbers(new, column), numbers(live, column), ERRORS[gate.metric], level=level)
