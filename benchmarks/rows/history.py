"""What a long history costs: 2,000 bundles, 500 deployments, 5,000 past runs. Baseline: the same nodes without any."""

from __future__ import annotations

import tempfile
from pathlib import Path

from benchmarks.measuring import STEPS, alternating, run
from benchmarks.stub import Options, running
from benchmarks.table import Row, limited

ROUNDS = 3
SCENARIOS = {"TEST_1": 0.2, "SMOKE": 0.2}
LONG = {"past_bundles": 2_000, "past_deployments": 500, "past_runs": 5_000}


def rows() -> list[Row]:
    """The times of `release` and `status` over those of an empty history."""
    with tempfile.TemporaryDirectory() as name:
        parent = Path(name)
        taken: dict[str, tuple[float, float, float]] = {}
        for step in ("release", "status"):
            taken[step] = alternating(
                lambda step=step: _time(step, Options(dict(SCENARIOS), 0.2, **LONG), parent),  # type: ignore[misc]
                lambda step=step: _time(step, Options(dict(SCENARIOS), 0.2), parent),  # type: ignore[misc]
                ROUNDS,
            )
    what = "2,000 bundles, 500 deployments, 5,000 past runs of each scenario"
    return [
        limited(what, f"time of `{step}` / that of an empty history, {empty:.1f} s", ratio, 1.3, note=f"{long:.1f} s")
        for step, (long, empty, ratio) in taken.items()
    ]


def _time(step: str, options: Options, parent: Path) -> float:
    with tempfile.TemporaryDirectory(dir=parent) as name, running(options, Path(name)) as environment:
        folder = Path(name)
        (folder / "mlops.yml").write_text("test: {scenarios: ['TEST_*']}\nrelease: {smoke_scenario: SMOKE}\n")
        for before in (("package",), ("deploy", "--stage", "test"), ("test", "--stage", "test")):
            run([*STEPS, *before], environment, folder)
        arguments = ["release", "--stage", "prod"] if step == "release" else ["status"]
        return run([*STEPS, *arguments], environment, folder).wall
