"""The demo of canaries: versions of the API service `churn` under the calls of users, by the command itself."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich import box
from rich.table import Table

from mlops_steps.errors import CheckFailed
from mlops_steps.report import junit
from mlops_steps.report.model import Case, Report
from mlops_steps.report.model import Outcome as CaseOutcome
from mlops_steps.sandbox.content import PROJECT_KEY, Revision
from mlops_steps.sandbox.content.revisions import revision
from mlops_steps.sandbox.play.demo_base import DEVELOP, Demo, label, play, print_closing, short
from mlops_steps.sandbox.play.demo_board import State
from mlops_steps.sandbox.play.demo_stories import MARK, ROLLED_BACK
from mlops_steps.sandbox.play.users import Users
from mlops_steps.sandbox.signals import Signals
from mlops_steps.sandbox.site import Sandbox
from mlops_steps.system.console import Console
from mlops_steps.system.waiting import duration

SERVICE, ENDPOINT, INFRA = "churn", "predict_churn", "api-prod"
#: The revisions, and how `api-release` has to end for each: the first has nothing to be compared with.
REVISIONS = {2: 0, 4: 0, 6: ROLLED_BACK}
STEPS = {
    "api-package": ["api-package"],
    "api-deploy": ["api-deploy", "--stage", "dev"],
    "api-release": ["api-release", "--stage", "prod"],
}
# Customers of whom it is known whether they left, which both versions are asked; calls of users in a second.
_RECORDS, _RATE = 600, 20.0
_WIDTH = 120
CONFIG = (
    MARK
    + """\
project: {project}
automation: full
nodes:
  design: {{url: "{design}"}}
api:
  service: churn
  stages:
    dev:  {{infra: api-dev}}
    prod: {{infra: api-prod}}
  release:
    tests: off
    strategy: canary
    canary:
      shares: [10, 50, 100]
      calls: 400
      records: records.jsonl
      # The nodes of the sandbox share the cores with everything else: times mean little here.
      slower: 20
      mode: MULTI_GENERATION
