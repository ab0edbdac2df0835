"""Drift between two samples of one column, and over many columns at once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from mlops_steps.gates.statistics.model import Verdict

BINS = 10
#: Added to each share, so that an empty bin gives a large number and not an infinite one.
_SMALLEST_SHARE = 1e-4
#: Categories beyond so many count as one: "others".
_MOST_CATEGORIES = 50


@dataclass(frozen=True)
class Drift:
    """How far one column has moved. ``rows`` are those of the reference and of the current sample.

    ``psi`` is the population stability index, ``noise`` the value that it stays below without any drift, 95 times in
    100, for samples of this size. ``p_value`` is that of the Kolmogorov-Smirnov test (numbers) or of the chi-squared
    test (categories).
    """

    psi: float
    noise: float
    statistic: float
    p_value: float
    test: str
    rows: tuple[int, int]


def drift_of_numbers(reference: ArrayLike, current: ArrayLike, bins: int = BINS) -> Drift:
    """Drift of a column of numbers. PSI by deciles of the reference; missing and infinite values are left out.

    Raises ``ValueError`` when a sample is empty.
    """
    before, now = _finite(reference), _finite(current)
    edges = np.unique(np.quantile(before, np.linspace(0, 1, bins + 1)[1:-1]))
    counts = [
        np.bincount(np.searchsorted(edges, values, side="left"), minlength=len(edges) + 1) for values in (before, now)
    ]
    test = stats.ks_2samp(before, now)
    return Drift(
        psi(counts[0], counts[1]),
        psi_noise(len(before), len(now), len(edges) + 1),
        float(test.statistic),
        float(test.pvalue),
        "Kolmogorov-Smirnov",
        (len(before), len(now)),
    )


def drift_of_categories(reference: Sequence[Hashable], current: Sequence[Hashable]) -> Drift:
    """Drift of a column of categories. ``None`` is a category of its own: that values are missing is drift too.

    Raises ``ValueError`` when a sample is empty.
    """
    before, now = Counter(reference), Counter(current)
    if not before or not now:
        raise ValueError("a sample is empty")
    common = [name for name, _ in (before + now).most_common(_MOST_CATEGORIES)]
    counts = np.asarray([[sample[name] for name in common] for sample in (before, now)])
    others = np.asarray([[sum(sample.values())] for sample in (before, now)]) - counts.sum(axis=1, keepdims=True)
    counts = np.hstack([counts, others]) if others.any() else counts
    statistic, p_value = 0.0, 1.0
    if counts.shape[1] > 1:
        found = stats.chi2_contingency(counts, correction=False)
        statistic, p_value = float(found.statistic), float(found.pvalue)
    rows = (int(counts[0].sum()), int(counts[1].sum()))
    noise = psi_noise(*rows, counts.shape[1])
    return Drift(psi(counts[0], counts[1]), noise, statistic, p_value, "chi-squared", rows)


def psi(reference: ArrayLike, current: ArrayLike) -> float:
    """The population stability index of two rows of counts: the sum of (q - p) ln(q / p) over the shares."""
    shares = []
    for counts in (reference, current):
        values = np.asarray(counts, dtype=np.float64)
        if values.sum() <= 0:
            raise ValueError("a sample is empty")
        shares.append(np.maximum(values / values.sum(), _SMALLEST_SHARE))
    return float(((shares[1] - shares[0]) * np.log(shares[1] / shares[0])).sum())


def psi_noise(reference_rows: int, current_rows: int, bins: int, level: float = 0.95) -> float:
    """The value that PSI stays below without any drift, ``level`` of the time.

    PSI is about (1/n + 1/m) times a chi-squared variable with ``bins - 1`` degrees of freedom (Yurdakul and Naranjo
    2020, Journal of Risk Model Validation 14(3)).
    """
    if bins < 2:
        return 0.0
    return float((1 / reference_rows + 1 / current_rows) * stats.chi2.ppf(level, bins - 1))


def judge_psi(drift: Drift, limit: float) -> Verdict:
    """Whether PSI stays within ``limit``: inconclusive where samples of this size exceed it without any drift."""
    if drift.psi <= limit:
        return Verdict.SUCCESSFUL
    return Verdict.FAILED if drift.psi > max(limit, drift.noise) and drift.noise <= limit else Verdict.INCONCLUSIVE


def drifted(
    p_values: Mapping[str, float], alpha: float = 0.05, weights: Mapping[str, float] | None = None
) -> dict[str, float]:
    """The columns that have drifted, with their adjusted p-values, so that of those named at most ``alpha`` are false.

    Benjamini and Hochberg's correction (``scipy.stats.false_discovery_control``). ``weights`` are feature importances:
    what matters more to the model is held to a milder correction and what matters less to a stricter one (weighted
    Benjamini-Hochberg, Genovese, Roeder and Wasserman 2006, Biometrika 93, 509-524); they are scaled to a mean of one.
    Raises ``ValueError`` for p-values outside of 0 to 1 and weights that are not positive.
    """
    if not p_values:
        return {}
    names = list(p_values)
    values = np.asarray([p_values[name] for name in names], dtype=np.float64)
    if weights is not None:
        scale = np.asarray([weights.get(name, 0.0) for name in names], dtype=np.float64)
        if not (scale >= 0).all() or not scale.sum() > 0:
            raise ValueError("importances must be zero or more, and one of them more than zero")
        scale = scale / scale.mean()
        values = np.where(scale > 0, np.minimum(values / np.where(scale > 0, scale, 1.0), 1.0), 1.0)
    adjusted = stats.false_discovery_control(values)
    return {name: float(value) for name, value in zip(names, adjusted, strict=True) if value <= alpha}


def _finite(values: ArrayLike) -> NDArray[np.float64]:
    array = np.asarray(values, dtype=np.float64)
    array = array[np.isfinite(array)]
    if not len(array):
        raise ValueError("a sample is empty")
    return array
