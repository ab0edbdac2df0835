"""Areas under the ROC curve against the definition, pair by pair, and DeLong's intervals against simulation."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some
from numpy.typing import NDArray

from mlops_steps.gates.statistics.auc import area, compare_areas


def _naive(labels: NDArray[np.bool_], first: NDArray[np.float64], second: NDArray[np.float64]) -> tuple[float, float]:
    """The difference of the areas and its variance, by the structural components, in O(n * m)."""
    components = []
    for scores in (first, second):
        good, bad = scores[labels], scores[~labels]
        psi = (good[:, None] > bad[None, :]) + 0.5 * (good[:, None] == bad[None, :])
        components.append((psi.mean(), psi.mean(axis=1), psi.mean(axis=0)))
    (one, one_good, one_bad), (two, two_good, two_bad) = components
    good, bad = one_good - two_good, one_bad - two_bad
    return float(one - two), float(good.var(ddof=1) / len(good) + bad.var(ddof=1) / len(bad))


rows = some.lists(some.tuples(some.booleans(), some.integers(0, 8), some.integers(0, 8)), min_size=6, max_size=40)


@given(rows)
@settings(deadline=None)
def test_the_quick_computation_is_the_definition(found: list[tuple[bool, int, int]]) -> None:
    labels = np.asarray([row[0] for row in found])
    first, second = (np.asarray([float(row[index]) for row in found]) for index in (1, 2))
    if min(labels.sum(), (~labels).sum()) < 2:
        with pytest.raises(ValueError, match="needs two of each"):
            compare_areas(labels, first, second)
        return
    difference, variance = _naive(labels, first, second)
    got = compare_areas(labels, first, second)
    assert got.difference == pytest.approx(difference)
    width = got.interval.high - got.interval.low
    assert width <= 2 * 1.96 * variance**0.5 + 1e-6  # cut at -1 and 1
    if -0.3 < difference < 0.3 and variance < 0.1:
        assert width == pytest.approx(2 * 1.959964 * variance**0.5, rel=1e-5, abs=1e-6)


def test_an_area_by_hand() -> None:
    # Of the 2 x 3 pairs, 4 are in order and one is a tie: 4.5 / 6.
    assert area([1, 1, 0, 0, 0], [0.9, 0.4, 0.5, 0.4, 0.1]).value == pytest.approx(4.5 / 6)


def test_an_area_of_one_claims_nothing_of_its_variance() -> None:
    interval = area([1, 1, 0, 0], [4, 3, 2, 1]).interval
    assert (interval.low, interval.high) == (0.0, 1.0)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_score_that_is_no_number_is_refused(bad: float) -> None:
    with pytest.raises(ValueError, match="not a finite number"):
        area([1, 0, 1, 0], [0.1, 0.2, 0.3, bad])


def test_without_a_difference_it_is_seen_as_often_as_stated() -> None:
    generator = np.random.default_rng(3)
    alarms, held = 0, 0
    for _ in range(400):
        labels = generator.random(300) < 0.3
        signal = labels + generator.normal(size=300)
        first, second = signal + generator.normal(size=300), signal + generator.normal(size=300)
        found = compare_areas(labels, first, second)
        alarms += found.p_value is not None and found.p_value < 0.05
        held += found.interval.low <= 0 <= found.interval.high
    assert alarms <= 400 * 0.08
    assert held >= 400 * 0.92
