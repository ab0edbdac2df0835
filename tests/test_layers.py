"""The check of imports covers every module, and the root of the package stays small."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
MOST_AT_THE_ROOT = 6


def test_the_root_of_the_package_holds_few_modules() -> None:
    found = sorted(path.name for path in (ROOT / "mlops_steps").glob("*.py"))
    assert len(found) <= MOST_AT_THE_ROOT, found


@pytest.fixture
def house(tmp_path: Path) -> Path:
    """The sources with the settings of the check, to be changed."""
    for name in ("mlops_steps", "tools"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__", "churn"))
    shutil.copy(ROOT / "setup.cfg", tmp_path)
    return tmp_path


def broken(house: Path) -> str:
    """What the check of imports says."""
    code = "from importlinter.cli import lint_imports_command; lint_imports_command()"
    ended = subprocess.run(
        [sys.executable, "-c", code, "--no-cache"],
        cwd=house,
        env={"PYTHONPATH": str(house), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    return "" if ended.returncode == 0 else ended.stdout + ended.stderr


def test_a_module_in_no_layer_and_an_import_for_types_that_points_up_fail_the_check(house: Path) -> None:
    (house / "mlops_steps/nowhere.py").write_text("")
    assert "nowhere" in broken(house)
    (house / "mlops_steps/nowhere.py").unlink()
    text = house / "mlops_steps/system/text.py"
    text.write_text(
        text.read_text() + "\nfrom typing import TYPE_CHECKING\n\nif TYPE_CHECKING:\n"
        "    from mlops_steps.config import Settings\n"
    )
    assert "mlops_steps.system.text -> mlops_steps.config" in broken(house)
