"""Signals: the first one stops the step, and nothing but a second Ctrl-C stops a restore.

Jenkins sends SIGTERM when a build is aborted, and once more when the ``node`` block is left.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType

from mlops_steps.system.wakeup import Wakeup

# SIGHUP: the terminal, or the connection to it, is gone.
_STOPPING = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


class Stop(BaseException):
    """Raised in the main thread when a signal asks the step to stop. ``signal`` is its number."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.signal = number


class Interrupts:
    """Handles SIGTERM, SIGINT and SIGHUP for one step. In other threads than the main one it does nothing.

    ``meanwhile`` is what a signal is told that comes while the way out is under way.
    """

    def __init__(self, meanwhile: str = "production is being put in order first") -> None:
        self._meanwhile = meanwhile
        self._shielded = False
        self._typed = 0
        self._first: Stop | None = None
        self.received: int | None = None
        self._wakeup = Wakeup(Stop, self._forget)

    @contextmanager
    def handled(self, *, last: bool = False) -> Iterator[Interrupts]:
        """Signals in the block raise :class:`Stop`.

        When it is the ``last`` thing that the process does and a signal has come, further ones are noted until its end:
        they must not replace its exit code.
        """
        if threading.current_thread() is not threading.main_thread():
            yield self
            return
        # nohup has SIGHUP ignored; it stays so.
        ignored = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
        heard = [number for number in _STOPPING if not (ignored and number == signal.SIGHUP)]
        before = {number: signal.signal(number, self._handle) for number in heard}
        try:
            with self._wakeup.running():
                try:
                    yield self
                finally:
                    self._shielded = self._shielded or last
        finally:
            if not (last and self.received is not None):
                for number, handler in before.items():
                    signal.signal(number, handler)

    @contextmanager
    def shielded(self) -> Iterator[None]:
        """Signals in the block are noted only; a second Ctrl-C on a terminal still raises :class:`Stop`."""
        before, self._shielded = self._shielded, True
        try:
            yield
        finally:
            # After a signal was noted, what follows is the way out: a further one must not cut that off.
            self._shielded = before or self.received is not None

    def _handle(self, number: int, frame: FrameType | None) -> None:
        typed_again = number == signal.SIGINT and self._typed > 0 and sys.stdin.isatty()
        if (typed_again or not self._shielded) and self._wakeup.put_off(number, frame):
            return
        self.received = self.received or number
        if number == signal.SIGINT:
            self._typed += 1
        if not self._shielded:
            # From now on the way out is under way; it must not be interrupted by the signal that follows.
            self._shielded = True
            self._first = Stop(number)
            raise self._first
        if typed_again:
            raise Stop(number)
        # print() is not safe here: the signal may have come in the middle of another print(). And nothing that is wrong
        # with the log may cut the restore off.
        with suppress(OSError):
            os.write(2, f"{signal.Signals(number).name} noted: {self._meanwhile}\n".encode())

    def _forget(self, stop: Stop) -> None:
        """This exception has stopped nothing."""
        if stop is self._first:
            self._shielded = False
        if stop.signal == signal.SIGINT:
            self._typed -= 1
