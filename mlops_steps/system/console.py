"""Lines and progress on standard error: a live display on a terminal, a plain line now and then elsewhere."""

from __future__ import annotations

import os
import re
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, TextIO

from mlops_steps.errors import MlopsError
from mlops_steps.system.secrets import redact
from mlops_steps.system.text import clean
from mlops_steps.system.waiting import duration

if TYPE_CHECKING:
    from rich.console import Console as RichConsole
    from rich.status import Status

# Seconds between two plain lines about the same wait.
PLAIN_EVERY = 30.0
# Seconds that a wait must last before it is worth a plain line.
PLAIN_AFTER = 1.0
# The same where the console is brief.
_BRIEF_AFTER = 5.0
# Characters of a line. What a node says is shortened where it comes from; this is the last line of defence.
_LONGEST = 10_000
_LINE_BREAKS = re.compile("[\n\x85\u2028\u2029]")


class Waiting:
    """A wait under way; :meth:`state` says what is known of it."""

    def __init__(self, console: Console, label: str) -> None:
        self._console = console
        self._label = label
        self._start = time.monotonic()
        self._over = False
        self._state = ""
        self._last_line = self._start
        self._timer: threading.Timer | None = None
        if not console.live and not console.quiet:
            self._timer = threading.Timer(_BRIEF_AFTER if console.brief else PLAIN_AFTER, self._begin)
            self._timer.daemon = True
            self._timer.start()

    def state(self, text: str) -> None:
        """Shows the state. Off a terminal a line is printed when the state changed or PLAIN_EVERY seconds passed.

        Of a wait that is over soon nothing is printed there.
        """
        now = time.monotonic()
        with self._console._lock:
            changed = text != self._state or now - self._last_line >= self._console.plain_every
            if changed:
                self._state, self._last_line = text, now
            if changed and self._timer is None:
                self._show(now)

    def end(self) -> None:
        """Says nothing more."""
        with self._console._lock:
            if self._timer is not None:
                self._timer.cancel()
            self._over = True

    def _begin(self) -> None:
        with self._console._lock:
            self._timer = None
            if not self._over:
                self._show(time.monotonic())

    def _show(self, now: float) -> None:
        self._console._show_wait(self._label, f"{self._state} ({duration(now - self._start)})" if self._state else "")


def _as_line(text: str) -> str:
    """One line, whatever a node has put into the text: no terminal escapes, no line that looks like Jenkins' own."""
    text = redact(clean(text[: 2 * _LONGEST]))
    text = _LINE_BREAKS.sub(" ", text.rstrip("\n"))
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"


class Console:
    """What a step says while it works. All texts are masked. Safe to use from several threads.

    ``brief``: without the details that the report has as well, and without short waits.
    """

    def __init__(
        self,
        stream: TextIO | None = None,
        *,
        live: bool | None = None,
        quiet: bool = False,
        brief: bool = False,
        plain_every: float = PLAIN_EVERY,
    ) -> None:
        self.stream = stream or sys.stderr
        self.live = self._is_terminal() if live is None else live
        self.quiet = quiet
        self.brief = brief
        self.plain_every = plain_every
        self._lock = threading.RLock()
        self._rich: RichConsole | None = None
        self._status: Status | None = None
        self._waits: list[str] = []

    def line(self, text: str) -> None:
        """Prints a line."""
        if not self.quiet:
            self._print(text)

    def detail(self, text: str) -> None:
        """Prints a line that the report has as well, or that says where it is."""
        if not self.brief:
            self.line(text)

    def warn(self, text: str) -> None:
        """Prints a warning, also when quiet."""
        self._print(f"warning: {text}", "yellow")

    def error(self, text: str) -> None:
        """Prints an error, also when quiet."""
        self._print(text, "red")

    def result(self, text: str) -> None:
        """Prints what was asked for on standard output, also when quiet: a table, JSON."""
        try:
            with self._lock:
                print(redact(clean(text)), flush=True)
        except BrokenPipeError:
            pass  # nobody reads any more
        except OSError as error:
            self.warn(f"standard output could not be written: {error.strerror}")

    def failure(self, error: MlopsError, *, with_live: bool = True) -> int:
        """Prints an error that ends the command, its label first. Returns its exit code.

        ``with_live``: with what is live now; without it where that is printed as the very last line.
        """
        for number, line in enumerate(error.lines(with_live=with_live)):
            self.error(f"{error.label}: {line}" if number == 0 else line)
        return error.exit_code

    def good(self, text: str) -> None:
        """Prints that something was reached."""
        if not self.quiet:
            self._print(text, "green")

    @contextmanager
    def waiting(self, label: str) -> Iterator[Waiting]:
        """Shows a wait while the block runs."""
        wait = Waiting(self, label)
        with self._lock:
            self._waits.append(label)
            self._start_status()
        try:
            yield wait
        finally:
            wait.end()
            with self._lock:
                self._waits.remove(label)
                self._stop_status()

    def _is_terminal(self) -> bool:
        return self.stream.isatty() and os.environ.get("TERM") != "dumb" and "CI" not in os.environ

    def _print(self, text: str, style: str | None = None) -> None:
        text = _as_line(text)
        # Nobody reads any more, the terminal is gone, or the disk with the log is full: the work, a restore above all,
        # goes on all the same.
        with self._lock, suppress(OSError, ValueError):
            if self.live:
                self._rich_console().print(text, style=style, markup=False, highlight=False, soft_wrap=True)
            else:
                try:
                    print(text, file=self.stream, flush=True)
                except UnicodeEncodeError:
                    encoding = self.stream.encoding or "ascii"
                    print(text.encode(encoding, "backslashreplace").decode(encoding), file=self.stream, flush=True)

    def _show_wait(self, label: str, text: str) -> None:
        with self._lock, suppress(OSError):
            if self.live and self._status is not None:
                others = f" (and {len(self._waits) - 1} more)" if len(self._waits) > 1 else ""
                self._status.update(_as_line(f"{label}: {text}{others}"))
            elif not self.quiet:
                self._print(f"{label}: {text}" if text else label)

    def _rich_console(self) -> RichConsole:
        if self._rich is None:
            from rich.console import Console as RichConsole

            class Steady(RichConsole):
                def on_broken_pipe(self) -> None:
                    """Rich would end the process here, in the middle of a restore."""
                    self.quiet = True

            self._rich = Steady(file=self.stream)
        return self._rich

    def _start_status(self) -> None:
        if self.live and not self.quiet and self._status is None:
            self._status = self._rich_console().status(_as_line(self._waits[-1]))
            with suppress(OSError):
                self._status.start()

    def _stop_status(self) -> None:
        if self._status is not None and not self._waits:
            with suppress(OSError):
                self._status.stop()
            self._status = None
