"""Differences of any metric between two models on the same rows, by resampling the rows."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from mlops_steps.gates.statistics.model import Comparison, Interval

Array = NDArray[np.float64]
#: A metric of labels (or values) and predictions, one number; NaN where the sample does not allow it.
Metric = Callable[[Array, Array], float]

#: Resamples: the Monte-Carlo error of the ends of a 95 % interval is then a few hundredths of its width.
RESAMPLES = 2000
#: Below so many rows the bootstrap's intervals are too short to be believed.
FEWEST_ROWS = 20
# Values drawn at once, so that memory is bounded.
_AT_ONCE = 2_000_000
# So many resamples above the measured mean show that it is nothing special.
_MANY = 100


def compare(
    actual: ArrayLike,
    candidate: ArrayLike,
    champion: ArrayLike,
    metric: Metric,
    *,
    level: float = 0.95,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Comparison:
    """The difference metric(candidate) minus metric(champion), with the interval of a paired bootstrap of the rows.

    The interval is bias-corrected and accelerated (BCa) for up to 2,000 rows and a percentile interval above, where the
    two agree and BCa's jackknife costs too much. The same ``seed`` gives the same interval. Raises ``ValueError`` for
    fewer than 20 rows, arrays of different lengths, or when the metric is not a number on the whole sample.
    """
    columns = [np.asarray(column, dtype=np.float64) for column in (actual, candidate, champion)]
    rows = len(columns[0])
    if any(column.shape != (rows,) for column in columns):
        raise ValueError("actual values and predictions must have one value per row")
    if rows < FEWEST_ROWS:
        raise ValueError(f"{rows} rows; a bootstrap needs at least {FEWEST_ROWS}")

    def difference(truth: Array, new: Array, live: Array) -> float:
        return metric(truth, new) - metric(truth, live)

    value = float(difference(*columns))
    if not np.isfinite(value):
        raise ValueError("the metric is not a number on these rows")
    if np.array_equal(columns[1], columns[2]):
        return Comparison(0.0, Interval(0.0, 0.0, level, "paired bootstrap"), rows)
    method = "BCa" if rows <= 2000 else "percentile"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a degenerate sample shows as NaN, which is looked at below
        found = stats.bootstrap(
            columns,
            difference,
            paired=True,
            vectorized=False,
            n_resamples=resamples,
            confidence_level=level,
            method=method,
            rng=np.random.default_rng(seed),
        )
    low, high = (float(end) for end in found.confidence_interval)
    if not (np.isfinite(low) and np.isfinite(high)):
        finite = found.bootstrap_distribution[np.isfinite(found.bootstrap_distribution)]
        if len(finite) < resamples / 2:
            raise ValueError("the metric is not a number on most resamples; there are too few rows")
        low, high = (float(end) for end in np.quantile(finite, [0.5 - level / 2, 0.5 + level / 2]))
        method = "percentile"
    return Comparison(value, Interval(low, high, level, f"paired bootstrap, {method}"), rows)


def mean_difference(
    candidate: ArrayLike, champion: ArrayLike, *, level: float = 0.95, resamples: int = RESAMPLES, seed: int = 0
) -> Comparison:
    """The mean difference of paired values (predictions, absolute errors), with an interval as of :func:`compare`."""
    zeros = np.zeros(len(np.asarray(candidate)))
    return compare(
        zeros, candidate, champion, lambda _, values: float(values.mean()), level=level, resamples=resamples, seed=seed
    )


def mean_above_zero(
    differences: ArrayLike, *, level: float = 0.95, resamples: int = 20_000, seed: int = 0
) -> Comparison:
    """Whether the mean of paired differences is above zero: the mean, its interval, and the one-sided p-value.

    A studentized bootstrap of the rows (Efron and Tibshirani 1993, An Introduction to the Bootstrap, chapters 12 and
    16) and, for small and skewed samples, where it says "above" too often, a permutation of the signs as well (ibid.,
    chapter 15), which is exact where the two values of a pair may be exchanged: the p-value is the larger one of the
    two. It is never below 1 / (resamples + 1); when it is large, fewer resamples are drawn (Besag and Clifford 1991,
    Biometrika 78, 301-304). Raises ``ValueError`` for fewer than 20 rows.
    """
    values = np.asarray(differences, dtype=np.float64)
    rows = len(values)
    if rows < FEWEST_ROWS:
        raise ValueError(f"{rows} rows; a bootstrap needs at least {FEWEST_ROWS}")
    mean, error = float(values.mean()), float(values.std(ddof=1) / np.sqrt(rows))
    method = "paired bootstrap, studentized"
    if error == 0.0:
        # All differ alike: a sign test is all that is left.
        return Comparison(mean, Interval(mean, mean, level, method), rows, 0.5**rows if mean > 0 else 1.0)
    generator = np.random.default_rng(seed)
    drawn: list[Array] = []
    flipped = above = done = 0
    chunk = max(1, min(1000, _AT_ONCE // rows))
    while done < resamples and max(flipped, above) < _MANY:
        size = (min(chunk, resamples - done), rows)
        done += size[0]
        sample = values[generator.integers(rows, size=size)]
        spread = sample.std(axis=1, ddof=1) / np.sqrt(rows)
        with np.errstate(divide="ignore", invalid="ignore"):
            drawn.append(np.nan_to_num((sample.mean(axis=1) - mean) / spread, nan=0.0))
        above += int((drawn[-1] >= mean / error).sum())
        signs = 2.0 * generator.integers(2, size=size) - 1
        flipped += int((signs @ values >= rows * mean * (1 - 1e-12)).sum())
    t = np.concatenate(drawn)
    p_value = (1 + max(flipped, above)) / (done + 1)
    high, low = (float(end) for end in np.quantile(t, [0.5 - level / 2, 0.5 + level / 2], method="nearest"))
    return Comparison(mean, Interval(mean - low * error, mean - high * error, level, method), rows, p_value)
