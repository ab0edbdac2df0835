"""The demo of monitoring: a model decays, is trained anew once, goes live through all gates, and all is well again."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import requests
from rich import box
from rich.table import Table

from mlops_steps.errors import CheckFailed, NodeError
from mlops_steps.report import attachments
from mlops_steps.report.attachments import Look
from mlops_steps.sandbox.content import PROJECT_KEY, WATCHED, quarters
from mlops_steps.sandbox.play.demo_base import Demo, play, print_closing, short
from mlops_steps.sandbox.play.demo_board import State
from mlops_steps.sandbox.play.demo_stories import MARK
from mlops_steps.sandbox.signals import Signals
from mlops_steps.sandbox.site import Sandbox
from mlops_steps.system.console import Console
from mlops_steps.system.waiting import duration

CONFIG = (
    MARK
    + """\
project: {project}
automation: full
nodes:
  design: {{url: "{design}"}}
  test:   {{url: "{test}", infra: auto-test}}
  prod:   {{url: "{prod}", infra: auto-prod}}
test:
  scenarios: [TEST_MODEL_QUALITY]
  marked: false
  timeout: 5m
gates:
  - {{gate: metric, model: churn_model, metric: auc, at_least: 0.85}}
  # The customers of this quarter who are known to have left or stayed, scored by both models.
  - gate: champion
    metric: log_loss
    margin: 0.02
    scenario: SCORE_QUARTER
    dataset: quarter_scored
    key: customer
    label: churn
    probability: probability
  - gate: calibration
    at_most: 0.06
    scenario: SCORE_HOLDOUT
    dataset: customers_scored
    label: churn
    probability: probability
  - {{gate: data_quality, datasets: [customers_scored], scenario: SCORE_HOLDOUT}}
monitor:
  gates:
    - gate: drift
      name: inputs
      scenario: SCORE_QUARTER
      reference: customers_train
      current: customers_now
      psi: 0.2
    - {{gate: metric, model: churn_model, metric: auc, at_least: 0.85}}
  age: {{model: churn_model, warn: 30d, act: 90d}}
  labels:
    predictions: predictions_log
    labels: churned
    key: customer
    version: model_version
    model: churn_model
    label: churn
    probability: probability
    metric: auc
    warn: 0.94
    act: 0.92
  react: retrain
  retrain_scenario: RETRAIN
