"""Child processes: started with little, watched, ended at their limit, never left behind."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any

from mlops_steps.sandbox.runtime.forks import FORKS, LIBRARY, Forked, child_environment, libraries_of

# Seconds that a process has between SIGTERM and SIGKILL.
GRACE_SECONDS = 2.0
DEFAULT_LIMIT_SECONDS = 900.0


class End(str, Enum):
    """How a child process ended."""

    DONE = "DONE"
    FAILED = "FAILED"
    ABORTED = "ABORTED"
    TIMEOUT = "TIMEOUT"


@dataclass(frozen=True)
class ChildResult:
    """The end of a child process. ``error`` has ``clazz``, ``message`` and ``stack`` unless it is DONE."""

    end: End
    status: int
    seconds: float
    error: dict[str, str] | None = None


@dataclass(eq=False)  # by identity: jobs keep their children in sets
class Child:
    """One run of a script, or of pytest, in a process group of its own.

    :param context: what ``dataiku`` needs to know (see ``lib/dataiku/_context.py``).
    :param environment: further environment variables, for instance the ticket.
    :param label: what tracebacks call the script.
    """

    context: dict[str, Any]
    environment: dict[str, str]
    label: str
    script: str = ""
    library: Sequence[Path] = ()
    pytest_root: Path | None = None
    pytest_arguments: Sequence[str] = ()
    limit: float = DEFAULT_LIMIT_SECONDS
    _process: Forked | None = field(default=None, init=False)
    _aborted: threading.Event = field(default_factory=threading.Event, init=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False)

    def abort(self) -> None:
        """Ends the process group. A child that was not started yet will not start."""
        self._aborted.set()
        with self._lock:
            process = self._process
        if process is not None and process.poll() is None:
            _end_group(process)

    def run(self, log: Path) -> ChildResult:
        """Runs to the end, the limit, or :meth:`abort`; what it prints is appended to ``log``."""
        folder = Path(tempfile.mkdtemp(prefix="dss-child-"))
        started = time.monotonic()
        try:
            return self._run_in(folder, log, started)
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def _run_in(self, folder: Path, log: Path, started: float) -> ChildResult:
        context_file, error_file = self._write_task(folder)
        with log.open("ab") as output:
            with self._lock:
                if self._aborted.is_set():
                    return ChildResult(End.ABORTED, -1, 0.0, _error("Aborted", "aborted before it started"))
                environment = self._environment(folder, context_file)
                libraries = libraries_of([self.script], self.library)
                self._process = process = FORKS.child(environment, folder, self.library, output, libraries)
            timed_out = False
            try:
                process.wait(timeout=self.limit)
            except subprocess.TimeoutExpired:
                timed_out = True
            # Also after a good end: processes that the code started do not outlive it.
            _end_group(process)
            status = process.poll()
            process.close()
            if status is None:
                status = -signal.SIGKILL
        seconds = time.monotonic() - started
        if self._aborted.is_set():
            return ChildResult(End.ABORTED, status, seconds, _error("Aborted", "aborted"))
        if timed_out:
            why = f"the time limit of {self.limit:g} s was reached"
            return ChildResult(End.TIMEOUT, status, seconds, _error("TimeLimitReached", why))
        if status == 0:
            return ChildResult(End.DONE, 0, seconds)
        return ChildResult(End.FAILED, status, seconds, _read_error(error_file, status))

    def _write_task(self, folder: Path) -> tuple[Path, Path]:
        script, error_file, context_file = folder / "code.py", folder / "error.json", folder / "context.json"
        script.write_text(self.script, encoding="utf-8")
        task: dict[str, Any] = {
            "kind": "pytest" if self.pytest_root else "code",
            "label": self.label,
            "script": str(script),
            "errorFile": str(error_file),
            "path": [str(path) for path in self.library],
        }
        if self.pytest_root:
            task.update(root=str(self.pytest_root), arguments=list(self.pytest_arguments))
        context_file.write_text(json.dumps({**self.context, "task": task}), encoding="utf-8")
        return context_file, error_file

    def _environment(self, folder: Path, context_file: Path) -> dict[str, str]:
        return {
            **child_environment(),
            "HOME": str(folder),
            "TMPDIR": str(folder),
            "PYTHONPATH": os.pathsep.join([str(LIBRARY), *map(str, self.library)]),
            "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
            "DKU_SANDBOX_CONTEXT": str(context_file),
            **self.environment,
        }


def _end_group(process: Forked) -> None:
    _signal_group(process.pid, signal.SIGTERM)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(timeout=GRACE_SECONDS)
    _signal_group(process.pid, signal.SIGKILL)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(timeout=GRACE_SECONDS)


def _signal_group(group: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)


def _error(clazz: str, message: str) -> dict[str, str]:
    return {"clazz": clazz, "message": message, "stack": ""}


def _read_error(path: Path, status: int) -> dict[str, str]:
    try:
        document: dict[str, str] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        ending = f"was killed by signal {-status}" if status < 0 else f"ended with exit status {status}"
        return _error("ProcessFailed", f"the process {ending}")
    return document
