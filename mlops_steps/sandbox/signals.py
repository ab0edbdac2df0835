"""Signals to the sandbox: passed on to the command that it runs, or the end of the sandbox."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from types import FrameType
from typing import Any

from mlops_steps.system.wakeup import Wakeup

STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Stopped(BaseException):
    """Raised in the main thread when a signal asks the sandbox to stop. ``signal`` is its number."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.signal = number


class Signals:
    """Handles SIGINT, SIGTERM and SIGHUP while it is the context, except those that were ignored before (nohup).

    ``received`` is the last signal that came, passed on or not.
    """

    def __init__(self) -> None:
        self.received: int | None = None
        self._command: subprocess.Popen[bytes] | None = None
        self._early: list[int] | None = None
        self._stopped = False
        self._handled = ExitStack()
        self._wakeup = Wakeup(Stopped, self._forget)

    def __enter__(self) -> Signals:
        if threading.current_thread() is threading.main_thread():
            for number in STOPPING:
                before = signal.getsignal(number)
                if before is not signal.SIG_IGN:
                    self._handled.callback(signal.signal, number, before)
                    signal.signal(number, self._handle)
            self._handled.enter_context(self._wakeup.running())
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped = True  # what comes now comes too late
        self._handled.close()

    def run(self, command: Sequence[str], **options: Any) -> int:
        """Runs a command to its end and returns its exit code, 128 + n when signal n ended it.

        Signals go to the command meanwhile and do not stop the sandbox: the command still needs the nodes to clean
        up. ``options`` are those of :class:`subprocess.Popen`, which raises :class:`OSError` for what cannot be run.
        """
        self._early = []  # signals that come before the process is known
        try:
            process = subprocess.Popen(command, **options)
            self._command = process
            early, self._early = self._early, None
            for number in early:
                self._pass_on(process, number)
            code: int = process.wait()
        finally:
            self._command = self._early = None
        return code if code >= 0 else 128 - code

    def _handle(self, number: int, frame: FrameType | None) -> None:
        self.received = number
        if self._early is not None:
            self._early.append(number)
        elif self._command is not None:
            self._pass_on(self._command, number)
        elif not self._stopped and not self._wakeup.put_off(number, frame):
            # The way out must not be interrupted by the signal that follows.
            self._stopped = True
            raise Stopped(number)

    def _forget(self, _stopped: Stopped) -> None:
        self._stopped = False

    def _pass_on(self, process: subprocess.Popen[bytes], number: int) -> None:
        # A terminal sends Ctrl-C to the command too; twice would mean "stop at once" to many programs.
        if not (number == signal.SIGINT and _is_foreground()):
            with suppress(ProcessLookupError):
                process.send_signal(number)


def _is_foreground() -> bool:
    try:
        return sys.stdin is not None and os.tcgetpgrp(sys.stdin.fileno()) == os.getpgrp()
    except (OSError, ValueError):
        return False
