"""What the demo shows while it works: a table that lives on a terminal, a line for each end elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from rich.console import Console as RichConsole
from rich.console import Group, RenderableType
from rich.live import Live
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from mlops_steps.system.console import Console
from mlops_steps.system.secrets import redact
from mlops_steps.system.waiting import duration

State = Literal["waiting", "running", "good", "rolled back", "stopped", "bad"]
_STYLES = {
    "good": "green",
    "rolled back": "yellow",
    "stopped": "yellow",
    "bad": "red",
    "waiting": "dim",
    "running": "cyan",
}
_TAIL_BYTES = 4096
_LINE_WIDTH = 100
# Seconds; what takes less took no time.
_SHORTEST = 0.1


@dataclass
class Cell:
    """One step of one revision."""

    state: State = "waiting"
    note: str = ""
    started: float = 0.0
    seconds: float = 0.0

    def text(self) -> str:
        """What the cell says when it is not running."""
        if self.state == "waiting":
            return "·"
        return f"{self.note} ({duration(round(self.seconds, 1))})" if self.seconds >= _SHORTEST else self.note


@dataclass
class Board:
    """Revisions against steps."""

    rows: list[str]
    columns: list[str]
    console: Console
    _cells: dict[tuple[str, str], Cell] = field(default_factory=dict)
    #: What is said below the table, besides the last line of the log.
    footer: Callable[[], str] = str
    _log: Path | None = None
    _live: Live | None = None
    _spinner: Spinner = field(default_factory=lambda: Spinner("dots"))

    def __post_init__(self) -> None:
        self._cells = {(row, column): Cell() for row in self.rows for column in self.columns}

    @contextmanager
    def shown(self) -> Iterator[Board]:
        """Shows the board while the block runs; on a terminal it stays there at the end."""
        if not self.console.live:
            yield self
            return
        screen = RichConsole(file=sys.stderr)
        with Live(console=screen, get_renderable=self._render, refresh_per_second=8, redirect_stdout=False) as live:
            self._live = live
            try:
                yield self
            finally:
                self._log, self._live = None, None

    def start(self, row: str, column: str, log: Path) -> None:
        """A step begins; the last line of ``log`` is shown with it."""
        self._log = log
        self._cells[row, column] = Cell("running", started=time.monotonic())

    def end(self, row: str, column: str, state: State, note: str) -> None:
        """A step has ended."""
        cell = self._cells[row, column]
        cell.state, cell.note, cell.seconds = state, note, time.monotonic() - cell.started
        if self._live is None:
            self.console.line(f"{row:34} {column:12} {cell.text()}")

    def _render(self) -> RenderableType:
        table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
        table.add_column("DKU_CHURN", no_wrap=True)
        for column in self.columns:
            table.add_column(column, no_wrap=True)
        for row in self.rows:
            table.add_row(row, *(self._shown_cell(self._cells[row, column]) for column in self.columns))
        below = [line for line in (self.footer(), last_line(self._log)) if line]
        return Group(table, *(Text(line, style="dim", no_wrap=True, overflow="ellipsis") for line in below or [""]))

    def _shown_cell(self, cell: Cell) -> RenderableType:
        if cell.state == "running":
            self._spinner.update(text=Text(duration(int(time.monotonic() - cell.started)), style="cyan"))
            return self._spinner
        # Without the time, so that the table fits a terminal of 80 columns.
        return Text(cell.note or cell.text(), style=_STYLES[cell.state])


def last_line(log: Path | None) -> str:
    """The last line of a log that grows, masked and of a bounded length; empty when there is none yet."""
    if log is None:
        return ""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - _TAIL_BYTES))
            lines = file.read().decode(errors="replace").splitlines()
    except OSError:
        return ""
    return next((redact(line)[:_LINE_WIDTH] for line in reversed(lines) if line.strip()), "")
