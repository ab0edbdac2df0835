"""Figures of gates: their curves are right, and their sentence has the numbers that matter."""

from __future__ import annotations

import numpy as np

from mlops_steps.gates import figures

TRUTH = np.asarray([False, False, True, True])
SCORES = {"candidate": np.asarray([0.1, 0.2, 0.8, 0.9]), "champion": np.asarray([0.1, 0.8, 0.2, 0.9])}


def test_the_roc_curve_of_a_perfect_model_has_area_1() -> None:
    found = figures.roc("champion", TRUTH, SCORES)
    perfect, worse = found.series
    assert (perfect.name, worse.name) == ("candidate, area 1.000", "champion, area 0.750")
    assert list(zip(perfect.x, perfect.y, strict=True)) == [(0, 0), (0, 0.5), (0, 1), (0.5, 1), (1, 1)]
    assert "1.000 for the candidate and 0.750 for the champion, on 4 rows" in found.about


def test_equal_scores_are_one_threshold() -> None:
    (line,) = figures.roc("g", TRUTH, {"candidate": np.full(4, 0.5)}).series
    assert (line.x, line.y) == ((0, 1), (0, 1))


def test_a_curve_of_many_rows_is_kept_short() -> None:
    random = np.random.default_rng(0)
    truth, score = random.random(10_000) < 0.3, random.random(10_000)
    (line,) = figures.roc("g", truth, {"candidate": score}).series
    assert len(line.x) <= 50
    assert (line.x[0], line.x[-1], line.y[-1]) == (0, 1, 1)


def test_calibration_says_the_largest_gap() -> None:
    found = figures.calibration("g", TRUTH, {"candidate": np.asarray([0.0, 0.3, 1.0, 1.0])})
    assert found.series[0].y == (0, 0, 1, 1)
    assert "gap between predicted and true share is 0.300 for the candidate" in found.about


def test_residuals_are_shares_of_the_rows() -> None:
    truth = np.arange(10.0)
    found = figures.residuals("g", truth, {"candidate": truth + 1, "champion": truth - 2})
    assert [round(sum(line.y), 3) for line in found.series] == [1, 1]
    assert "1 for the candidate and 2 for the champion" in found.about


def test_drift_names_the_columns_over_their_limit_and_the_worst_comes_first() -> None:
    found = figures.drift("drift", {"a": 0.1, "b": 0.3, "c": 0.5}, {"a": 0.2, "b": 0.2, "c": 1.0})
    assert found.series[0].x == ("b", "a", "c")
    assert found.limits == (0.2, 0.2, 1.0)
    assert found.about == "1 of 3 columns exceed their limit: b. The largest is b with 0.3, limit 0.2."
