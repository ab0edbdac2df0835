"""Child processes that are forked from one which has the large libraries imported: see ``lib/dku_forks.py``.

Where that does not work (not on Linux, or the process does not start), children are started one by one.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path
from typing import IO, Protocol

_SCRIPT = Path(__file__).parent / "lib" / "dku_child.py"
#: Seconds until a fork must have come about. The process may be importing the libraries at that moment.
START_SECONDS = 60.0
GRACE_SECONDS = 2.0
# What is said of a child whose parent is gone: killed.
_KILLED = 9


class Process(Protocol):
    """What a child needs of its process: the part of :class:`subprocess.Popen` that it uses."""

    pid: int

    @property
    def returncode(self) -> int | None:
        """The exit status, negative for a signal; ``None``: it runs."""

    def poll(self) -> int | None:
        """The same, as it is now."""

    def wait(self, timeout: float | None = None) -> int:
        """Waits for the end. Raises :class:`subprocess.TimeoutExpired`."""


class Forked:
    """A child that was forked. ``lifeline`` is the end of its standard input that the sandbox holds."""

    def __init__(self, lifeline: int) -> None:
        self.pid = 0
        self.lifeline = lifeline
        self.started = threading.Event()
        self.ended = threading.Event()
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """The exit status, if it has ended."""
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Waits for the end. Raises :class:`subprocess.TimeoutExpired`."""
        if not self.ended.wait(timeout) or self.returncode is None:
            raise subprocess.TimeoutExpired("child", timeout or 0.0)
        return self.returncode

    def end(self, status: int) -> None:
        """Notes the status of ``waitpid``."""
        self.returncode = os.waitstatus_to_exitcode(status)
        self.started.set()
        self.ended.set()


class Forks:
    """The process that children are forked from, started when the first one is wanted. Safe to use from threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._users: set[Hashable] = set()
        self._numbers = itertools.count(1)
        self._control: socket.socket | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._children: dict[int, Forked] = {}

    def start(
        self, folder: Path, environment: Mapping[str, str], base: Mapping[str, str], log: IO[bytes]
    ) -> Forked | None:
        """Forks a child that prints to ``log``; ``None`` when children must be started one by one.

        ``base`` is the environment of the process that it is forked from.
        """
        if sys.platform != "linux":
            return None
        reads, lifeline = os.pipe()
        child, number = Forked(lifeline), next(self._numbers)
        task = {"child": number, "folder": str(folder), "environment": dict(environment)}
        try:
            with self._lock:
                control = self._started(base)
                self._children[number] = child
                socket.send_fds(control, [json.dumps(task).encode()], [reads, log.fileno()])
        except OSError:
            self._children.pop(number, None)
            os.close(lifeline)
            return None
        finally:
            os.close(reads)
        if child.started.wait(START_SECONDS) and child.pid:
            return child
        os.close(lifeline)  # ends it, should it start after all
        return None

    def warm(self, base: Mapping[str, str], libraries: Sequence[str]) -> None:
        """Has libraries imported that the next children will need, while there are none."""
        if sys.platform == "linux":
            with self._lock, contextlib.suppress(OSError):
                socket.send_fds(self._started(base), [json.dumps({"import": list(libraries)}).encode()], [])

    def enter(self, user: Hashable) -> None:
        """A sandbox has started, and may want children."""
        with self._lock:
            self._users.add(user)

    def leave(self, user: Hashable) -> None:
        """A sandbox has stopped. With the last one the process ends."""
        with self._lock:
            self._users.discard(user)
            process, control = self._process, self._control
            if self._users or process is None or control is None:
                return
            self._process = self._control = None
        with contextlib.suppress(OSError):
            control.shutdown(socket.SHUT_RDWR)
        try:
            process.wait(GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def _started(self, base: Mapping[str, str]) -> socket.socket:
        if self._process is not None and self._process.poll() is None and self._control is not None:
            return self._control
        ours, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-u", str(_SCRIPT), str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env=dict(base),
                pass_fds=[theirs.fileno()],
                start_new_session=True,
            )
        self._control = ours
        self._children = {}
        listener = threading.Thread(target=self._listen, args=(ours, self._children), name="forks", daemon=True)
        listener.start()
        return ours

    @staticmethod
    def _listen(control: socket.socket, children: dict[int, Forked]) -> None:
        """Tells the children what has become of them, until the process is gone."""
        with control, contextlib.suppress(OSError), control.makefile("rb") as lines:
            for line in lines:
                message = json.loads(line)
                if "pid" in message:
                    child = children[message["child"]]
                    child.pid = message["pid"]
                    child.started.set()
                else:
                    children.pop(message["child"]).end(message["status"])
        for child in list(children.values()):
            child.end(_KILLED)


#: One for all sandboxes of this process: the libraries are imported once.
FORKS = Forks()
