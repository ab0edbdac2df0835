"""What tests have counted is printed once at the end, whoever ran them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

CONFTEST = "from tests.conftest import pytest_sessionfinish, pytest_testnodedown, pytest_terminal_summary"
TESTS = """
from tests.support.counts import count, longest, tally

def test_it_counts():
    count("generated cases", 1200)
    tally("both", "{name}")
    longest("both", {number})
"""


@pytest.mark.parametrize("options", [[], ["-n", "2", "--dist", "loadfile"]], ids=["alone", "with workers"])
def test_the_counts_of_all_workers_are_printed_once_and_in_order(tmp_path: Path, options: list[str]) -> None:
    (tmp_path / "conftest.py").write_text(CONFTEST)
    for name, number in (("b", "1.5"), ("a", "2.5")):
        (tmp_path / f"test_{name}.py").write_text(TESTS.replace("{name}", name).replace("{number}", number))
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *options, "test_b.py", "test_a.py"],
        cwd=tmp_path,
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    said = ran.stdout.split("counts =", 1)[1].splitlines()[1:5]
    assert [line.split() for line in said] == [
        ["cases", "a", "b", "longest"],
        ["both", "2", "1", "1", "2.5", "s"],
        ["all", "2", "1", "1"],
        ["generated", "cases:", "2,400"],
    ]
