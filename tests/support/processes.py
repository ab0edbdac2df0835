"""What other processes of this machine show of themselves: command lines, environments, who started whom."""

from __future__ import annotations

import threading
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
        self._seen: set[Seen] = set()
        self._stopped = threading.Event()

    def run(self) -> None:
        while not self._stopped.wait(0.02):
            for folder in Path("/proc").glob("[0-9]*"):
                try:
                    # After the name, which is in brackets: the state, and the parent.
                    parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
                    command, environment = ((folder / name).read_bytes() for name in ("cmdline", "environ"))
                except (OSError, ValueError):
                    continue
                self._seen.add(Seen(int(folder.name), parent, command, environment))

    def stop(self) -> list[Seen]:
        """All that was seen."""
        self._stopped.set()
        self.join()
        return list(self._seen)


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
