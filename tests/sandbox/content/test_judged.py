"""The revisions that are better in code and worse in the model: the gates of the demo see what is wrong with each."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, cast

import pytest

from mlops_steps.config import Settings, load
from mlops_steps.gates.engine import run
from mlops_steps.gates.model import GateResult
from mlops_steps.gates.samples import Samples, Version
from mlops_steps.sandbox.play.demo_stories import GATES

Columns = dict[str, list[Any]]


@pytest.fixture(scope="module")
def scored() -> dict[int, dict[str, Columns]]:
    """Revision → dataset → columns."""
    command = [sys.executable, "-m", "tests.sandbox.content.judged"]
    # One thread: on a busy machine several would wait for each other.
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=True, env=environment)
    return {int(number): found for number, found in json.loads(done.stdout).items()}


class Scored:
    """Samples of two revisions, without a node. The champion is revision 8."""

    def __init__(self, scored: dict[int, dict[str, Columns]], number: int) -> None:
        self.candidate = Version(str(number), "test", cast(Any, None), "DKU_CHURN")
        self.champion = Version("8", "prod", cast(Any, None), "DKU_CHURN")
        self._scored = scored

    def of(self, _gate: Any) -> Scored:
        return self

    def read(self, version: Version, dataset: str, columns: list[str], *_: Any) -> Columns:
        return {name: self._scored[int(version.bundle)][dataset][name] for name in columns}

    def columns(self, version: Version, dataset: str, *_: Any) -> list[str]:
        return list(self._scored[int(version.bundle)][dataset])


def settings_of_the_demo(folder: Path, kinds: tuple[str, ...]) -> Settings:
    """With gates of these kinds only."""
    (folder / "mlops.yml").write_text(
        GATES.config.format(project="P", design="http://d", test="http://t", prod="http://p")
    )
    settings = load(folder / "mlops.yml", {})
    return settings.model_copy(update={"gates": [gate for gate in settings.gates if gate.gate in kinds]})


ALL = ("champion", "slices", "calibration", "drift")


@pytest.mark.parametrize(
    ("number", "kinds", "stopped_by"),
    [
        (9, ALL, []),
        (10, ("champion", "slices", "drift"), ["champion"]),
        (11, ("slices", "drift"), ["slices"]),
        (12, ("slices", "calibration", "drift"), ["calibration"]),
        (13, ("slices", "drift"), ["drift"]),
    ],
)
def test_each_revision_is_stopped_by_the_gate_that_looks_there(
    scored: dict[int, dict[str, Columns]], tmp_path: Path, number: int, kinds: tuple[str, ...], stopped_by: list[str]
) -> None:
    settings = settings_of_the_demo(tmp_path, kinds)
    results: list[GateResult] = run(settings.gates, settings, cast(Samples, Scored(scored, number)))
    assert len(results) == len(kinds)
    found = {result.name: result.message for result in results if result.verdict.value != "passed"}
    assert list(found) == stopped_by, found
    if number == 11:
        assert "accuracy is lowest for state AL" in found["slices"]
    if number == 13:
        assert "worst: total_day_minutes" in found["drift"]
