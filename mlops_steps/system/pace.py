"""How often nodes are asked, and the limits that no setting changes, in one object."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass(frozen=True)
class Pace:
    """Pauses and limits, all in seconds. The defaults are those of production; tests set shorter ones (:func:`use`).

    ``first``, ``steady``, ``share``, ``longest``
        The first pause between two questions. It grows to ``steady`` soon, then to this share of the time that was
        waited, and to ``longest`` at the most. So the end of what takes ten seconds or less is noticed 0.2 s late on
        the average, that of a longer wait by 3 % of it, with fewer than 60 requests in the first minute.
    ``settle``
        The time in which a note that another agent wrote at the same moment must have arrived.
    ``agree``
        The time in which two nodes that contradict each other are asked again before a step refuses to act.
    ``slack``
        The time beside its limits after which a process cannot be at work any more.
    ``again``
        The pause between two attempts to restore.
    ``grace``
        For each of the few things that are done after a limit: to abort a run, to say what is live.
    ``release_note``
        For taking away the note of who is at work. Together with ``grace`` it stays below the 10 seconds by which no
        step may outlive its limits.
    ``lost``
        The time in which an update must show up in the history when the answer to its start was lost.
    ``look``
        For a look at a node by a step that has no limit of its own for it (`status`, `doctor`, parts of `test`).
    ``stop``
        For the scenarios that run to be aborted on the node when the step is interrupted. Jenkins gives a step 20 s.
    ``stop_child``
        For a child process to write its report after Ctrl-C, and once more to end after SIGTERM.
    """

    first: float = 0.2
    steady: float = 0.45
    share: float = 0.055
    longest: float = 10.0
    settle: float = 0.5
    agree: float = 5.0
    slack: float = 120.0
    again: float = 3.0
    grace: float = 3.0
    release_note: float = 3.0
    lost: float = 20.0
    look: float = 60.0
    stop: float = 10.0
    stop_child: float = 5.0


_current = Pace()


def pace() -> Pace:
    """The pace of this process."""
    return _current


@contextmanager
def use(other: Pace) -> Iterator[None]:
    """The pace of this process, all of its threads included, until the end of the block."""
    global _current
    before, _current = _current, other
    try:
        yield
    finally:
        _current = before
