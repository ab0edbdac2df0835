"""Scoring processes: models and functions of API services run outside of the sandbox's own process.

Each package has workers, forked from a process that has imported the libraries. See ``lib/dku_scorer.py`` for the other
side.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import struct
import threading
from collections import OrderedDict
from collections.abc import Hashable
from pathlib import Path
from typing import Any

from mlops_steps.sandbox.runtime.forks import FORKS, Forks, libraries_of

#: Seconds that a request to a package may take.
ANSWER_SECONDS = 30.0
# Workers of one package: requests beyond that wait for each other.
WORKERS = 4
# Packages that keep workers; of more, the one that was asked least recently starts again when it is asked.
PACKAGES = 12
_LENGTHS = struct.Struct(">II")


class ScoringError(Exception):
    """A package could not answer: no process, no answer in time, or the process has died."""


class Worker:
    """One process that serves one package, one request at a time."""

    def __init__(self) -> None:
        self.line, self.other_end = socket.socketpair()
        self.pid = 0

    def ask(self, header: dict[str, Any], body: bytes, seconds: float) -> tuple[dict[str, Any], bytes]:
        """Sends a request and returns the answer. Raises ``OSError`` (``TimeoutError``) and ``EOFError``."""
        self.line.settimeout(seconds)
        head = json.dumps(header).encode()
        self.line.sendall(_LENGTHS.pack(len(head), len(body)) + head + body)
        return self.receive()

    def receive(self) -> tuple[dict[str, Any], bytes]:
        """A message."""
        head, size = _LENGTHS.unpack(self._exactly(_LENGTHS.size))
        content = self._exactly(head + size)
        return json.loads(content[:head]), content[head:]

    def _exactly(self, size: int) -> bytes:
        content = bytearray(size)
        view, done = memoryview(content), 0
        while done < size:
            count = self.line.recv_into(view[done:])
            if not count:
                raise EOFError
            done += count
        return bytes(content)

    def end(self, at_work: bool = False) -> None:
        """Closes the line: the process ends when it sees that, and at once when it is ``at_work``."""
        self.line.close()
        if at_work and self.pid:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)


class Pool:
    """The workers of one package."""

    def __init__(self) -> None:
        self.free = threading.Condition()
        self.idle: list[Worker] = []
        self.busy: set[Worker] = set()
        self.closed = False

    def end(self) -> None:
        """Ends all workers, also those at work."""
        with self.free:
            self.closed = True
            idle, self.idle = self.idle, []
            busy = list(self.busy)
            self.free.notify_all()
        for worker in idle:
            worker.end()
        for worker in busy:
            worker.end(at_work=True)


class Scoring:
    """The scoring processes of this Python process. Safe to use from several threads."""

    def __init__(self, forks: Forks) -> None:
        self._forks = forks
        self._lock = threading.Lock()
        self._pools: OrderedDict[Path, Pool] = OrderedDict()

    def ask(
        self, user: Hashable, root: Path, header: dict[str, Any], body: bytes = b"", seconds: float = ANSWER_SECONDS
    ) -> tuple[dict[str, Any], bytes]:
        """Asks the package unpacked in ``root`` and returns header and body of its answer.

        ``user`` is for whom: the processes live until :meth:`leave` was called for all. Raises :class:`ScoringError`.
        """
        pool = self._pool(user, root)
        worker = self._taken(pool, root, seconds)
        try:
            answer = worker.ask(header, body, seconds)
        except (OSError, EOFError) as error:
            late = isinstance(error, TimeoutError)
            self._lost(pool, worker, at_work=late)
            what = f"gave no answer within {seconds:g} s" if late else "has ended"
            raise ScoringError(f"the process of the endpoint {what}") from error
        with pool.free:
            pool.busy.discard(worker)
            pool.idle.append(worker)
            pool.free.notify()
        if pool.closed:
            pool.end()
        return answer

    def forget(self, root: Path) -> None:
        """Ends the workers of a package, or of all packages below a folder."""
        with self._lock:
            gone = [known for known in self._pools if known == root or root in known.parents]
            pools = [self._pools.pop(known) for known in gone]
        for pool in pools:
            pool.end()

    def leave(self, user: Hashable, root: Path) -> None:
        """Ends the packages below ``root``, and all processes when ``user`` was the last one who needed them."""
        self.forget(root)
        self._forks.leave((Scoring, user))

    def _pool(self, user: Hashable, root: Path) -> Pool:
        self._forks.join((Scoring, user))
        with self._lock:
            pool = self._pools.setdefault(root, Pool())
            self._pools.move_to_end(root)
            old = [known for known, other in self._pools.items() if not other.busy and other is not pool]
            gone = [self._pools.pop(known) for known in old[: max(0, len(self._pools) - PACKAGES)]]
        for other in gone:
            other.end()
        return pool

    def _taken(self, pool: Pool, root: Path, seconds: float) -> Worker:
        with pool.free:
            if not pool.free.wait_for(lambda: pool.closed or pool.idle or len(pool.busy) < WORKERS, timeout=seconds):
                raise ScoringError(f"all {WORKERS} processes of the package were busy for {seconds:g} s")
            if pool.closed:
                raise ScoringError("the node is stopping, or the package was deleted")
            if pool.idle:
                worker = pool.idle.pop()
                pool.busy.add(worker)
                return worker
            worker = Worker()
            pool.busy.add(worker)
        try:
            self._fork(worker, root, seconds)
        except (OSError, EOFError) as error:
            self._lost(pool, worker)
            raise ScoringError(f"no process for the package could be started: {type(error).__name__}") from error
        except BaseException:
            self._lost(pool, worker)
            raise
        return worker

    def _fork(self, worker: Worker, root: Path, seconds: float) -> None:
        task = {
            "kind": "worker",
            "root": str(root),
            "library": [str(root / "lib" / "python")],
            "log": str(root.parent / f"{root.name}.log"),
        }
        libraries = libraries_of([_text(root / "service.json")], [root / "lib" / "python"])
        with worker.other_end as other_end:
            self._forks.send(task, [other_end.fileno()], libraries)
        worker.line.settimeout(seconds)
        worker.pid = int(worker.receive()[0]["pid"])

    @staticmethod
    def _lost(pool: Pool, worker: Worker, at_work: bool = False) -> None:
        with pool.free:
            pool.busy.discard(worker)
            pool.free.notify()
        worker.end(at_work)


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError:
        return ""


#: One for all sandboxes of this process.
SCORING = Scoring(FORKS)
