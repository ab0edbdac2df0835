"""A JUnit report of 100,000 cases with 1 KB each. Baseline: junitparser writes the same."""

from __future__ import annotations

import os
import statistics
import tempfile
from pathlib import Path

from benchmarks.measuring import PYTHON, run
from benchmarks.table import Row, limited

CASES = 100_000
ROUNDS = 3

OURS = f"""
import sys
from pathlib import Path
from mlops_steps.report.junit import write
from mlops_steps.report.model import Case, Report
report = Report("BENCH", "report")
for number in range({CASES}):
    report.cases.append(Case(f"case {{number}}", seconds=0.1, stdout="x" * 1024))
write(report, Path(sys.argv[1]))
"""

BASELINE = f"""
import sys
from junitparser import JUnitXml, TestCase, TestSuite
def case(number):
    made = TestCase(f"case {{number}}", "bench.report", 0.1)
    made.system_out = "x" * 1024
    return made
suite = TestSuite("bench")
suite.add_testcases(case(number) for number in range({CASES}))
xml = JUnitXml()
xml.add_testsuite(suite)
xml.write(sys.argv[1])
"""


def rows() -> list[Row]:
    """Time and peak memory over those of junitparser. Without it (the extra ``bench``) one row that says so."""
    what = f"JUnit report of {CASES:,} cases with 1 KB each"
    try:
        import junitparser  # noqa: F401
    except ModuleNotFoundError:
        return [Row(what, "time, memory / junitparser", "-", "≤ 1", None, "install .[bench]")]
    environment = dict(os.environ)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        pairs = [
            (
                run([PYTHON, "-c", OURS, str(folder / "ours.xml")], environment, folder),
                run([PYTHON, "-c", BASELINE, str(folder / "theirs.xml")], environment, folder),
            )
            for _ in range(ROUNDS)
        ]
    time = statistics.median(ours.wall / theirs.wall for ours, theirs in pairs)
    memory = statistics.median(ours.peak / theirs.peak for ours, theirs in pairs)
    ours, theirs = pairs[-1]
    return [
        limited(what, f"time / junitparser, {theirs.wall:.1f} s", time, 1),
        limited(what, f"peak memory / junitparser, {theirs.peak:.0f} MiB", memory, 1, note=f"{ours.peak:.0f} MiB"),
    ]
