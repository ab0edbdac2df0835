"""Metrics of one model on labelled rows, each with an interval where there is a cheap one that is known to hold."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from mlops_steps.gates.scored import Array, numbers, positives, text
from mlops_steps.gates.statistics import auc, proportions
from mlops_steps.gates.statistics.model import Estimate, Interval


def estimate(metric: str, labels: Sequence[Any], scores: Sequence[Any], positive: str, column: str) -> Estimate:
    """The metric of ``scores``: classes for accuracy and f1, probabilities for auc and log_loss, else numbers.

    Without an interval of its own, both ends are the value. Raises :class:`CheckFailed` for values that do not fit,
    ``ValueError`` when the rows do not allow it.
    """
    if metric == "accuracy":
        right = sum(text(a) == text(b) for a, b in zip(labels, scores, strict=True))
        return proportions.share(right, len(labels))
    if metric == "auc":
        return auc.area(positives(labels, positive), numbers(scores, column))
    if metric == "f1":
        truth = positives(labels, positive).astype(np.float64)
        chosen = np.asarray([text(value).lower() == positive.strip().lower() for value in scores], dtype=np.float64)
        return _plain(f1(truth, chosen), len(labels))
    if metric == "log_loss":
        return _plain(log_loss(positives(labels, positive).astype(np.float64), numbers(scores, column)), len(labels))
    return _plain(ERRORS[metric](numbers(labels, column), numbers(scores, column)), len(labels))


def _plain(value: float, rows: int) -> Estimate:
    return Estimate(value, Interval(value, value, 0.0, ""), rows)


def f1(truth: Array, predicted: Array) -> float:
    """F1 of classes given as 1.0 and 0.0."""
    both = float((truth * predicted).sum())
    total = float(truth.sum() + predicted.sum())
    return 2 * both / total if total else math.nan


def log_loss(truth: Array, chance: Array) -> float:
    """Log loss of probabilities."""
    sure = np.clip(chance, 1e-15, 1 - 1e-15)
    return -float((truth * np.log(sure) + (1 - truth) * np.log(1 - sure)).mean())


def rmse(truth: Array, predicted: Array) -> float:
    """Root of the mean squared error."""
    return math.sqrt(float(((truth - predicted) ** 2).mean()))


def mae(truth: Array, predicted: Array) -> float:
    """Mean absolute error."""
    return float(np.abs(truth - predicted).mean())


ERRORS: dict[str, Callable[[Array, Array], float]] = {"log_loss": log_loss, "rmse": rmse, "mae": mae}
