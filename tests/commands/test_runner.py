"""What is left of a step, however it ends: an exit code, one line, a report."""

from __future__ import annotations

import io
import json
import logging
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from mlops_steps.commands.runner import _log_to, run_step
from mlops_steps.config import load
from mlops_steps.delivery import summing_up
from mlops_steps.errors import CheckFailed, MlopsError, ProductionInDoubt, RolledBack
from mlops_steps.report import junit
from mlops_steps.report.model import Case, Outcome, Report
from mlops_steps.steps.context import Context
from mlops_steps.steps.registry import STEPS
from mlops_steps.system.console import Console


@pytest.fixture
def step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[Context], None]], int]:
    """Runs a step in a workspace of its own."""
    document = {"project": "DKU_CHURN", "nodes": {"design": {"url": "https://design.example.com"}}}
    (tmp_path / "mlops.yml").write_text(json.dumps(document))
    monkeypatch.chdir(tmp_path)
    return lambda call: run_step(STEPS["package"], None, call, load)


def report() -> Report:
    return junit.read(Path("reports/mlops-package.xml"))


def outcomes() -> dict[str, Outcome]:
    return {case.name: case.outcome for case in report().cases}


def raises(error: BaseException) -> Callable[[Context], None]:
    def call(_context: Context) -> None:
        raise error

    return call


@pytest.mark.parametrize(
    ("error", "last"),
    [
        (ProductionInDoubt("nobody knows", live="bundle b1", next_step="look"), "live now: bundle b1"),
        (RolledBack("it failed", live="bundle b0", next_step="look"), "report: "),
    ],
)
def test_what_is_live_is_said_once(
    step: Callable[[Callable[[Context], None]], int],
    capsys: pytest.CaptureFixture[str],
    error: MlopsError,
    last: str,
) -> None:
    step(raises(error))
    lines = capsys.readouterr().err.splitlines()
    assert sum("live now: " in line for line in lines) == 1
    assert lines[-1].startswith(last)


def test_a_step_that_checked_nothing_has_a_case_all_the_same(step: Callable[[Callable[[Context], None]], int]) -> None:
    assert step(lambda context: None) == 0
    assert outcomes() == {"package": Outcome.PASSED}


@pytest.mark.parametrize(
    ("error", "code", "outcome"),
    [
        (CheckFailed("the gate"), 1, Outcome.FAILURE),
        (ProductionInDoubt("nobody knows"), 5, Outcome.ERROR),
        (ZeroDivisionError("ours"), 3, Outcome.ERROR),
    ],
)
def test_an_error_is_an_exit_code_and_a_case(
    step: Callable[[Callable[[Context], None]], int], error: Exception, code: int, outcome: Outcome
) -> None:
    assert step(raises(error)) == code
    assert outcomes() == {"package": outcome}
    assert str(error) in report().cases[0].message


def test_a_mistake_of_ours_is_called_so_with_its_place(
    step: Callable[[Callable[[Context], None]], int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert step(raises(ZeroDivisionError("ours"))) == 3
    first, following, *trace = capsys.readouterr().err.splitlines()
    assert first == "mlops-steps: internal error: ZeroDivisionError: ours"
    assert following == "  next: please report this with the lines below"
    assert any("test_runner.py" in line for line in trace)


def test_a_current_folder_that_is_removed_is_one_clear_error(
    step: Callable[[Callable[[Context], None]], int],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    workspace = tmp_path / "workspace"
    workspace.mkdir()
    (tmp_path / "mlops.yml").rename(workspace / "mlops.yml")
    monkeypatch.chdir(workspace)

    def remove(context: Context) -> None:
        shutil.rmtree(workspace)
        raise_from_the_folder()

    def raise_from_the_folder() -> None:
        Path.cwd()

    assert step(remove) == 2
    said = capsys.readouterr().err
    assert said.startswith("configuration: the current folder was removed while the step ran\n")
    assert "Traceback" not in said
    assert "internal error" not in said


def test_an_error_that_sums_up_failed_cases_adds_none(step: Callable[[Callable[[Context], None]], int]) -> None:
    def call(context: Context) -> None:
        context.report.add(Case("rule", Outcome.FAILURE, "too long"))
        error = CheckFailed("1 of 1 checks failed")
        error.is_reported = True
        raise error

    assert step(call) == 1
    assert outcomes() == {"rule": Outcome.FAILURE}


@pytest.mark.parametrize(("error", "code"), [(None, 3), (ProductionInDoubt("nobody knows"), 5)])
def test_a_report_that_cannot_be_written_does_not_hide_what_became_of_production(
    step: Callable[[Callable[[Context], None]], int],
    capsys: pytest.CaptureFixture[str],
    error: MlopsError | None,
    code: int,
) -> None:
    Path("reports").write_text("in the way")
    assert step(raises(error) if error else lambda context: None) == code
    assert "mlops-package.xml could not be written" in capsys.readouterr().err


def test_no_exit_code_depends_on_the_page(
    step: Callable[[Callable[[Context], None]], int],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def broken(_folder: Path, _settings: object) -> Path:
        raise ZeroDivisionError("broken")

    monkeypatch.setattr(summing_up, "write_page", broken)
    assert step(lambda context: None) == 0
    assert "warning: no page: broken" in capsys.readouterr().err
    assert outcomes() == {"package": Outcome.PASSED}


def test_a_log_line_after_the_end_of_the_command_breaks_nothing() -> None:
    stream = io.StringIO()
    _log_to(Console(stream, live=False), verbose=0)
    stream.close()
    logging.getLogger("mlops_steps.late").warning("still here")