"""
)
RELEASE = {
    "package": ["package"],
    "deploy": ["deploy", "--stage", "test"],
    "test": ["test", "--stage", "test"],
    "release": ["release", "--stage", "prod"],
}
MONITOR = {"monitor": ["monitor", "--stage", "prod"]}
DATA = "data"
_TRAINED_ON = 5000  # customers of the table that the model is trained on
_WIDTH = 120
_SECONDS = 30.0


@dataclass(frozen=True)
class Chapter:
    """A row of the demo: what arrives before it, its steps, and how `monitor` has to end."""

    title: str
    steps: dict[str, list[str]]
    quarter: int = 0
    labels: bool = False
    monitor: int = 0


CHAPTERS = (
    Chapter("first quarter", {**RELEASE, **MONITOR}, 1, labels=True),
    Chapter("second quarter, drifted", MONITOR, 2),
    Chapter("its labels arrive", MONITOR, 2, labels=True, monitor=1),
    Chapter("the night after", MONITOR, monitor=1),
    Chapter("the retrained model", RELEASE),
    Chapter("third quarter", MONITOR, 3, labels=True),
)


@dataclass
class ChapterResult:
    """What a chapter has left: its look."""

    chapter: Chapter
    look: Look | None = None


def run_demo_monitor(out: Path, console: Console, signals: Signals) -> int:
    """Runs the demo in the folder ``out``; returns 0 when everything ended as it should. Raises as :func:`play` does,
    and when the model was not trained anew exactly once."""
    return play(out, console, WATCHED[0].number, lambda sandbox, folder: _Demo(sandbox, folder, console, signals))


class _Demo(Demo):
    def __init__(self, sandbox: Sandbox, out: Path, console: Console, signals: Signals) -> None:
        rows = [chapter.title for chapter in CHAPTERS]
        super().__init__(sandbox, out, console, signals, rows, [DATA, *RELEASE, *MONITOR])
        self.results = [ChapterResult(chapter) for chapter in CHAPTERS]
        self.configure(CONFIG)

    def run(self) -> None:
        """Takes each chapter through its steps. Raises :class:`CheckFailed` at the first that ends otherwise."""
        with self.board.shown():
            for number, result in enumerate(self.results, 1):
                folder = self.out / f"revision-{number}"
                folder.mkdir()
                # What arrives needs a project on the nodes: in the first chapter it comes after the release.
                releases = "release" in result.chapter.steps
                if not releases:
                    self._arrive(result.chapter, folder)
                for step, arguments in result.chapter.steps.items():
                    if step == "monitor" and releases:
                        self._arrive(result.chapter, folder)
                    self._step(result, number, step, arguments, folder)

    def _arrive(self, chapter: Chapter, folder: Path) -> None:
        """Puts the customers of the quarter on the nodes that score them; with their labels, on the Design node too."""
        if not chapter.quarter:
            return
        self.board.start(chapter.title, DATA, folder / "data.log")
        quarter = chapter.quarter
        for node in ("auto-test", "auto-prod"):
            place = f"projects/{PROJECT_KEY}/managedfolders/quarter/contents"
            self._upload(node, f"{place}/customers.csv", quarters.customers(quarter))
            text = quarters.labels(quarter) if chapter.labels else "customer,churn\n"
            self._upload(node, f"{place}/labels.csv", text)
        if chapter.labels and quarter > 1:
            # What a new model is trained on: the newest customers of whom it is known whether they left.
            place = f"projects/{PROJECT_KEY}/datasets/churn/uploaded/files"
            self._upload("design", place, quarters.table(quarter, _TRAINED_ON), "churn.csv")
        self.board.end(chapter.title, DATA, "good", f"{quarters.ROWS} rows{', labels' if chapter.labels else ''}")

    def _upload(self, node_id: str, path: str, text: str, name: str = "file.csv") -> None:
        node = self.sandbox.nodes[node_id]
        with requests.Session() as session:
            session.trust_env = False
            try:
                answer = session.post(
                    f"{node.url}/dip/publicapi/{path}",
                    auth=(node.api_key, ""),
                    files={"file": (name, text.encode())},
                    timeout=_SECONDS,
                )
                answer.raise_for_status()
            except requests.RequestException as error:
                raise NodeError(f"{node_id} does not take the customers of the quarter: {error}") from error

    def _step(self, result: ChapterResult, number: int, step: str, arguments: list[str], folder: Path) -> None:
        wanted = result.chapter.monitor if step == "monitor" else 0
        self.command(
            result.chapter.title,
            step,
            arguments,
            folder,
            number=number,
            wanted=wanted,
            read=lambda code: self._read(result, step, code, wanted),
        )

    def _read(self, result: ChapterResult, step: str, code: int, wanted: int) -> tuple[State, str]:
        if step == "monitor":
            looks = attachments.read(self.out / "reports" / "mlops-monitor-prod.xml").looks
            result.look = looks[-1] if looks else None
            warned = any(measure.level == "warn" for measure in result.look.measures) if result.look else False
            if code == wanted == 1:
                return "stopped", "decayed"
            return ("good", "warns" if warned else "green") if code == 0 else ("bad", f"exit {code}")
        return ("good", "done") if code == 0 else ("bad", f"exit {code}")

    def retrainings(self) -> int:
        """The runs of the retraining scenario, as the Design node says."""
        runs = self.design.ask("GET", f"/projects/{PROJECT_KEY}/scenarios/RETRAIN/get-last-runs/?limit=50")
        return len(runs)

    def check(self) -> None:
        """Raises :class:`CheckFailed` unless the model was trained anew exactly once."""
        count = self.retrainings()
        if count != 1:
            raise CheckFailed(f"the model was trained anew {count} times instead of once")

    def print_end(self, seconds: float) -> None:
        """The closing table, on standard output."""
        table = Table(title=f"{PROJECT_KEY} after {duration(round(seconds))}", title_justify="left", box=box.SIMPLE)
        for column in ("", "live", "drift (PSI)", "AUC by labels", "what followed"):
            table.add_column(column, no_wrap=column != "what followed")
        for result in self.results:
            if result.look:
                values = {measure.name: measure for measure in result.look.measures}
                cells = [_value(values.get(name)) for name in ("gate inputs", "auc by labels")]
                table.add_row(
                    result.chapter.title, result.look.live.get("bundle", "-"), *cells, result.look.reaction or "-"
                )
        lines = (
            f"retrainings, as the Design node itself says: {self.retrainings()}",
            f"reports:  {short(self.out)}/reports, page: html/index.html in it",
            f"logs:     {short(self.out)}/revision-*/*.log",
        )
        print_closing(table, lines, _WIDTH)


def _value(measure: attachments.Measure | None) -> str:
    if measure is None or measure.value is None:
        return "-"
    mark = {"warn": " (warn)", "act": " (act)"}.get(measure.level, "")
    return f"{measure.value:.2f}{mark}"
