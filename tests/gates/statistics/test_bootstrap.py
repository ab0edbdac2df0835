"""The paired bootstrap: what its intervals promise holds, and too little data is an error, not a number."""

from __future__ import annotations

import numpy as np
import pytest

from mlops_steps.gates.statistics.bootstrap import Array, compare, mean_difference
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
