"""Looks that add up: false alarms stay at what was stated, and regressions are found in time."""

from __future__ import annotations

import math
from itertools import accumulate

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as some

from mlops_steps.gates.statistics.proportions import more_errors
from mlops_steps.gates.statistics.sequential import levels, plan, regression_found, slower, spent

LOOKS = [number / 20 for number in range(1, 21)]


@given(some.lists(some.floats(0, 1), min_size=1, max_size=30).map(sorted), some.floats(0.001, 0.2))
def test_the_levels_of_all_looks_add_up_to_no_more_than_alpha(fractions: list[float], alpha: float) -> None:
    found = levels(fractions, alpha)
    assert all(level >= 0 for level in found)
    assert sum(found) <= alpha * (1 + 1e-9)


def test_all_of_alpha_is_spent_at_the_end() -> None:
    assert spent(1.0, 0.05) == pytest.approx(0.05)
    assert sum(levels(LOOKS)) == pytest.approx(0.05)
    with pytest.raises(ValueError, match="must grow"):
        levels([0.5, 0.4])
    with pytest.raises(ValueError, match="between 0 and 1"):
        spent(1.1)


def _canary(generator: np.random.Generator, new_rate: float, live_rate: float, calls: int, share: float = 0.5) -> bool:
    """Whether a canary of twenty looks fails on errors."""
    new, live = int(calls * share) // 20, int(calls * (1 - share)) // 20
    new_errors = [int(count) for count in accumulate(generator.binomial(new, new_rate, size=20))]
    live_errors = [int(count) for count in accumulate(generator.binomial(live, live_rate, size=20))]
    return any(
        regression_found(new_errors[k], new * (k + 1), live_errors[k], live * (k + 1), level=level)
        for k, level in enumerate(levels(LOOKS))
    )


def test_twenty_looks_at_five_percent_each_would_raise_false_alarms_and_ours_do_not() -> None:
    generator = np.random.default_rng(1)
    ours = np.mean([_canary(generator, 0.03, 0.03, 2000) for _ in range(300)])
    assert ours <= 0.05
    naive = 0
    for _ in range(300):
        new, live = (list(accumulate(generator.binomial(50, 0.03, size=20))) for _ in range(2))
        naive += any(more_errors(int(new[i]), 50 * (i + 1), int(live[i]), 50 * (i + 1)) < 0.05 for i in range(20))
    assert naive / 300 > 0.07


def test_three_percent_errors_against_one_are_found_in_time() -> None:
    generator = np.random.default_rng(2)
    needed = plan(0.01, 0.03, 0.5)
    assert 500 < needed.new_calls < 1100
    # Within 1,000 calls of the new version, nine times in ten, at a share of a quarter; twenty looks.
    assert np.mean([_canary(generator, 0.03, 0.01, 4 * 1000, share=0.25) for _ in range(200)]) > 0.9


def test_a_plan_is_kept() -> None:
    """As many calls as the plan says show the regression as often as it says."""
    generator = np.random.default_rng(3)
    needed = plan(0.02, 0.06, 0.25)
    new = generator.binomial(needed.new_calls, 0.06, size=400)
    live = generator.binomial(needed.live_calls, 0.02, size=400)
    pairs = zip(new, live, strict=True)
    found = [more_errors(int(a), needed.new_calls, int(b), needed.live_calls) <= 0.05 for a, b in pairs]
    assert np.mean(found) > 0.87


def test_a_plan_says_how_long_it_takes() -> None:
    needed = plan(0.01, 0.05, 0.1)
    assert needed.live_calls == pytest.approx(9 * needed.new_calls, abs=1)
    assert needed.seconds(10) == (needed.new_calls + needed.live_calls) / 10
    assert needed.seconds(0) == math.inf
    for rates in [(0.05, 0.05), (0.2, 0.1)]:
        with pytest.raises(ValueError, match="above the live one"):
            plan(*rates, 0.5)


def test_the_exceedance_test_by_hand() -> None:
    # One live call at the threshold and two new calls above it: both come first in one of three orders.
    assert slower(2, 2, 1, 1) == pytest.approx(1 / 3)
    assert slower(0, 100, 100, 5) == 1.0
    assert slower(0, 0, 100, 5) == 1.0


def test_the_same_latencies_raise_no_alarm_and_a_slow_tail_is_found() -> None:
    """A harmless shift of 2 % is no tail; 2 % of calls that are ten times slower are."""
    generator = np.random.default_rng(4)

    def p_value(new: np.ndarray, live: np.ndarray) -> float:
        above = max(1, round(0.01 * len(live)))
        threshold = np.sort(live)[-above]
        return slower(int((new > threshold).sum()), len(new), len(live), above)

    same = [p_value(generator.lognormal(size=500), generator.lognormal(size=500)) for _ in range(300)]
    assert np.mean(np.asarray(same) <= 0.05) <= 0.07
    live, new = generator.lognormal(0, 0.3, size=(2, 20_000))
    tail = np.where(generator.random(20_000) < 0.02, new * 10, new)
    assert p_value(tail, live) < 1e-6


def test_a_margin_that_nobody_minds() -> None:
    assert regression_found(30, 1000, 10, 1000, level=0.01)
    assert not regression_found(30, 1000, 10, 1000, level=0.01, margin=0.03)
    assert not regression_found(3, 3, 0, 0, level=0.05)
