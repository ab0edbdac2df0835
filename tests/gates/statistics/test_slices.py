"""The worst of many equal slices looks worse by chance; the intervals know it."""

from __future__ import annotations

import numpy as np

from mlops_steps.gates.statistics.model import Verdict
from mlops_steps.gates.statistics.slices import equal_shares, judge_spread, judge_worst, shares_of_slices


def draw(seed: int, rows: int = 200, shares: tuple[float, ...] = (0.8,) * 12) -> dict[str, tuple[int, int]]:
    generator = np.random.default_rng(seed)
    return {f"s{number}": (int(generator.binomial(rows, share)), rows) for number, share in enumerate(shares)}


def test_twelve_equal_slices_raise_no_alarm_though_the_worst_looks_worse() -> None:
    """The worst of twelve equal slices of 200 rows looks 5 points worse in a third of cases."""
    found = [shares_of_slices(draw(seed), fewest_rows=50) for seed in range(400)]
    looks = np.mean([one.slices[one.worst or ""].value < 0.75 for one in found])
    assert 0.2 < looks < 0.6
    assert np.mean([judge_worst(one, 0.8) is Verdict.FAILED for one in found]) <= 0.05
    assert np.mean([judge_spread(one, 0.0) is Verdict.FAILED for one in found]) <= 0.05


def test_the_intervals_hold_together_as_often_as_stated() -> None:
    found = [shares_of_slices(draw(seed), fewest_rows=50) for seed in range(400)]
    held = [all(e.interval.low <= 0.8 <= e.interval.high for e in one.slices.values()) for one in found]
    assert np.mean(held) > 0.92


def test_a_slice_that_is_worse_is_found() -> None:
    found = shares_of_slices(draw(1, 500, (0.8, 0.8, 0.8, 0.5)), fewest_rows=50)
    assert found.worst == "s3"
    assert judge_worst(found, 0.7) is Verdict.FAILED
    assert judge_spread(found, 0.1) is Verdict.FAILED
    assert judge_worst(shares_of_slices(draw(1, 5000), fewest_rows=50), 0.7) is Verdict.SUCCESSFUL


def test_slices_with_too_few_rows_are_named_and_decide_nothing() -> None:
    found = shares_of_slices({"big": (950, 1000), "small": (0, 9)}, fewest_rows=50)
    assert dict(found.too_small) == {"small": 9}
    assert judge_worst(found, 0.9) is Verdict.SUCCESSFUL
    nothing = shares_of_slices({"small": (0, 9)}, fewest_rows=50)
    assert judge_worst(nothing, 0.1) is judge_spread(nothing, 0.1) is Verdict.INCONCLUSIVE
    assert nothing.worst is None
    assert nothing.spread == 0.0


def test_the_test_of_equal_shares() -> None:
    assert equal_shares({"a": (50, 100), "b": (50, 100)}) == 1.0
    assert equal_shares({"a": (90, 100), "b": (50, 100)}) < 1e-6
    assert equal_shares({"a": (100, 100), "b": (100, 100)}) == 1.0
    assert equal_shares({"a": (1, 2)}) == 1.0
