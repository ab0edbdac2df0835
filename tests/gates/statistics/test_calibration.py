"""Calibration against data whose calibration is known."""

from __future__ import annotations

import numpy as np
import pytest

from mlops_steps.gates.statistics.calibration import calibration, judge_calibration
from mlops_steps.gates.statistics.model import Verdict


def sample(rows: int, shift: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Labels, and probabilities that are ``shift`` too high everywhere."""
    generator = np.random.default_rng(seed)
    chance = generator.uniform(0.1, 0.7, size=rows)
    return generator.random(rows) < chance, chance + shift


def test_what_is_well_calibrated_passes_and_what_is_not_fails() -> None:
    good = calibration(*sample(4000, 0.0, 1))
    bad = calibration(*sample(4000, 0.15, 1))
    assert judge_calibration(good, 0.05) is Verdict.SUCCESSFUL
    assert judge_calibration(bad, 0.05) is Verdict.FAILED
    assert bad.error == pytest.approx(0.15, abs=0.02)
    assert good.error < good.noise * 1.5


def test_few_rows_are_inconclusive() -> None:
    assert judge_calibration(calibration(*sample(40, 0.1, 2)), 0.05) is Verdict.INCONCLUSIVE


def test_a_perfect_model_stays_below_the_noise_as_often_as_stated() -> None:
    found = [calibration(*sample(300, 0.0, seed), seed=seed) for seed in range(60)]
    assert np.mean([one.error > one.noise for one in found]) < 0.15
    assert np.mean([judge_calibration(one, 0.05) is Verdict.FAILED for one in found]) <= 0.05


def test_the_curve_has_every_row_once() -> None:
    found = calibration(*sample(203, 0.0, 3))
    assert sum(rows for _, _, rows in found.curve) == 203
    assert [mean for mean, _, _ in found.curve] == sorted(mean for mean, _, _ in found.curve)


def test_bad_input_is_refused() -> None:
    with pytest.raises(ValueError, match="not between 0 and 1"):
        calibration([0, 1] * 20, [0.5, 1.1] * 20)
    with pytest.raises(ValueError, match="need at least 20"):
        calibration([0, 1], [0.5, 0.5])
