"""Drift: known answers, and how often it is seen where there is none."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as some

from mlops_steps.gates.statistics.drift import (
    drift_of_categories,
    drift_of_numbers,
    drifted,
    judge_psi,
    psi,
    psi_noise,
)
from mlops_steps.gates.statistics.model import Verdict


def test_psi_by_hand() -> None:
    assert psi([50, 50], [60, 40]) == pytest.approx(0.1 * math.log(1.2) - 0.1 * math.log(0.8))


counts = some.lists(some.integers(0, 1000), min_size=2, max_size=12).filter(any)


@given(counts, some.randoms(use_true_random=False))
def test_psi_is_symmetric_not_negative_and_zero_for_the_same(row: list[int], random: object) -> None:
    other = row[1:] + row[:1]
    assert psi(row, row) == 0.0
    assert psi(row, other) == pytest.approx(psi(other, row))
    assert psi(row, other) >= 0.0
    assert psi(row, [10 * count for count in row]) == pytest.approx(0.0, abs=1e-12)


@pytest.mark.parametrize(("rows", "often"), [(100, (0.3, 0.55)), (500, (0.0, 0.02))])
def test_psi_above_a_tenth_without_any_drift(rows: int, often: tuple[float, float]) -> None:
    """In 42 % of samples of 100 rows, and in none of 500: so the limit of 0.1 needs rows."""
    generator = np.random.default_rng(1)
    reference = generator.normal(size=20_000)
    found = [drift_of_numbers(reference, generator.normal(size=rows)) for _ in range(300)]
    assert often[0] <= np.mean([one.psi > 0.1 for one in found]) <= often[1]
    assert np.mean([one.psi > one.noise for one in found]) < 0.10
    assert np.mean([judge_psi(one, 0.1) is Verdict.FAILED for one in found]) < 0.02


def test_real_drift_fails_with_enough_rows_and_is_inconclusive_without() -> None:
    generator = np.random.default_rng(2)
    many = drift_of_numbers(generator.normal(size=5000), generator.normal(0.7, size=5000))
    few = drift_of_numbers(generator.normal(size=40), generator.normal(0.7, size=40))
    assert judge_psi(many, 0.1) is Verdict.FAILED
    assert judge_psi(few, 0.1) is Verdict.INCONCLUSIVE
    assert many.p_value < 1e-6


def test_the_noise_of_psi_is_that_of_a_chi_squared_variable() -> None:
    assert psi_noise(1000, 1000, 10) == pytest.approx(0.002 * 16.919, rel=1e-4)
    assert psi_noise(10, 10, 1) == 0.0


def test_a_column_with_one_value_and_missing_values() -> None:
    found = drift_of_numbers([1.0] * 50 + [float("nan")], [1.0] * 60)
    assert (found.psi, found.rows) == (0.0, (50, 60))
    with pytest.raises(ValueError, match="empty"):
        drift_of_numbers([float("nan")], [1.0])


def test_categories_missing_ones_included() -> None:
    before = ["a"] * 500 + ["b"] * 500
    assert drift_of_categories(before, before).p_value == 1.0
    gone = drift_of_categories(before, ["a"] * 500 + [None] * 500)
    assert judge_psi(gone, 0.2) is Verdict.FAILED
    assert gone.p_value < 1e-10


def test_many_rare_categories_count_as_one() -> None:
    many = [f"name {number}" for number in range(500)]
    assert drift_of_categories(many, many).psi == pytest.approx(0.0)


def test_thirty_features_raise_no_false_alarm_every_night() -> None:
    """At 5 % each, 30 features without drift give an alarm in three nights of four; corrected, in one of twenty."""
    generator = np.random.default_rng(4)
    nights = [{f"f{number}": float(p) for number, p in enumerate(generator.random(30))} for _ in range(1000)]
    assert np.mean([any(p <= 0.05 for p in night.values()) for night in nights]) > 0.7
    assert np.mean([bool(drifted(night)) for night in nights]) < 0.08


def test_what_matters_to_the_model_is_found_earlier() -> None:
    values = {"important": 0.02, **{f"f{number}": 0.5 for number in range(9)}}
    assert not drifted(values)
    weights = {"important": 10.0, **{f"f{number}": 1.0 for number in range(9)}}
    assert list(drifted(values, weights=weights)) == ["important"]
    assert not drifted({"a": 1e-9, "b": 0.5}, weights={"b": 1.0})
    with pytest.raises(ValueError, match="importances"):
        drifted(values, weights={})


def test_no_columns_have_not_drifted() -> None:
    assert drifted({}) == {}
