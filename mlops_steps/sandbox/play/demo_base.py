"""What all demos have in common: a folder, a sandbox, a board, commands that have to end as they should."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TypeVar

from rich.console import Console as RichConsole
from rich.table import Table

from mlops_steps.errors import CheckFailed, ConfigError, MlopsError
from mlops_steps.sandbox.content import PROJECT_KEY, Applied, DesignNode, Revision, apply_revision
from mlops_steps.sandbox.play.demo_board import Board, State
from mlops_steps.sandbox.play.demo_stories import MARK
from mlops_steps.sandbox.session import command_environment, running
from mlops_steps.sandbox.signals import Signals, Stopped
from mlops_steps.sandbox.site import Sandbox
from mlops_steps.system.console import Console

DEVELOP = "develop"

# What a build server says of its own build is not about the demo's.
NOT_INHERITED = ("MLOPS_CONFIG", "GIT_COMMIT", "JOB_NAME", "BUILD_URL")
TAIL_LINES = 25


class Demo:
    """A demo on a sandbox. ``rows`` and ``columns`` are those of its board; ``config`` is a template of mlops.yml."""

    def __init__(
        self, sandbox: Sandbox, out: Path, console: Console, signals: Signals, rows: list[str], columns: list[str]
    ) -> None:
        self.out = out
        self.sandbox = sandbox
        self.design = DesignNode.of(sandbox)
        self.board = Board(rows, columns, console)
        self._signals = signals
        inherited = {name: value for name, value in os.environ.items() if name not in NOT_INHERITED}
        self._environment = command_environment(sandbox, inherited)
        self._first = True

    def configure(self, template: str) -> None:
        """Writes mlops.yml, with the addresses of the nodes."""
        urls = {node_id: node.url for node_id, node in self.sandbox.nodes.items()}
        text = template.format(
            project=PROJECT_KEY, design=urls["design"], test=urls["auto-test"], prod=urls["auto-prod"]
        )
        (self.out / "mlops.yml").write_text(text, encoding="utf-8")

    def run(self) -> None:
        """Plays it. Raises :class:`CheckFailed` at the first step that does not end as it should."""
        raise NotImplementedError

    def print_end(self, seconds: float) -> None:
        """The closing table, on standard output."""
        raise NotImplementedError

    def check(self) -> None:
        """Raises :class:`CheckFailed` when it has ended otherwise than it should."""

    def develop(self, revision: Revision, folder: Path) -> Applied:
        """Brings a revision to the Design node, as a row of the board; the first one is there already."""
        row, log = label(revision), folder / f"{DEVELOP}.log"
        self.board.start(row, DEVELOP, log)
        try:
            with log.open("w", encoding="utf-8") as file:
                known = self.design.current() if self._first else None
                applied = known or apply_revision(
                    self.design, revision.number, lambda text: print(text, file=file, flush=True)
                )
        except MlopsError:
            self.board.end(row, DEVELOP, "bad", "failed")
            raise
        self._first = False
        self.board.end(row, DEVELOP, "good", f"AUC {applied.metrics['auc']:.2f}")
        return applied

    def command(
        self,
        row: str,
        step: str,
        arguments: list[str],
        folder: Path,
        *,
        number: int,
        wanted: int,
        read: Callable[[int], tuple[State, str]],
        what: str = "",
    ) -> None:
        """Runs a step as build ``number``; ``read`` makes of its exit code what the board shows.

        ``what`` names the row in the message. Raises :class:`CheckFailed` when the exit code is not the ``wanted``
        one, :class:`Stopped` after a signal.
        """
        log = folder / f"{step}.log"
        self.board.start(row, step, log)
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
            self.board.end(row, step, "bad", "interrupted")
            raise Stopped(self._signals.received)
        self.board.end(row, step, *read(code))
        if code != wanted:
            raise CheckFailed(
                f"{what or row}: mlops-steps {' '.join(arguments)} ended with {code} instead of {wanted}",
                details=[f"the end of {short(log)}:", *log.read_text(errors="replace").splitlines()[-TAIL_LINES:]],
            )


D = TypeVar("D", bound=Demo)


def play(out: Path, console: Console, first: int, make: Callable[[Sandbox, Path], D]) -> int:
    """Plays the demo that ``make`` returns in the folder ``out``, on a sandbox with the revision ``first``; returns 0.

    :raises MlopsError: the folder cannot be used, the sandbox did not start, something did not end as it should. The
        closing table is printed before that.
    """
    started = time.monotonic()
    out = out.absolute()
    prepare(out)
    with running(None, None, console, first=first) as sandbox:
        demo = make(sandbox, out)
        problem: MlopsError | None = None
        try:
            demo.run()
        except MlopsError as error:
            problem = error
        demo.print_end(time.monotonic() - started)
        if problem is not None:
            raise problem
        demo.check()
    return 0


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


def print_closing(table: Table, lines: Iterable[str], width: int) -> None:
    """The table and the lines below it, on standard output; ``width`` where that is no terminal."""
    screen = RichConsole(file=sys.stdout, width=None if sys.stdout.isatty() else width)
    screen.print(table)
    for line in lines:
        screen.print(line, markup=False, highlight=False, soft_wrap=True)


def short(path: Path) -> str:
    """The path as one would type it here."""
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)


def label(revision: Revision) -> str:
    """The row of a revision."""
    return f"{revision.number} {revision.title}"
