"""Runs `mlops-steps` in a process of its own, forked from a server that has imported everything.

A start takes milliseconds in place of a second, and what runs is the command itself, from its arguments to its exit
code. What depends on the interpreter's own start (its arguments, its environment as /proc shows it) needs a real one.
"""

from __future__ import annotations

import functools
import io
import multiprocessing
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from multiprocessing import connection, forkserver
from multiprocessing.process import BaseProcess
from pathlib import Path
from unittest.mock import patch

import dataikuapi  # noqa: F401

from mlops_steps import cli
from mlops_steps.commands import steps  # noqa: F401
from mlops_steps.report import attachments, junit  # noqa: F401
from mlops_steps.report.html import write  # noqa: F401
from mlops_steps.steps import compare, deploy, doctor, package, recover, release, rollback, status, test, validate  # noqa: F401
from mlops_steps.system.pace import Pace, use
from tests.support import measuring
from tests.support.pace import QUICK

_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(["tests.support.commands"])

#: Whoever starts a process asks after all others too, and an exit code is there to be read once.
_LOCK = threading.Lock()

#: In the process that commands are forked from: what they measure coverage with.
_MEASURING = measuring.prepared()


def import_first(*modules: str) -> None:
    """Has the process that commands are forked from import these too, if it does not run yet."""
    _CONTEXT.set_forkserver_preload(["tests.support.commands", *modules])


@functools.cache
def _start_server() -> None:
    """Once. It measures no coverage; the processes that it forks may."""
    with patch.dict(os.environ):
        config = os.environ.pop(measuring.MEASURES, None)
        if config is not None:
            os.environ[measuring.LATER] = config
        forkserver.ensure_running()


class Command:
    """`mlops-steps` with these arguments, under way in a folder.

    ``environment`` is all that it has. ``out`` and ``err`` are the files for what it says, which may be one.
    """

    def __init__(
        self,
        arguments: Sequence[str],
        folder: Path,
        environment: Mapping[str, str],
        *,
        out: Path,
        err: Path,
        pace: Pace | None = None,
        terminal: bool = False,
        append: bool = False,
    ) -> None:
        """``terminal``: its standard input is one, so that somebody may type there. ``pace``: None for production's.

        ``append``: the files for what it says are there, and stay.
        """
        self.out, self.err = out, err
        for path in () if append else {out, err}:
            path.unlink(missing_ok=True)
            path.touch(mode=0o600)
        given = (list(arguments), str(folder), dict(environment), str(out), str(err), pace, terminal)
        with _LOCK:
            _start_server()
            self.process: BaseProcess = _CONTEXT.Process(target=_run, args=given, daemon=True)
            self.process.start()

    @property
    def pid(self) -> int:
        assert self.process.pid
        return self.process.pid

    @property
    def running(self) -> bool:
        with _LOCK:
            return self.process.is_alive()

    def send(self, number: int) -> None:
        """Sends a signal, if the command still runs."""
        if self.running:
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def wait(self, seconds: float = 120.0) -> int:
        """The exit code; negative for a signal that killed it. Raises :class:`AssertionError` when it does not end."""
        connection.wait([self.process.sentinel], seconds)
        with _LOCK:
            code = self.process.exitcode
        if code is None:
            self.process.kill()
            said = "\n".join(path.read_text(errors="replace") for path in dict.fromkeys((self.out, self.err)))
            raise AssertionError(f"no end after {seconds} s:\n{said}")
        return code


class Child(Command):
    """A command with the quick pace, whose output is one file of its folder, and that measures no coverage."""

    def __init__(
        self,
        arguments: Sequence[str],
        folder: Path,
        environment: dict[str, str],
        *,
        pace: Pace = QUICK,
        terminal: bool = False,
    ) -> None:
        inherited = {name: value for name, value in os.environ.items() if name != measuring.MEASURES}
        output = folder / "output.txt"
        super().__init__(
            arguments, folder, {**inherited, **environment}, out=output, err=output, pace=pace, terminal=terminal
        )

    @property
    def said(self) -> str:
        return self.out.read_text(errors="replace")


class Started(Command):
    """A command as :class:`subprocess.Popen` has it, at production's pace, with its output in two files of ``logs``."""

    def __init__(self, arguments: Sequence[str], folder: Path, environment: Mapping[str, str], logs: Path) -> None:
        super().__init__(arguments, folder, environment, out=logs / "out.txt", err=logs / "err.txt")

    @property
    def returncode(self) -> int | None:
        with _LOCK:
            return self.process.exitcode

    def poll(self) -> int | None:
        return self.returncode

    def send_signal(self, number: int) -> None:
        self.send(number)

    def communicate(self, timeout: float | None = None) -> tuple[str, str]:
        connection.wait([self.process.sentinel], timeout)
        if self.returncode is None:
            raise subprocess.TimeoutExpired(["mlops-steps"], timeout or 0.0)
        return self.out.read_text(errors="replace"), self.err.read_text(errors="replace")


def run(
    arguments: Sequence[str], folder: Path, environment: Mapping[str, str], timeout: float = 120.0
) -> subprocess.CompletedProcess[str]:
    """The command to its end, as :func:`subprocess.run` gives it. ``environment`` is all that it has."""
    with tempfile.TemporaryDirectory() as logs:
        started = Started(arguments, folder, environment, Path(logs))
        try:
            out, err = started.communicate(timeout)
        except subprocess.TimeoutExpired:
            started.send(signal.SIGKILL)
            raise
        assert started.returncode is not None
        return subprocess.CompletedProcess(["mlops-steps", *arguments], started.returncode, out, err)


def _run(
    arguments: list[str],
    folder: str,
    environment: dict[str, str],
    out: str,
    err: str,
    pace: Pace | None,
    terminal: bool,
) -> None:
    os.chdir(folder)
    standard_input = os.openpty()[1] if terminal else os.open(os.devnull, os.O_RDONLY)
    os.dup2(standard_input, 0)
    sys.stdin = open(0, closefd=False)  # noqa: SIM115
    os.environ.clear()
    os.environ.update(environment)
    for number, path in ((1, out), (2, err)):
        handle = os.open(path, os.O_WRONLY | os.O_APPEND)
        os.dup2(handle, number)
        os.close(handle)
    sys.stdout = io.TextIOWrapper(open(1, "wb", closefd=False), encoding="utf-8")  # noqa: SIM115
    sys.stderr = io.TextIOWrapper(
        open(2, "wb", closefd=False),  # noqa: SIM115
        encoding="utf-8",
        errors="backslashreplace",
        line_buffering=True,
    )
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
    sys.argv = ["mlops-steps", *arguments]
    coverage = _MEASURING if measuring.MEASURES in environment else None
    if coverage:
        coverage.start()
        measuring.leave_out_the_sandbox()
    with ExitStack() as stack:
        if pace:
            stack.enter_context(use(pace))
        try:
            cli.main()
        finally:
            for stream in (sys.stdout, sys.stderr):
                with suppress(OSError, ValueError):
                    stream.flush()
            if coverage:
                coverage.stop()
                coverage.save()
