"""Areas under the ROC curve, with DeLong's variance: one model, or two on the same rows.

DeLong, DeLong and Clarke-Pearson 1988 (Biometrics 44, 837-845); computed from mid-ranks as Sun and Xu 2014 (IEEE Signal
Processing Letters 21, 1389-1393) show, in O(n log n).
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from mlops_steps.gates.statistics.model import Comparison, Estimate, Interval

_METHOD = "DeLong"


def area(labels: ArrayLike, scores: ArrayLike, level: float = 0.95) -> Estimate:
    """The area under the ROC curve of ``scores`` (higher means positive) for ``labels`` (1 or True is positive).

    The interval is DeLong's on the logit scale, so that it stays within 0 and 1; it is [0, 1] where the area is 0 or 1,
    for then the variance is not known. Raises ``ValueError`` when a class is missing or a score is not finite.
    """
    areas, covariance, rows = _delong(labels, [scores])
    value, variance = float(areas[0]), float(covariance[0, 0])
    return Estimate(value, _logit_interval(value, variance, level), rows)


def compare_areas(labels: ArrayLike, candidate: ArrayLike, champion: ArrayLike, level: float = 0.95) -> Comparison:
    """The difference of the areas of two models on the same rows, candidate minus champion.

    Raises ``ValueError`` like :func:`area`, and for arrays of different lengths.
    """
    areas, covariance, rows = _delong(labels, [candidate, champion])
    difference = float(areas[0] - areas[1])
    variance = float(covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1])
    error = math.sqrt(max(variance, 0.0))
    reach = float(stats.norm.ppf(0.5 + level / 2)) * error
    p_value = float(2 * stats.norm.sf(abs(difference) / error)) if error > 0 else float(difference == 0)
    interval = Interval(max(-1.0, difference - reach), min(1.0, difference + reach), level, _METHOD)
    return Comparison(difference, interval, rows, p_value)


def _delong(labels: ArrayLike, scores: list[ArrayLike]) -> tuple[NDArray[np.float64], NDArray[np.float64], int]:
    """The areas (one per model), their covariance matrix, and the number of rows."""
    positive = np.asarray(labels).astype(bool)
    matrix = np.asarray([np.asarray(column, dtype=np.float64) for column in scores])
    if positive.ndim != 1 or matrix.shape[1:] != positive.shape:
        raise ValueError("labels and scores must have one value per row")
    if not np.isfinite(matrix).all():
        raise ValueError("a score is not a finite number")
    count, others = int(positive.sum()), int((~positive).sum())
    if count < 2 or others < 2:
        raise ValueError(f"{count} positive and {others} negative rows; an area needs two of each")
    all_ranks = np.apply_along_axis(stats.rankdata, 1, matrix)
    own_positive = np.apply_along_axis(stats.rankdata, 1, matrix[:, positive])
    own_negative = np.apply_along_axis(stats.rankdata, 1, matrix[:, ~positive])
    areas = (all_ranks[:, positive].sum(axis=1) - count * (count + 1) / 2) / (count * others)
    of_positive = (all_ranks[:, positive] - own_positive) / others
    of_negative = 1 - (all_ranks[:, ~positive] - own_negative) / count
    covariance = np.atleast_2d(np.cov(of_positive)) / count + np.atleast_2d(np.cov(of_negative)) / others
    return areas, covariance, len(positive)


def _logit_interval(value: float, variance: float, level: float) -> Interval:
    if not 0 < value < 1:
        return Interval(0.0, 1.0, level, _METHOD)
    centre = math.log(value / (1 - value))
    reach = float(stats.norm.ppf(0.5 + level / 2)) * math.sqrt(variance) / (value * (1 - value))
    return Interval(_expit(centre - reach), _expit(centre + reach), level, _METHOD)


def _expit(value: float) -> float:
    return 1 / (1 + math.exp(-value)) if value >= 0 else math.exp(value) / (1 + math.exp(value))