"""
)


@dataclass
class Outcome:
    """How the version of one revision fared."""

    revision: Revision
    auc: float | None = None
    version: str = "-"
    release: int | None = None
    #: What each step of the canary has said.
    verdicts: list[str] = field(default_factory=list)
    reason: str = ""


def run_demo_api(out: Path, console: Console, signals: Signals) -> int:
    """Runs the demo in the folder ``out``; returns 0 when everything ended as it should. Raises as :func:`play` does,
    and when a call of a user had no answer."""
    return play(out, console, next(iter(REVISIONS)), lambda sandbox, folder: _Demo(sandbox, folder, console, signals))


class _Demo(Demo):
    def __init__(self, sandbox: Sandbox, out: Path, console: Console, signals: Signals) -> None:
        self.outcomes = [Outcome(revision(number)) for number in REVISIONS]
        rows = [label(item.revision) for item in self.outcomes]
        super().__init__(sandbox, out, console, signals, rows, [DEVELOP, *STEPS])
        self.configure(CONFIG)
        self._urls = [node.url for node in sandbox.api_infrastructures()[INFRA][0]]
        self.users: Users | None = None

    def run(self) -> None:
        """Takes each revision through all steps; users call from the first release on."""
        with self.board.shown():
            first, *others = self.outcomes
            self._take(first)
            records = [query["features"] for query in self._queries()]
            self.users = Users(self._urls, SERVICE, ENDPOINT, records)
            self.board.footer = self._footer
            with self.users.calling(_RATE):
                for outcome in others:
                    self._take(outcome)

    def _take(self, outcome: Outcome) -> None:
        folder = self.out / f"revision-{outcome.revision.number}"
        folder.mkdir()
        outcome.auc = self.develop(outcome.revision, folder).metrics["auc"]
        if not (self.out / "records.jsonl").exists():
            lines = [json.dumps(query) + "\n" for query in self._queries()]
            (self.out / "records.jsonl").write_text("".join(lines), encoding="utf-8")
        try:
            for step, arguments in STEPS.items():
                self._step(outcome, step, arguments, folder)
        finally:
            if (self.out / "reports").is_dir():
                (self.out / "reports").rename(folder / "reports")

    def _queries(self) -> list[dict[str, Any]]:
        """Customers that no model was trained on, with what became of them."""
        rows = self.design.ask("GET", f"/projects/{PROJECT_KEY}/datasets/customers_test/data/?format=json")
        return [
            {
                "name": f"customer {number}",
                "endpoint": ENDPOINT,
                "features": {name: value for name, value in row.items() if name != "churn"},
                "expect": {"prediction": str(row["churn"])},
            }
            for number, row in enumerate(rows[:_RECORDS], 1)
        ]

    def _step(self, outcome: Outcome, step: str, arguments: list[str], folder: Path) -> None:
        number = outcome.revision.number
        self.command(
            label(outcome.revision),
            step,
            arguments,
            folder,
            number=number,
            wanted=REVISIONS[number] if step == "api-release" else 0,
            read=lambda code: self._read(outcome, step, code),
            what=f"revision {number}",
        )

    def _read(self, outcome: Outcome, step: str, code: int) -> tuple[State, str]:
        if step == "api-package":
            record = json.loads((self.out / ".mlops" / "release.json").read_text(encoding="utf-8"))
            outcome.version = str((record.get("package") or {}).get("version") or "-")
        if step == "api-release":
            outcome.release = code
            for case in junit.read(self.out / "reports" / "mlops-api-release-prod.xml").cases:
                if case.name.startswith("canary "):
                    outcome.verdicts.append(f"{case.name.removeprefix('canary ')} {_verdict(case)}")
                    outcome.reason = case.message or outcome.reason
            if code in (0, ROLLED_BACK):
                return ("good", "released") if code == 0 else ("rolled back", "rolled back")
        return ("good", "done") if code == 0 else ("bad", f"exit {code}")

    def _footer(self) -> str:
        """What users see at this moment."""
        if self.users is None:
            return ""
        answered = self.users.answered
        total = sum(answered.values())
        shares = ", ".join(f"{count} by {version}" for version, count in sorted(answered.items()))
        return f"users: {total} calls answered ({shares}), {len(self.users.failed)} failed"

    def check(self) -> None:
        """Writes the report of the users. Raises :class:`CheckFailed` when one of their calls had no answer."""
        failed = self.users.failed if self.users else []
        answered = self.users.answered if self.users else {}
        report = Report(PROJECT_KEY, "users", "prod")
        report.set(calls=str(sum(answered.values()) + len(failed)), failed=str(len(failed)))
        outcome = CaseOutcome.FAILURE if failed else CaseOutcome.PASSED
        report.add(Case("every call is answered", outcome, f"{len(failed)} calls failed" if failed else ""))
        junit.write(report, self.out / "users.xml")
        if failed:
            raise CheckFailed(f"{len(failed)} calls of users had no answer", details=failed[:20])

    def print_end(self, seconds: float) -> None:
        """The closing table, on standard output."""
        title = f"API service {SERVICE} after {duration(round(seconds))}"
        table = Table(title=title, title_justify="left", box=box.SIMPLE)
        table.add_column("revision", overflow="ellipsis", no_wrap=True)
        for column, width in (("AUC", 4), ("version", 15), ("canary", 26), ("production", 11)):
            table.add_column(column, no_wrap=True, min_width=width)
        for outcome in self.outcomes:
            fate = {None: "not reached", 0: "released", ROLLED_BACK: "rolled back"}.get(outcome.release, "failed")
            auc = "-" if outcome.auc is None else f"{outcome.auc:.2f}"
            canary = ", ".join(outcome.verdicts) or "-"
            table.add_row(label(outcome.revision), auc, outcome.version, canary, fate)
        lines = [
            f"revision {outcome.revision.number} was rolled back: {outcome.reason}"
            for outcome in self.outcomes
            if outcome.release == ROLLED_BACK
        ]
        lines += [self._footer(), f"reports:  {short(self.out)}/revision-*/reports, users.xml"]
        print_closing(table, lines, _WIDTH)


def _verdict(case: Case) -> str:
    return "passed" if case.outcome is CaseOutcome.PASSED else "failed"
