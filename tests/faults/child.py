"""Runs `mlops-steps` in a process of its own that can be killed, with the limits of the tests.

The processes are forked from a server that has imported everything: a start takes milliseconds, and what runs is the
command itself, from its arguments to its exit code.
"""

from __future__ import annotations

import functools
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from multiprocessing import connection, forkserver
from multiprocessing.process import BaseProcess
from pathlib import Path
from unittest.mock import patch

import dataikuapi  # noqa: F401

from mlops_steps import cli
from mlops_steps.commands import steps  # noqa: F401
from mlops_steps.report import html, junit  # noqa: F401
from mlops_steps.steps import recover, release  # noqa: F401
from tests.faults.world import hasty

_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(["tests.faults.child"])

#: Whoever starts a process asks after all others too, and an exit code is there to be read once.
_LOCK = threading.Lock()

#: With this in the environment the processes would measure coverage, which other tests are for.
_MEASURES = "COVERAGE_PROCESS_CONFIG"


@functools.cache
def _start_server() -> None:
    """Once: the environment is everybody's."""
    with patch.dict(os.environ):
        os.environ.pop(_MEASURES, None)
        forkserver.ensure_running()


class Child:
    """A command under way."""

    def __init__(
        self, arguments: Sequence[str], folder: Path, environment: dict[str, str], *, terminal: bool = False
    ) -> None:
        """``terminal``: its standard input is one, so that somebody may type there."""
        self.output = folder / "output.txt"
        self.output.unlink(missing_ok=True)
        self.started = time.monotonic()
        with _LOCK:
            _start_server()
        self.process: BaseProcess = _CONTEXT.Process(
            target=_run, args=(list(arguments), str(folder), environment, terminal), daemon=True
        )
        with _LOCK:
            self.process.start()

    @property
    def said(self) -> str:
        return self.output.read_text(errors="replace") if self.output.exists() else ""

    @property
    def running(self) -> bool:
        with _LOCK:
            return self.process.is_alive()

    def send(self, number: int) -> None:
        """Sends a signal, if the command still runs."""
        if self.process.pid and self.running:
            with suppress(ProcessLookupError):
                os.kill(self.process.pid, number)

    def wait(self, seconds: float = 60.0) -> int:
        """The exit code; negative for a signal that killed it."""
        connection.wait([self.process.sentinel], seconds)
        with _LOCK:
            code = self.process.exitcode
        if code is None:
            self.process.kill()
            raise AssertionError(f"no end after {seconds} s:\n{self.said}")
        return code


def _run(arguments: list[str], folder: str, environment: dict[str, str], terminal: bool) -> None:
    os.chdir(folder)
    if terminal:
        os.dup2(os.openpty()[1], 0)
        sys.stdin = open(0, closefd=False)  # noqa: SIM115
    os.environ.update(environment)
    handle = os.open("output.txt", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(handle, 1)
    os.dup2(handle, 2)
    sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", closefd=False)  # noqa: SIM115
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
    sys.argv = ["mlops-steps", *arguments]
    with hasty():
        try:
            cli.main()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
