"""The demo: revisions of the churn project through the whole pipeline, by the command itself."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import requests
from rich import box
from rich.table import Table

from mlops_steps.errors import CheckFailed, NodeError
from mlops_steps.report import junit
from mlops_steps.sandbox.content import PROJECT_KEY, Revision
from mlops_steps.sandbox.play.demo_base import DEVELOP, Demo, label, play, print_closing, short
from mlops_steps.sandbox.play.demo_board import State
from mlops_steps.sandbox.play.demo_stories import AGAIN, ROLLED_BACK, STOPPED, Story
from mlops_steps.sandbox.signals import Signals
from mlops_steps.sandbox.site import Sandbox
from mlops_steps.system.console import Console
from mlops_steps.system.waiting import duration

TABLE_WIDTH = 100
# How the test cases begin that say what a node lacks.
_NEEDS = ("variable", "connection", "plugin", "code")


@dataclass
class Outcome:
    """How one revision fared."""

    revision: Revision
    metrics: dict[str, float] = field(default_factory=dict)
    bundle: str = "-"
    tests: str = "-"
    release: int | None = None
    reason: str = ""
    #: What stopped it, a line for each gate, or for each need that production does not meet.
    stopped: list[str] = field(default_factory=list)


def run_demo(story: Story, out: Path, console: Console, signals: Signals) -> int:
    """Runs a demo in the folder ``out``; returns 0 when everything ended as it should. Raises as :func:`play` does."""
    first = story.revisions[0].number
    return play(out, console, first, lambda sandbox, folder: _Demo(story, sandbox, folder, console, signals))


class _Demo(Demo):
    def __init__(self, story: Story, sandbox: Sandbox, out: Path, console: Console, signals: Signals) -> None:
        rows = [label(revision) for revision in story.revisions]
        columns = [DEVELOP, *story.steps, *([AGAIN] if story.again else [])]
        super().__init__(sandbox, out, console, signals, rows, columns)
        self.story = story
        self.outcomes = [Outcome(revision) for revision in story.revisions]
        self.live: str | None = None
        self.configure(story.config)

    def run(self) -> None:
        """Takes each revision through all steps. Raises :class:`CheckFailed` at the first step that ends otherwise."""
        with self.board.shown():
            for outcome in self.outcomes:
                folder = self.out / f"revision-{outcome.revision.number}"
                folder.mkdir()
                try:
                    outcome.metrics = self.develop(outcome.revision, folder).metrics
                    for step, arguments in self.story.steps.items():
                        self._step(outcome, step, arguments, folder)
                    self._again(outcome, folder)
                finally:
                    self._keep(folder)

    def _again(self, outcome: Outcome, folder: Path) -> None:
        """Releases a revision that was stopped once more, without what has stopped it."""
        more = self.story.again.get(outcome.revision.number)
        if more is None:
            return
        config = self.out / "mlops.yml"
        config.write_text(config.read_text(encoding="utf-8") + more, encoding="utf-8")
        self._step(outcome, AGAIN, self.story.steps["release"], folder)

    def _step(self, outcome: Outcome, step: str, arguments: list[str], folder: Path) -> None:
        number = outcome.revision.number
        self.command(
            label(outcome.revision),
            step,
            arguments,
            folder,
            number=number,
            wanted=self.story.end(number, step),
            read=lambda code: self._read(outcome, step, code),
            what=f"revision {number}",
        )

    def _read(self, outcome: Outcome, step: str, code: int) -> tuple[State, str]:
        """What a step left behind: notes it in the outcome, returns what the board shows."""
        if step == "package":
            outcome.bundle = _bundle_of(self.out / ".mlops" / "release.json")
        if step in ("release", AGAIN):
            outcome.release = code
            if code == STOPPED:
                outcome.stopped += _missing(self.out / "reports")
            outcome.reason = _smoke_test_of(self.out / ".mlops" / "release.json")
            if code in (0, ROLLED_BACK):
                return ("good", "released") if code == 0 else ("rolled back", "rolled back")
        passed, checks = _counts(self.out / "reports", step)
        if step == "test" and checks:
            outcome.tests = f"{passed} of {checks}"
            outcome.stopped = _failed_gates(self.out / "reports")
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

    def print_end(self, seconds: float) -> None:
        """The closing table, on standard output."""
        live = self.live = _live_bundle(self.sandbox)
        table = Table(title=f"{PROJECT_KEY} after {duration(round(seconds))}", title_justify="left", box=box.SIMPLE)
        for column in ("revision", "AUC", "F1", "bundle", "tests", "production"):
            table.add_column(column, no_wrap=True)
        for outcome in self.outcomes:
            quality = (f"{outcome.metrics[name]:.2f}" if outcome.metrics else "-" for name in ("auc", "f1"))
            table.add_row(label(outcome.revision), *quality, outcome.bundle, outcome.tests, _fate(outcome, live))
        lines = []
        for outcome in self.outcomes:
            number = outcome.revision.number
            lines += [f"revision {number} was stopped by {what}" for what in outcome.stopped]
            if outcome.release == ROLLED_BACK:
                again = ", released once more without that check," if outcome.stopped else ""
                lines.append(f"revision {number}{again} was rolled back: {outcome.reason}")
        folder = short(self.out)
        lines += [
            f"live on auto-prod, as the node itself says: {live or 'nothing'}",
            f"reports:  {folder}/revision-*/reports, pages: html/index.html in them",
            f"records:  {folder}/revision-*/release.json",
            f"logs:     {folder}/revision-*/*.log",
        ]
        print_closing(table, lines, TABLE_WIDTH)

    def check(self) -> None:
        """Raises :class:`CheckFailed` unless the bundle that the story ends with is live."""
        _check_live(self.live, self.outcomes, self.story.live)


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


def _missing(reports: Path) -> list[str]:
    """What production lacks, from the report of the step `release`."""
    cases = [case for path in reports.glob("mlops-release*.xml") for case in junit.read(path).cases]
    failed = [case for case in cases if case.outcome.value == "failure"]
    return [f"{case.name}: {case.message}" for case in failed if case.name.partition(" ")[0] in _NEEDS]


def _fate(outcome: Outcome, live: str | None) -> str:
    if outcome.release is None:
        return "not reached"
    word = {0: "released", STOPPED: "stopped", ROLLED_BACK: "rolled back"}.get(
        outcome.release, f"exit {outcome.release}"
    )
    return f"{word}, live" if outcome.bundle == live else word
