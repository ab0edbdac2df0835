"""Shares and their differences, against enumeration, simulation and published values."""

from __future__ import annotations

import math
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as some
from scipy import stats

from mlops_steps.gates.statistics.proportions import mcnemar, more_errors, paired_shares, share


def test_wilsons_interval_is_the_published_one() -> None:
    # Newcombe 1998 (Statistics in Medicine 17, 857-872), table I: 15 of 148 is 0.0624 to 0.1605.
    found = share(15, 148)
    assert (round(found.interval.low, 4), round(found.interval.high, 4)) == (0.0624, 0.1605)


def test_a_share_of_nothing_is_an_error() -> None:
    with pytest.raises(ValueError, match="at least one trial"):
        share(0, 0)


@given(some.integers(0, 40), some.integers(1, 40), some.integers(0, 40), some.integers(1, 40))
def test_fishers_test_is_the_sum_of_hypergeometric_probabilities(a: int, m: int, b: int, n: int) -> None:
    a, b = min(a, m), min(b, n)
    total, errors = m + n, a + b
    ways = [math.comb(m, k) * math.comb(n, errors - k) for k in range(max(0, errors - n), min(m, errors) + 1)]
    tail = sum(way for k, way in zip(range(max(0, errors - n), min(m, errors) + 1), ways, strict=True) if k >= a)
    assert more_errors(a, m, b, n) == pytest.approx(tail / math.comb(total, errors), abs=1e-9)


def test_no_calls_show_nothing() -> None:
    assert more_errors(0, 0, 5, 100) == 1.0
    assert more_errors(5, 5, 0, 0) == 1.0
    with pytest.raises(ValueError, match="6 errors in 5 calls"):
        more_errors(6, 5, 0, 10)


def test_mcnemars_test_is_binomial() -> None:
    # Both ends of a fair coin: 1 of 8 discordant rows, twice 9/256.
    assert mcnemar(1, 7) == pytest.approx(2 * 9 / 256)
    assert mcnemar(0, 0) == 1.0


def test_accuracies_of_80_and_77_percent_are_told_apart_in_pairs_and_mostly_not_without() -> None:
    """On 1,000 records, 3 % of them right in the better model only, one-sided: 99 % of samples paired, 44 % not."""
    generator = np.random.default_rng(7)
    draws = generator.multinomial(1000, [0.77, 0.03, 0.0, 0.20], size=400)
    paired = np.mean([mcnemar(int(new), int(live)) < 0.05 for _, new, live, _ in draws])
    unpaired = np.mean([stats.norm.sf(_z(both + new, both + live)) < 0.05 for both, new, live, _ in draws])
    assert paired > 0.97
    assert 0.3 < unpaired < 0.6


def _z(first: int, second: int, rows: int = 1000) -> float:
    mean = (first + second) / (2 * rows)
    return float(abs(first - second) / math.sqrt(2 * rows * mean * (1 - mean)))


@pytest.mark.parametrize("cells", [(0.5, 0.1, 0.1, 0.3), (0.85, 0.05, 0.02, 0.08), (0.3, 0.3, 0.1, 0.3)])
@pytest.mark.parametrize("rows", [30, 200])
def test_the_interval_of_paired_shares_holds_what_it_promises(cells: tuple[float, ...], rows: int) -> None:
    generator = np.random.default_rng(rows)
    truth = cells[1] - cells[2]
    draws = generator.multinomial(rows, cells, size=600)
    found = [paired_shares(*(int(count) for count in draw)).interval for draw in draws]
    held = np.mean([interval.low <= truth <= interval.high for interval in found])
    assert held > 0.93


@given(some.tuples(*[some.integers(0, 30)] * 4).filter(any))
def test_paired_shares_are_symmetric(counts: tuple[int, int, int, int]) -> None:
    both, new, live, neither = counts
    one, other = paired_shares(both, new, live, neither), paired_shares(both, live, new, neither)
    assert one.difference == -other.difference
    assert one.interval.low == pytest.approx(-other.interval.high)
    assert one.interval.low - 1e-12 <= one.difference <= one.interval.high + 1e-12
    assert one.p_value == pytest.approx(other.p_value)


def test_identical_answers_differ_by_nothing_and_few_rows_do_not_prove_it() -> None:
    few, many = paired_shares(8, 0, 0, 2), paired_shares(8000, 0, 0, 2000)
    assert few.difference == many.difference == 0.0
    assert few.interval.high > many.interval.high


def test_counts_that_are_no_counts_are_refused() -> None:
    for counts in product([0, -1], repeat=4):
        with pytest.raises(ValueError, match="four counts"):
            paired_shares(*counts)
