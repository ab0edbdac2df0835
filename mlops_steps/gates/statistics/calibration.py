"""Whether probabilities mean what they say."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mlops_steps.gates.statistics.model import Interval, Verdict, at_most

BINS = 10
_RESAMPLES = 1000


@dataclass(frozen=True)
class Calibration:
    """The expected calibration error of probabilities, with its interval.

    ``noise`` is the error that perfectly calibrated probabilities stay below on so many rows, 95 times in 100.
    ``curve`` has for each bin its mean probability, its share of positives, and its rows.
    """

    error: float
    interval: Interval
    noise: float
    curve: tuple[tuple[float, float, int], ...]
    rows: int


def calibration(
    labels: ArrayLike, probabilities: ArrayLike, *, bins: int = BINS, level: float = 0.95, seed: int = 0
) -> Calibration:
    """Measures the calibration of the probabilities of the positive class.

    The error is the mean over the rows of |share of positives - mean probability| in bins of equal size. Its interval
    is a bootstrap of the rows; its noise comes from labels drawn by the probabilities themselves (consistency
    resampling, Broecker and Smith 2007, Weather and Forecasting 22, 651-661). Raises ``ValueError`` for probabilities
    outside of 0 to 1, and for fewer rows than two per bin.
    """
    positive = np.asarray(labels).astype(np.float64)
    chance = np.asarray(probabilities, dtype=np.float64)
    if positive.shape != chance.shape or positive.ndim != 1:
        raise ValueError("labels and probabilities must have one value per row")
    if not ((chance >= 0) & (chance <= 1)).all():
        raise ValueError("a probability is not between 0 and 1")
    rows = len(chance)
    if rows < 2 * bins:
        raise ValueError(f"{rows} rows; {bins} bins need at least {2 * bins}")
    order = np.argsort(chance, kind="stable")
    positive, chance = positive[order], chance[order]
    parts = np.array_split(np.arange(rows), bins)
    curve = tuple((float(chance[part].mean()), float(positive[part].mean()), len(part)) for part in parts)
    value = _error(positive, chance, bins)
    generator = np.random.default_rng(seed)
    drawn, calm = np.empty(_RESAMPLES), np.empty(_RESAMPLES)
    for index in range(_RESAMPLES):
        chosen = np.sort(generator.integers(0, rows, rows))
        drawn[index] = _error(positive[chosen], chance[chosen], bins)
        calm[index] = _error((generator.random(rows) < chance).astype(np.float64), chance, bins)
    # A resample is less calibrated than its sample by about the noise once more: the basic interval takes that off.
    low, high = np.quantile(drawn, [0.5 - level / 2, 0.5 + level / 2])
    interval = Interval(max(0.0, float(2 * value - high)), max(0.0, float(2 * value - low)), level, "basic bootstrap")
    return Calibration(value, interval, float(np.quantile(calm, 0.95)), curve, rows)


def judge_calibration(found: Calibration, limit: float) -> Verdict:
    """Whether the error stays within ``limit``, by its interval; inconclusive when the interval holds the limit."""
    return at_most(found.interval, limit)


def _error(positive: NDArray[np.float64], chance: NDArray[np.float64], bins: int) -> float:
    """The error of rows that are sorted by their probability."""
    gaps = positive - chance
    return float(sum(abs(part.sum()) for part in np.array_split(gaps, bins)) / len(gaps))
