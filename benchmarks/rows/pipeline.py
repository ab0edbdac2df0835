"""A whole pipeline, and many scenarios at once, against nodes that cost no CPU.

Baseline: the plain scripts of :mod:`benchmarks.plain`. The critical path is what no program can avoid: the longest
scenario and the update of each stage, one after the other.
"""

from __future__ import annotations

import math
import shutil
import tempfile
import time
from pathlib import Path

from benchmarks.measuring import PYTHON, STEPS, alternating, run
from benchmarks.stub import Options, running
from benchmarks.table import Row, limited

SCENARIO, UPDATE = 3.0, 1.0
COUNT, MANY, AT_ONCE = 8, 200, 32
OURS = (("package",), ("deploy", "--stage", "test"), ("test", "--stage", "test"), ("release", "--stage", "prod"))
PLAIN = ("package", "deploy", "test", "release")
TEXT = "test: {scenarios: ['TEST_*'], parallel: %d, timeout: 5m}\nrelease: {smoke_scenario: SMOKE}\n"


def _workspace(parent: Path, parallel: int) -> Path:
    """A folder with a configuration and nothing else."""
    folder = parent / "work"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    (folder / "mlops.yml").write_text(TEXT % parallel)
    return folder


def rows(rounds: int = 2) -> list[Row]:
    """Both rows."""
    return [*_whole(rounds), _many()]


def _whole(rounds: int) -> list[Row]:
    scenarios = {f"TEST_{number}": SCENARIO for number in range(COUNT)} | {"SMOKE": SCENARIO}
    with tempfile.TemporaryDirectory() as name:
        parent = Path(name)

        def ours() -> float:
            folder = _workspace(parent, COUNT)
            with running(Options(scenarios, UPDATE), parent) as environment:
                began = time.perf_counter()
                for step in OURS:
                    run([*STEPS, *step], environment, folder)
                return time.perf_counter() - began

        def plain() -> float:
            with running(Options(scenarios, UPDATE), parent) as environment:
                began = time.perf_counter()
                for script in PLAIN:
                    run([PYTHON, "-m", "benchmarks.plain", script, name], environment, parent)
                return time.perf_counter() - began

        took, baseline, ratio = alternating(ours, plain, rounds)
        path = 2 * (SCENARIO + UPDATE)
        what = f"a whole pipeline, {COUNT} test scenarios of {SCENARIO:.0f} s, updates of {UPDATE:.0f} s"
        starts = len(OURS) * min(run([*STEPS, "--help"], environment_of(), parent).wall for _ in range(3))
    note = f"{took:.1f} s; {starts:.1f} s of it start {len(OURS)} processes"
    return [
        limited(what, f"wall / plain scripts, {baseline:.1f} s", ratio, 0.35),
        limited(what, f"wall / critical path, {path:.0f} s", took / path, 1.15, note=note),
    ]


def _many() -> Row:
    scenarios = {f"TEST_{number:03d}": 1.0 for number in range(MANY)} | {"SMOKE": 1.0}
    with tempfile.TemporaryDirectory() as name:
        parent = Path(name)
        folder = _workspace(parent, AT_ONCE)
        with running(Options(scenarios, 0.1), parent) as environment:
            run([*STEPS, "package"], environment, folder)
            run([*STEPS, "deploy", "--stage", "test"], environment, folder)
            took = run([*STEPS, "test", "--stage", "test"], environment, folder)
    path = math.ceil(MANY / AT_ONCE)
    what = f"the same step with {MANY} scenarios of 1 s, parallel {AT_ONCE}"
    measure = f"wall of `test` / critical path, {path} s"
    return limited(what, measure, took.wall / path, 1.25, note=f"{took.wall:.1f} s, {took.cpu:.1f} s of CPU")


def environment_of() -> dict[str, str]:
    """The environment of a step that asks no node."""
    import os

    return dict(os.environ)
