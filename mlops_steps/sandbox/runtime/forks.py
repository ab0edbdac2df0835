"""Processes for users' code, forked from one that has imported the libraries which the code needs.

The import of pandas and scikit-learn takes seconds, again for each recipe, scenario and API service; forked, a process
starts in milliseconds. See ``lib/dku_forks.py`` for the other side.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import select
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import IO, Any, TypeVar

# A child gets these from the node's environment, and nothing else: no keys, no MLOPS_ variables.
_INHERITED = ("PATH", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "TZ")
LIBRARY = Path(__file__).parent / "lib"
SCRIPT = LIBRARY / "dku_forks.py"
START_SECONDS = 60.0
# Seconds that the process has to end by itself.
END_SECONDS = 2.0
_T = TypeVar("_T")
#: Bytes of a request.
LONGEST = 65536
_NUMBER = struct.Struct(">i")
# Code with these words in it imports these modules, itself or through `dataiku`. A wrong guess costs time, no more.
_HINTS = {
    r"pandas|numpy|_dataframe|with_schema|_visual|modelPath": ("numpy", "pandas"),
    r"sklearn|predict|save_version|_evaluation|modelPath": (
        "joblib",
        "sklearn.pipeline",
        "sklearn.preprocessing",
        "sklearn.linear_model",
        "sklearn.ensemble",
        "sklearn.metrics",
    ),
    r"dataikuapi|api_client": ("dataikuapi",),
    r"def test_": ("pytest",),
}


class StartError(OSError):
    """The process that others are forked from did not start, or has ended."""


class Forked:
    """A forked process, in a process group of its own; what :class:`subprocess.Popen` has, as far as it is needed."""

    def __init__(self, line: socket.socket, lifeline: IO[bytes]) -> None:
        self._line, self._lifeline = line, lifeline
        self._lock = threading.Lock()
        self._status: int | None = None
        line.settimeout(START_SECONDS)
        self.pid = self._number()

    def poll(self) -> int | None:
        """The exit status, negative for a signal; None while the process runs."""
        with self._lock:
            if self._status is None and self._told(0):
                try:
                    self._status = self._number()
                except OSError:
                    self._status = -signal.SIGKILL  # nobody is left who could say
            return self._status

    def wait(self, timeout: float) -> int:
        """The exit status. Raises :class:`subprocess.TimeoutExpired`."""
        limit = time.monotonic() + timeout
        while (status := self.poll()) is None:
            left = limit - time.monotonic()
            if left <= 0:
                raise subprocess.TimeoutExpired(str(SCRIPT), timeout)
            self._told(left)
        return status

    def close(self) -> None:
        """Lets go of its lines; a process that still runs ends."""
        with self._lock:
            if self._status is None:
                self._status = -signal.SIGKILL
            self._lifeline.close()
            self._line.close()

    def _told(self, seconds: float) -> bool:
        poll = select.poll()
        poll.register(self._line, select.POLLIN)
        return bool(poll.poll(seconds * 1000))

    def _number(self) -> int:
        content = self._line.recv(_NUMBER.size, socket.MSG_WAITALL)
        if len(content) < _NUMBER.size:
            raise StartError("the process has ended")
        return int(_NUMBER.unpack(content)[0])


class Forks:
    """The process that others are forked from, started when it is needed. Safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._users: set[Hashable] = set()
        self._process: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None

    @property
    def running(self) -> bool:
        """Whether the process runs."""
        return self._process is not None and self._process.poll() is None

    def join(self, user: Hashable) -> None:
        """The process lives until :meth:`leave` was called for all users."""
        with self._lock:
            self._users.add(user)

    def leave(self, user: Hashable) -> None:
        """Ends the process when ``user`` was the last one who needed it."""
        with self._lock:
            self._users.discard(user)
            if self._users:
                return
            process, control = self._process, self._control
            self._process = self._control = None
        if control is not None:
            control.close()
        if process is not None:
            try:
                process.wait(END_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def child(
        self,
        environment: Mapping[str, str],
        folder: Path,
        library: Sequence[Path],
        output: IO[bytes],
        libraries: Sequence[str],
    ) -> Forked:
        """Runs ``lib/dku_child.py`` in ``folder``; what it prints goes to ``output``. Raises :class:`OSError`."""
        return self._twice(lambda: self._child(environment, folder, library, output, libraries))

    def _child(
        self,
        environment: Mapping[str, str],
        folder: Path,
        library: Sequence[Path],
        output: IO[bytes],
        libraries: Sequence[str],
    ) -> Forked:
        task = {
            "kind": "child",
            "environment": dict(environment),
            "folder": str(folder),
            "library": [str(path) for path in library],
        }
        ours, theirs = socket.socketpair()
        end, lifeline = os.pipe()
        held = open(lifeline, "wb", buffering=0)  # noqa: SIM115 - held until the process has ended
        try:
            try:
                self._send(task, [theirs.fileno(), end, output.fileno()], libraries)
            finally:
                theirs.close()
                os.close(end)
            return Forked(ours, held)
        except BaseException:
            ours.close()
            held.close()
            raise

    def send(self, task: Mapping[str, Any], handles: Sequence[int], libraries: Sequence[str]) -> None:
        """Asks for a process. Raises :class:`OSError`."""
        self._twice(lambda: self._send(task, handles, libraries))

    def _twice(self, ask: Callable[[], _T]) -> _T:
        """Asks again when the process that forks has just ended: then another one is started."""
        try:
            return ask()
        except (ConnectionError, StartError):
            with self._lock:
                process = self._process
            if process is not None:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(END_SECONDS)
            return ask()

    def _send(self, task: Mapping[str, Any], handles: Sequence[int], libraries: Sequence[str]) -> None:
        content = json.dumps({**task, "libraries": list(libraries)}).encode()
        if len(content) > LONGEST:
            raise StartError(f"a process cannot be given {len(content)} bytes of environment")
        with self._lock:
            socket.send_fds(self._started(), [content], list(handles))

    def _started(self) -> socket.socket:
        if self.running and self._control is not None:
            return self._control
        if self._control is not None:
            self._control.close()
        ours, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-u", str(SCRIPT), str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env=child_environment(),
                pass_fds=[theirs.fileno()],
                start_new_session=True,
            )
        ours.settimeout(START_SECONDS)
        if ours.recv(1) != b".":
            raise StartError("the process that runs code did not start")
        self._control = ours
        return ours


def child_environment() -> dict[str, str]:
    """The environment that every child process has: nothing of the node's own but where programs are."""
    kept = {name: os.environ[name] for name in _INHERITED if name in os.environ}
    return {
        "LANG": "C.UTF-8",
        **kept,
        "PYTHONIOENCODING": "utf-8",
        "PYTHONDONTWRITEBYTECODE": "1",
        # Two recipes run side by side: one thread each is faster than many that fight for two cores.
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
        "MPLBACKEND": "Agg",
    }


def libraries_of(texts: Iterable[str], folders: Iterable[Path] = ()) -> list[str]:
    """The modules that code will import, as far as its words, and those of the Python files in ``folders``, tell."""
    found = list(texts)
    for folder in folders:
        for path in sorted(folder.rglob("*.py")):
            with contextlib.suppress(OSError):
                found.append(path.read_text(encoding="utf-8", errors="replace"))
    whole = "\n".join(found)
    return [name for pattern, names in _HINTS.items() if re.search(pattern, whole) for name in names]


#: One for all sandboxes of this process: libraries are imported once.
FORKS = Forks()
