"""The paired bootstrap: what its intervals promise holds, and too little data is an error, not a number."""

from __future__ import annotations

import numpy as np
import pytest

from mlops_steps.gates.statistics.bootstrap import Array, compare, mean_above_zero, mean_difference
from mlops_steps.gates.statistics.model import Verdict, not_worse


def negative_error(actual: Array, predicted: Array) -> float:
    return -float(np.sqrt(((actual - predicted) ** 2).mean()))


def test_the_interval_holds_the_truth_as_often_as_stated() -> None:
    generator = np.random.default_rng(11)
    held = 0
    for _ in range(150):
        noise = generator.exponential(size=(2, 60))
        found = mean_difference(noise[0], noise[1], resamples=400)
        held += found.interval.low <= 0 <= found.interval.high
    assert held >= 150 * 0.88


def test_a_worse_model_is_found_and_a_better_one_is_not_worse() -> None:
    generator = np.random.default_rng(5)
    actual = generator.normal(size=500)
    good, bad = actual + generator.normal(size=500), actual + 2 * generator.normal(size=500)
    worse = compare(actual, bad, good, negative_error)
    better = compare(actual, good, bad, negative_error)
    assert not_worse(worse.interval, 0.1) is Verdict.FAILED
    assert not_worse(better.interval, 0.0) is Verdict.SUCCESSFUL
    assert worse.difference == -better.difference


def test_the_same_seed_gives_the_same_interval() -> None:
    generator = np.random.default_rng(5)
    first, second = generator.normal(size=(2, 80))
    assert mean_difference(first, second, seed=3) == mean_difference(first, second, seed=3)
    assert mean_difference(first, second, seed=3).interval != mean_difference(first, second, seed=4).interval


def test_the_same_predictions_differ_by_nothing() -> None:
    values = np.arange(30.0)
    assert mean_difference(values, values).interval.high == 0.0


def test_too_few_rows_are_refused() -> None:
    with pytest.raises(ValueError, match="needs at least 20"):
        mean_difference([1.0] * 19, [2.0] * 19)


def test_a_metric_that_is_no_number_is_refused() -> None:
    with pytest.raises(ValueError, match="not a number"):
        compare(np.ones(30), np.ones(30), np.zeros(30), lambda _a, _p: float("nan"))


def test_rows_must_be_the_same() -> None:
    with pytest.raises(ValueError, match="one value per row"):
        compare(np.ones(30), np.ones(30), np.ones(29), negative_error)


@pytest.mark.parametrize("rows", [20, 60])
def test_pairs_that_may_be_exchanged_are_called_worse_no_more_often_than_stated(rows: int) -> None:
    """Absolute errors are skewed: a bootstrap alone would say it twice as often for so few rows."""
    generator = np.random.default_rng(3)
    called = 0
    for number in range(400):
        new, live = generator.lognormal(sigma=1.2, size=(2, rows))
        found = mean_above_zero(new - live, resamples=1000, seed=number)
        called += (found.p_value or 0) <= 0.05
    assert called <= 400 * 0.05 + 2 * np.sqrt(400 * 0.05 * 0.95)


def test_a_higher_mean_of_the_same_rows_is_found() -> None:
    generator = np.random.default_rng(4)
    size = generator.exponential(size=200)  # what makes a row hard is the same for both, and cancels
    found = mean_above_zero(1.2 * size - size + generator.normal(scale=0.1, size=200))
    assert found.p_value is not None
    assert found.p_value < 0.001
    assert found.interval.low > 0
    nothing = mean_above_zero(generator.normal(size=200) - 0.1)
    assert nothing.interval.low < 0 < 0.05 < (nothing.p_value or 0)


def test_rows_that_all_differ_alike_leave_a_sign_test() -> None:
    assert mean_above_zero(np.ones(20)).p_value == 0.5**20
    assert mean_above_zero(np.zeros(20)).p_value == 1.0
    with pytest.raises(ValueError, match="needs at least 20"):
        mean_above_zero(np.ones(19))
