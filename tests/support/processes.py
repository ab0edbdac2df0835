"""What other processes of this machine show of themselves: command lines, environments, who started whom."""

from __future__ import annotations

import operator
import os
import threading
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Seen:
    """A process at one moment."""

    pid: int
    parent: int
    command: bytes
    environment: bytes


class Watch(threading.Thread):
    """Looks at all processes until it is stopped."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self._seen: dict[tuple[str, str, bytes], Seen] = {}
        self._stopped = threading.Event()

    def run(self) -> None:
        while not self._stopped.wait(0.05):
            for entry in os.scandir("/proc"):
                if entry.name.isdecimal():
                    with suppress(OSError, ValueError, IndexError):
                        self._look(entry.name)

    def _look(self, pid: str) -> None:
        # After the name, which is in brackets: the state, the parent, and, 20 fields on, when the process started.
        parent, start = operator.itemgetter(1, 19)(
            _read(pid, "stat").decode(errors="replace").rpartition(")")[2].split()
        )
        command = _read(pid, "cmdline")
        # The environment is as long as many pages: it is read once, and again after an exec.
        if (pid, start, command) not in self._seen:
            self._seen[pid, start, command] = Seen(int(pid), int(parent), command, _read(pid, "environ"))

    def stop(self) -> list[Seen]:
        """All that was seen."""
        self._stopped.set()
        self.join()
        return list(self._seen.values())


def _read(pid: str, name: str) -> bytes:
    return Path("/proc", pid, name).read_bytes()


def children(seen: list[Seen], *roots: int) -> list[Seen]:
    """The processes that these have started, and theirs, once they are what they were started as.

    Between fork and exec a child shows what is its parent's.
    """
    commands: dict[int, set[bytes]] = {}
    for one in seen:
        commands.setdefault(one.pid, set()).add(one.command)
    below = set(roots)
    while True:
        more = {one.pid for one in seen if one.parent in below} - below
        if not more:
            break
        below |= more
    return [one for one in seen if one.pid in below - set(roots) and one.command not in commands.get(one.parent, ())]
