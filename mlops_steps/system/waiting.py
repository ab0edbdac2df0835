"""Waits that have a limit."""

from __future__ import annotations

import contextvars
import random
import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

from mlops_steps.errors import DeadlineExceeded
from mlops_steps.system import cancellation
from mlops_steps.system.pace import pace

T = TypeVar("T")


class Deadline:
    """A point in time that waiting must not pass. ``seconds`` is the limit it was made with."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._end = time.monotonic() + seconds

    @property
    def remaining(self) -> float:
        """Seconds left, never negative."""
        return max(0.0, self._end - time.monotonic())

    @property
    def passed(self) -> bool:
        return self.remaining <= 0.0

    def at_most(self, seconds: float) -> Deadline:
        """A deadline of its own that lies not later than this one."""
        return Deadline(min(seconds, self.remaining))

    def check(self, what: str) -> None:
        """Raises :class:`DeadlineExceeded` when the time is up."""
        if self.passed:
            raise DeadlineExceeded(f"{what}: timed out after {duration(self.seconds)}")


def poll(
    ask: Callable[[], T | None],
    *,
    deadline: Deadline,
    what: str,
    first: float | None = None,
    longest: float = 10.0,
) -> T:
    """Asks until the answer is not ``None``, and returns it.

    The pause between two questions grows with the time that was waited, within the
    :class:`~mlops_steps.system.pace.Pace`: what takes long may be noticed a little later. It is never shorter than the
    last answer took, and has jitter, so that many builds do not ask at once. ``first`` and ``longest`` are the first
    and the longest pause, in seconds. Raises :class:`DeadlineExceeded` (its first line begins with ``what``) when the
    time is up; the last question is asked at the deadline, not before it.
    """
    longest = min(longest, pace().longest)
    began, growing = time.monotonic(), first or pace().first
    while True:
        asked = time.monotonic()
        answer = ask()
        if answer is not None:
            return answer
        deadline.check(what)
        now = time.monotonic()
        pause = min(max(min(growing, pace().steady), pace().share * (now - began)), longest)
        cancellation.pause(min(max(pause, now - asked) * random.uniform(0.8, 1.2), deadline.remaining))
        growing *= 1.5


def duration(seconds: float) -> str:
    """``90`` → ``1m30s``; below ten seconds with one decimal."""
    if seconds < 10 and seconds != int(seconds):
        return f"{seconds:.1f}s"
    whole = round(seconds)
    hours, rest = divmod(whole, 3600)
    minutes, rest = divmod(rest, 60)
    parts = [f"{value}{unit}" for value, unit in ((hours, "h"), (minutes, "m"), (rest, "s")) if value]
    return "".join(parts) or "0s"


class BackgroundCall(Generic[T]):
    """A question asked in a thread of its own while the caller asks another one.

    The thread is a daemon, and nothing waits for it but :meth:`result`: a signal must not have to wait for an answer.
    """

    def __init__(self, ask: Callable[[], T]) -> None:
        self._answers: list[T] = []
        self._errors: list[BaseException] = []
        context = contextvars.copy_context()
        self._thread = threading.Thread(target=context.run, args=(self._run, ask), daemon=True)
        self._thread.start()

    def _run(self, ask: Callable[[], T]) -> None:
        try:
            self._answers.append(ask())
        except BaseException as error:  # handed over to the caller's thread
            self._errors.append(error)

    def result(self) -> T:
        """The answer, when it is there. Raises what the question raised."""
        while self._thread.is_alive():
            self._thread.join(0.5)  # in pieces, so that a signal handler gets its turn
        if self._errors:
            raise self._errors[0]
        return self._answers[0]
