"""The part of the help of the Groovy steps that is made from the registry."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from mlops_steps.commands.groovy import help_files
from mlops_steps.steps.registry import STEPS, Kind, Option
from tests.jenkins_library.conftest import ROOT


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    shutil.copytree(ROOT / "vars", tmp_path / "vars")
    return tmp_path / "vars"


def test_no_help_file_is_stale() -> None:
    assert [path.name for path in help_files.stale(ROOT / "vars")] == [], "run `make help-files`"


def test_a_new_option_makes_the_help_of_its_step_stale_and_stands_there_when_it_is_written(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wait = Option("wait_for", "How long to wait.", default="not at all")
    force = Option("force", "Do it.", Kind.FLAG)
    monkeypatch.setitem(STEPS, "deploy", replace(STEPS["deploy"], options=(wait, force)))
    ((path, text),) = help_files.stale(folder).items()
    assert path.name == "mlopsDeploy.txt"
    assert "  waitFor: text, default: not at all\n    How long to wait.\n" in text
    assert "  force: true or false, default: false\n    Do it.\n" in text
    path.write_text(text)
    assert help_files.stale(folder) == {}


def test_what_people_write_stays(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = (folder / "mlopsDeploy.txt").read_text()
    monkeypatch.setitem(STEPS, "deploy", replace(STEPS["deploy"], options=()))
    (text,) = help_files.stale(folder).values()
    assert text.partition("\nParameters\n")[0] == before.partition("\nParameters\n")[0]
    assert text.partition("\nExample\n")[2] == before.partition("\nExample\n")[2]
    assert "  bundle:" not in text


def test_a_file_without_its_marks_is_named(folder: Path) -> None:
    (folder / "mlopsTest.txt").write_text("mlopsTest: runs the tests.\n")
    with pytest.raises(ValueError, match=r"mlopsTest\.txt needs the lines Parameters and Example"):
        help_files.stale(folder)
