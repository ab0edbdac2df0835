"""How late the end of a scenario or an update is noticed, and how often the node is asked for it."""

from __future__ import annotations

import json
import statistics
import tempfile
import urllib.request
from pathlib import Path

from benchmarks.measuring import STEPS, run
from benchmarks.stub import Options, running
from benchmarks.table import Row, limited

SECONDS = (0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 30.0, 61.0)
UPDATE = 5.0


def rows() -> list[Row]:
    """The delay as a share of what is allowed, and the most requests in the first minute of a wait."""
    scenarios = {f"TEST_{number}": seconds for number, seconds in enumerate(SECONDS)}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "mlops.yml").write_text("test: {scenarios: ['TEST_*'], parallel: 8, timeout: 5m}\n")
        with running(Options(scenarios, UPDATE), folder) as environment:
            run([*STEPS, "package"], environment, folder)
            run([*STEPS, "deploy", "--stage", "test"], environment, folder)
            run([*STEPS, "test", "--stage", "test"], environment, folder)
            with urllib.request.urlopen(f"{environment['MLOPS_DESIGN_URL']}/_waited") as answer:
                waited = json.load(answer)
    worst = max(waited, key=_share)
    most = max(wait["requests"] for wait in waited)
    what = f"noticing that a scenario ({SECONDS[0]} to {SECONDS[-1]:.0f} s) or an update ({UPDATE:.0f} s) ended"
    late, lasted = worst["seen"] - worst["ends"], worst["ends"] - worst["began"]
    return [
        limited(
            what,
            "delay / max(0.3 s, 3 % of the duration), the worst",
            _share(worst),
            1,
            note=f"{late:.2f} s after {lasted:.1f} s",
        ),
        limited(what, "the same, the median", statistics.median(map(_share, waited)), 1),
        limited(what, "requests in the first minute of a wait, the most", most, 60),
    ]


def _share(wait: dict[str, float]) -> float:
    late, lasted = wait["seen"] - wait["ends"], wait["ends"] - wait["began"]
    return late / max(0.3, 0.03 * lasted)
