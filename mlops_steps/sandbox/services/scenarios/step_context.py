"""What a step may use, and how it may end."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Protocol

from mlops_steps.sandbox.runtime.process import Child, ChildResult, End
from mlops_steps.sandbox.services.flow.children import check_code_env, run_child, thrown
from mlops_steps.sandbox.services.projects.model import Project
from mlops_steps.sandbox.services.scenarios import records

SUCCESS, WARNING, FAILED, ABORTED = "SUCCESS", "WARNING", "FAILED", "ABORTED"
_SEVERITY = (SUCCESS, WARNING, FAILED, ABORTED)


class StepFailed(Exception):
    """A step did its work and found a failure. ``error`` is what DSS calls thrown."""

    def __init__(self, error: Mapping[str, Any]) -> None:
        super().__init__(error["message"])
        self.error = dict(error)


class StepWarned(Exception):
    """A step ended with a warning."""


class StepAborted(Exception):
    """A step was aborted."""


class Run(Protocol):
    """What a step may use of the run that it belongs to."""

    project: Project
    scenario: dict[str, Any]
    run_id: str
    dir: Path
    user: str
    variables: dict[str, Any]
    result: dict[str, Any] | None
    finished: threading.Event

    @property
    def label(self) -> str:
        """How messages call the run."""

    def abort(self) -> None:
        """Ends the run and everything that it has started."""

    def cancels(self, cancel: Callable[[], None]) -> AbstractContextManager[None]:
        """While the block runs, aborting the run calls ``cancel``."""

    def make_child(self, label: str, **what: Any) -> Child:
        """A child process that knows this run."""

    def watch(self, child: Child, work: Callable[[], ChildResult]) -> ChildResult:
        """Does ``work``, ending ``child`` when the run is aborted."""

    def run_nested(self, project: Project, scenario_id: str) -> Run:
        """Starts another scenario for a step of this run."""


class StepContext:
    """What a step may use: the run, its own definition and parameters, a place for its log and report."""

    def __init__(self, run: Run, step_run: dict[str, Any]) -> None:
        self.run = run
        self.project = run.project
        self.step_run = step_run
        self.step = step_run["step"]
        self.params: dict[str, Any] = self.step.get("params") or {}
        self.items: list[dict[str, Any]] = step_run["additionalReportItems"]
        self.dir = records.step_dir(run.dir, step_run["runId"])
        self.dir.mkdir(parents=True, exist_ok=True)
        self.log_path = self.dir / records.STEP_LOG
        self.report_path = self.dir / records.STEP_REPORT

    def log(self, line: str) -> None:
        """Adds a line to the log of the step."""
        with self.log_path.open("a", encoding="utf-8") as stream:
            stream.write(f"[{clock()}] {line}\n")

    def run_code(self, label: str, script: str) -> None:
        """Runs code of the scenario in a child process.

        :raises StepFailed: it failed or reached its limit.
        """
        check_code_env(self.project, self.params.get("envSelection"), label)
        child = self.run.make_child(label, script=script)
        end_of(self.run.watch(child, lambda: run_child(self.project, child, self.log_path)))

    def run_pytest(self, label: str, arguments: list[str]) -> ChildResult:
        """Runs pytest in a child process."""
        check_code_env(self.project, self.params.get("envSelection"), label)
        child = self.run.make_child(label, pytest_arguments=arguments)
        return self.run.watch(child, lambda: run_child(self.project, child, self.log_path))


def end_of(result: ChildResult) -> None:
    """Raises unless a child process ended well.

    :raises StepFailed: it failed or reached its limit.
    :raises StepAborted: it was aborted.
    """
    if result.end is End.ABORTED:
        raise StepAborted
    if result.end is not End.DONE:
        raise StepFailed(thrown(result.error or {"clazz": "ProcessFailed", "message": "the process failed"}))


def worst(first: str, second: str) -> str:
    """The worse of two outcomes."""
    return max(first, second, key=_SEVERITY.index)


def clock() -> str:
    """The time for a line of a log."""
    return time.strftime("%Y/%m/%d-%H:%M:%S")
