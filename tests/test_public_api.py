"""What users import, by the documentation, is what ``mlops_steps`` exports."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

import mlops_steps

ROOT = Path(__file__).resolve().parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
#: Imports in code blocks, indented or not.
IMPORT = re.compile(r"^ *(?:from (mlops_steps[\w.]*) import (.+)|import (mlops_steps[\w.]*))$", re.MULTILINE)


def test_every_name_is_there_and_documented() -> None:
    assert mlops_steps.__all__ == sorted(mlops_steps.__all__)
    assert set(mlops_steps.__all__) == {*mlops_steps._PLACES, "__version__"}
    for name in mlops_steps.__all__:
        value = getattr(mlops_steps, name)
        assert name == "__version__" or value.__doc__, name
    assert set(dir(mlops_steps)) >= set(mlops_steps.__all__)


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        _ = mlops_steps.nothing


def test_the_documentation_imports_public_names_only() -> None:
    found = [(page.name, *match.groups()) for page in PAGES for match in IMPORT.finditer(page.read_text())]
    assert len(found) >= 3
    for page, module, names, plain in found:
        assert (module or plain) == "mlops_steps", f"{page}: {module or plain} is not public"
        assert {name.strip() for name in (names or "").split(",") if name.strip()} <= set(mlops_steps.__all__), page


def test_importing_the_package_imports_nothing_heavy() -> None:
    code = "import sys, mlops_steps; print(sorted(m for m in sys.modules if m.partition('.')[0] in sys.argv[1:]))"
    heavy = ["pydantic", "requests", "dataikuapi", "yaml", "rich", "click"]
    ended = subprocess.run([sys.executable, "-c", code, *heavy], capture_output=True, text=True, timeout=60)
    assert ended.stdout == "[]\n", ended.stderr


def test_the_report_of_the_documentation_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = (ROOT / "docs/reports.md").read_text()
    monkeypatch.chdir(tmp_path)
    exec(text.partition("In Python:\n\n```python\n")[2].partition("```")[0], {})
    report = mlops_steps.read_report(tmp_path / "reports/mlops-nightly-uat.xml")
    assert [case.name for case in report.cases] == ["row count"]
    assert (tmp_path / "reports/html/index.html").is_file()
