"""What tests have counted is printed once at the end, whoever ran them."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = """
from tests.counts import count, tell

def test_it_counts():
    count("generated cases", 1200)
    tell("{name}: first\\n  second")
"""


@pytest.mark.parametrize("options", [[], ["-n", "2", "--dist", "loadfile"]], ids=["alone", "with workers"])
def test_the_counts_of_all_workers_are_printed_once_and_in_order(tmp_path: Path, options: list[str]) -> None:
    folder = tmp_path / "tests"
    folder.mkdir()
    (folder / "__init__.py").touch()
    for name in ("counts.py", "conftest.py"):
        shutil.copy(Path(__file__).parent / name, folder / name)
    for name in ("b", "a"):
        (folder / f"test_{name}.py").write_text(TESTS.replace("{name}", name))
    ran = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-p",
            "no:cacheprovider",
            *options,
            "tests/test_b.py",
            "tests/test_a.py",
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "a: first\n  second\nb: first\n  second\ngenerated cases: 2,400\n" in ran.stdout
    assert ran.stdout.count("first") == 2
