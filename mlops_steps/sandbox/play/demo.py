"""The demo: revisions of the churn project through the whole pipeline, by the command itself."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import requests
from rich import box
from rich.console import Console as RichConsole
from rich.table import Table

from mlops_steps.errors import CheckFailed, ConfigError, MlopsError, NodeError
from mlops_steps.report import junit
from mlops_steps.sandbox.content import (
    PROJECT_KEY,
    Applied,
    DesignNode,
    Revision,
    apply_revision,
)
from mlops_steps.sandbox.play.demo_board import Board, State
from mlops_steps.sandbox.play.demo_stories import MARK, ROLLED_BACK, STOPPED, Story
from mlops_steps.sandbox.session import command_environment, running
from mlops_steps.sandbox.signals import Signals, Stopped
from mlops_steps.sandbox.site import Sandbox
from mlops_steps.system.console import Console
from mlops_steps.system.waiting import duration

DEVELOP = "develop"

# What a build server says of its own build is not about the demo's.
NOT_INHERITED = ("MLOPS_CONFIG", "GIT_COMMIT", "JOB_NAME", "BUILD_URL")
TAIL_LINES = 25
TABLE_WIDTH = 100


@dataclass
class Outcome:
    """How one revision fared."""

    revision: Revision
    metrics: dict[str, float] = field(default_factory=dict)
    bundle: str = "-"
    tests: str = "-"
    release: int | None = None
    reason: str = ""
    #: What stopped it, a line for each gate.
    gates: list[str] = field(default_factory=list)


def run_demo(story: Story, out: Path, console: Console, signals: Signals) -> int:
    """Runs a demo in the folder ``out``; returns 0 when everything ended as it should, 1 otherwise.

    :raises MlopsError: the folder cannot be used, the sandbox did not start, a step did not end as it should.
    """
    started = time.monotonic()
    out = out.absolute()
    prepare(out)
    with running(None, None, console, first=story.revisions[0].number) as sandbox:
        demo = _Demo(story, sandbox, out, console, signals)
        problem: MlopsError | None = None
        try:
            demo.run()
        except MlopsError as error:
            problem = error
        live = _live_bundle(sandbox)
        demo.print_table(live, time.monotonic() - started)
        if problem is not None:
            raise problem
        _check_live(live, demo.outcomes, story.live)
    return 0


class _Demo:
    def __init__(self, story: Story, sandbox: Sandbox, out: Path, console: Console, signals: Signals) -> None:
        self.story = story
        self.out = out
        self.outcomes = [Outcome(revision) for revision in story.revisions]
        self._design = DesignNode.of(sandbox)
        self._signals = signals
        inherited = {name: value for name, value in os.environ.items() if name not in NOT_INHERITED}
        self._environment = command_environment(sandbox, inherited)
        self._board = Board([label(revision) for revision in story.revisions], [DEVELOP, *story.steps], console)
        urls = {node_id: node.url for node_id, node in sandbox.nodes.items()}
        config = story.config.format(
            project=PROJECT_KEY, design=urls["design"], test=urls["auto-test"], prod=urls["auto-prod"]
        )
        (out / "mlops.yml").write_text(config, encoding="utf-8")

    def run(self) -> None:
        """Takes each revision through all steps. Raises :class:`CheckFailed` at the first step that ends otherwise."""
        with self._board.shown():
            for outcome in self.outcomes:
                folder = self.out / f"revision-{outcome.revision.number}"
                folder.mkdir()
                try:
                    self._develop(outcome, folder)
                    for step, arguments in self.story.steps.items():
                        self._step(outcome, step, arguments, folder)
                finally:
                    self._keep(folder)

    def _develop(self, outcome: Outcome, folder: Path) -> None:
        row, number = label(outcome.revision), outcome.revision.number
        log = folder / f"{DEVELOP}.log"
        self._board.start(row, DEVELOP, log)
        try:
            with log.open("w", encoding="utf-8") as file:
                applied = self._apply(number, lambda text: print(text, file=file, flush=True))
        except MlopsError:
            self._board.end(row, DEVELOP, "bad", "failed")
            raise
        outcome.metrics = applied.metrics
        self._board.end(row, DEVELOP, "good", f"AUC {applied.metrics['auc']:.2f}")

    def _apply(self, number: int, say: Any) -> Applied:
        # The sandbox has just been made with the first revision in it.
        known = self._design.current() if number == self.story.revisions[0].number else None
        return known or apply_revision(self._design, number, say)

    def _step(self, outcome: Outcome, step: str, arguments: list[str], folder: Path) -> None:
        row, number = label(outcome.revision), outcome.revision.number
        log = folder / f"{step}.log"
        self._board.start(row, step, log)
        with log.open("wb") as file:
            code = self._signals.run(
                [sys.executable, "-m", "mlops_steps", *arguments],
                cwd=self.out,
                env={**self._environment, "BUILD_NUMBER": str(number), "PYTHONUNBUFFERED": "1"},
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
            )
        if self._signals.received is not None:
            self._board.end(row, step, "bad", "interrupted")
            raise Stopped(self._signals.received)
        state, note = self._read(outcome, step, code)
        self._board.end(row, step, state, note)
        wanted = self.story.end(number, step)
        if code != wanted:
            raise CheckFailed(
                f"revision {number}: mlops-steps {' '.join(arguments)} ended with {code} instead of {wanted}",
                details=[f"the end of {short(log)}:", *log.read_text(errors="replace").splitlines()[-TAIL_LINES:]],
            )

    def _read(self, outcome: Outcome, step: str, code: int) -> tuple[State, str]:
        """What a step left behind: notes it in the outcome, returns what the board shows."""
        if step == "package":
            outcome.bundle = _bundle_of(self.out / ".mlops" / "release.json")
        if step == "release":
            outcome.release = code
            outcome.reason = _smoke_test_of(self.out / ".mlops" / "release.json")
            if code in (0, ROLLED_BACK):
                return ("good", "released") if code == 0 else ("rolled back", "rolled back")
        passed, checks = _counts(self.out / "reports", step)
        if step == "test" and checks:
            outcome.tests = f"{passed} of {checks}"
            outcome.gates = _failed_gates(self.out / "reports")
        if code == STOPPED == self.story.end(outcome.revision.number, step):
            return "stopped", "stopped"
        if code != 0:
            return "bad", f"exit {code}"
        return "good", f"{passed}/{checks}" if checks else "done"

    def _keep(self, folder: Path) -> None:
        """Moves the reports of a revision to its folder, and copies the release record there."""
        reports, record = self.out / "reports", self.out / ".mlops" / "release.json"
        if reports.is_dir():
            shutil.move(reports, folder / "reports")
        if record.is_file():
            shutil.copy(record, folder / "release.json")

    def print_table(self, live: str | None, seconds: float) -> None:
        """The closing table, on standard output."""
        table = Table(title=f"{PROJECT_KEY} after {duration(round(seconds))}", title_justify="left", box=box.SIMPLE)
        for column in ("revision", "AUC", "F1", "bundle", "tests", "production"):
            table.add_column(column, no_wrap=True)
        for outcome in self.outcomes:
            quality = (f"{outcome.metrics[name]:.2f}" if outcome.metrics else "-" for name in ("auc", "f1"))
            table.add_row(label(outcome.revision), *quality, outcome.bundle, outcome.tests, _fate(outcome, live))
        screen = RichConsole(file=sys.stdout, width=None if sys.stdout.isatty() else TABLE_WIDTH)
        screen.print(table)
        for outcome in self.outcomes:
            if outcome.release == ROLLED_BACK:
                line = f"revision {outcome.revision.number} was rolled back: {outcome.reason}"
                screen.print(line, markup=False, highlight=False, soft_wrap=True)
            for gate in outcome.gates:
                line = f"revision {outcome.revision.number} was stopped by {gate}"
                screen.print(line, markup=False, highlight=False, soft_wrap=True)
        folder = short(self.out)
        for line in (
            f"live on auto-prod, as the node itself says: {live or 'nothing'}",
            f"reports:  {folder}/revision-*/reports, pages: html/index.html in them",
            f"records:  {folder}/revision-*/release.json",
            f"logs:     {folder}/revision-*/*.log",
        ):
            screen.print(line, markup=False, highlight=False, soft_wrap=True)


def prepare(out: Path) -> None:
    """Makes the folder, and removes what an earlier demo left in it. Raises :class:`ConfigError`."""
    config = out / "mlops.yml"
    try:
        if out.is_dir() and any(out.iterdir()) and not (config.is_file() and config.read_text().startswith(MARK)):
            raise ConfigError(f"{out} is not empty and holds no earlier demo: choose another folder with --out")
        for old in ("reports", ".mlops", *(path.name for path in out.glob("revision-*"))):
            shutil.rmtree(out / old, ignore_errors=True)
        for old in ("records.jsonl", "users.xml"):
            (out / old).unlink(missing_ok=True)
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"{out} cannot be used: {error.strerror}") from error


def _check_live(live: str | None, outcomes: list[Outcome], number: int) -> None:
    wanted = next(outcome for outcome in outcomes if outcome.revision.number == number)
    if live != wanted.bundle:
        raise CheckFailed(
            f"auto-prod runs {live or 'nothing'} instead of {wanted.bundle}, the bundle of revision {number}"
        )


def _live_bundle(sandbox: Sandbox) -> str | None:
    """The active bundle, asked of the production node itself and not of the deployer."""
    node = sandbox.nodes["auto-prod"]
    with requests.Session() as session:
        session.trust_env = False
        try:
            answer = session.get(f"{node.url}/dip/publicapi/projects/", auth=(node.api_key, ""), timeout=30)
            answer.raise_for_status()
        except requests.RequestException as error:
            raise NodeError(f"auto-prod does not say what it runs: {error}") from error
    for project in answer.json():
        if project["projectKey"] == PROJECT_KEY:
            return (project.get("activeBundleState") or {}).get("bundleId")
    return None


def _bundle_of(record: Path) -> str:
    return str(_at(record, "bundle", "id") or "-")


def _smoke_test_of(record: Path) -> str:
    return str(_at(record, "stages", "prod", "units", "auto-prod", "smoke_test", "message") or "see its report")


def _at(record: Path, *keys: str) -> Any:
    """A value of a release record; None when it is not there."""
    try:
        value = json.loads(record.read_text(encoding="utf-8"))
        for key in keys:
            value = value[key]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return value


def _counts(reports: Path, step: str) -> tuple[int, int]:
    """Passed checks and all checks that were made, from the step's JUnit report."""
    cases = [case for path in reports.glob(f"mlops-{step}*.xml") for case in junit.read(path).cases]
    made = [case for case in cases if case.outcome.value != "skipped"]
    return sum(case.outcome.value == "passed" for case in made), len(made)


def _failed_gates(reports: Path) -> list[str]:
    """What each gate that failed has said, with its limit and rows, from the report of the step `test`."""
    found = []
    for path in reports.glob("mlops-test*.xml"):
        report = junit.read(path)
        for case in report.cases:
            name = case.name.removeprefix("gate ")
            if case.outcome.value == "failure" and f"gate.{name}.verdict" in report.properties:
                facts = [report.properties.get(f"gate.{name}.{fact}", "") for fact in ("limit", "rows")]
                found.append(
                    f"{case.name}: {case.message}; limit: {facts[0]}" + (f"; {facts[1]} rows" if facts[1] else "")
                )
    return found


def _fate(outcome: Outcome, live: str | None) -> str:
    if outcome.release is None:
        return "not reached"
    word = {0: "released", STOPPED: "stopped", ROLLED_BACK: "rolled back"}.get(
        outcome.release, f"exit {outcome.release}"
    )
    return f"{word}, live" if outcome.bundle == live else word


def short(path: Path) -> str:
    """The path as one would type it here."""
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)


def label(revision: Revision) -> str:
    return f"{revision.number} {revision.title}"
