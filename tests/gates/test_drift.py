"""The gate ``drift`` as a whole: how often it raises a false alarm, and what the importance of columns does."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from mlops_steps.config.gates import DriftGate
from mlops_steps.gates.drift import judge
from mlops_steps.gates.model import GateResult, GateVerdict
from mlops_steps.gates.statistics.drift import Drift, drift_of_numbers

SMALLEST = DriftGate(gate="drift", name="drift", reference="a", current="b").rows


def night(generator: np.random.Generator, columns: int, rows: int, shift: float = 0.0) -> dict[str, Drift]:
    """Columns of two samples; only the first one has moved."""
    return {
        f"c{number}": drift_of_numbers(
            generator.normal(size=rows), generator.normal(0.0 if number else shift, size=rows)
        )
        for number in range(columns)
    }


def judged(found: dict[str, Drift], weights: dict[str, float] | None = None, **more: Any) -> GateResult:
    gate = DriftGate(gate="drift", name="drift", reference="a", current="b", **more)
    rows = min(min(one.rows) for one in found.values())
    return judge(gate, found, weights or {}, rows, "a test")


def test_thirty_columns_of_the_fewest_rows_raise_a_false_alarm_in_few_nights() -> None:
    """Each column at 5 % would in three nights of four; a limit of 0.1 on PSI of 100 rows would every night."""
    generator = np.random.default_rng(7)
    nights = [night(generator, 30, SMALLEST) for _ in range(40)]
    assert np.mean([any(one.p_value <= 0.05 for one in found.values()) for found in nights]) > 0.6
    results = [judged(found, psi=0.1) for found in nights]
    assert np.mean([result.verdict is GateVerdict.FAILED for result in results]) <= 0.05
    few = night(generator, 30, 100)
    assert max(one.psi for one in few.values()) > 0.1
    assert judged(few, psi=0.1).verdict is GateVerdict.INCONCLUSIVE


def test_a_column_that_has_moved_fails_among_thirty() -> None:
    found = judged(night(np.random.default_rng(8), 30, SMALLEST, shift=0.8))
    assert found.verdict is GateVerdict.FAILED
    assert "1 of 30 columns drifted; worst: c0" in found.message


@pytest.mark.parametrize(
    ("weights", "verdict"),
    [
        ({}, GateVerdict.PASSED),
        ({"c0": 10.0, **{f"c{number}": 1.0 for number in range(1, 10)}}, GateVerdict.FAILED),
        # The model does not look at the column that has moved.
        ({"c0": 0.0, "c1": 1.0}, GateVerdict.PASSED),
    ],
)
def test_columns_are_weighed_by_their_importance(weights: dict[str, float], verdict: GateVerdict) -> None:
    quiet = Drift(0.01, 0.05, 0.0, 0.5, "Kolmogorov-Smirnov", (1000, 1000))
    found = {f"c{number}": quiet for number in range(10)}
    found["c0"] = Drift(0.3, 0.05, 0.0, 0.02, "Kolmogorov-Smirnov", (1000, 1000))
    assert judged(found, weights).verdict is verdict
