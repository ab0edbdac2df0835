"""Work in threads that another thread may stop: at its next request, or in the middle of a pause.

A signal is raised in the main thread alone. What works side by side in other threads is told by this.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar

from mlops_steps.system.interrupts import Interrupts, Stop


class Cancelled(Stop):
    """Raised in a thread whose work is not wanted any more, because other work has failed."""


class Cancellation:
    """What several threads are told at once, for good."""

    def __init__(self) -> None:
        self._told = threading.Event()
        self._stop: Stop | None = None
        self._lock = threading.Lock()
        self._under_way: set[Callable[[], None]] = set()

    @property
    def requested(self) -> bool:
        return self._told.is_set()

    def cancel(self, stop: Stop) -> None:
        """From now on what runs in :meth:`heard` raises such a stop; the first one counts."""
        with self._lock:
            self._stop = self._stop or stop
            self._told.set()
            under_way = list(self._under_way)
        for end in under_way:
            end()

    @contextmanager
    def ending(self, end: Callable[[], None]) -> Iterator[None]:
        """When it is told to stop, ``end`` is called if the block is not over: it ends what the block waits for."""
        with self._lock:
            self._under_way.add(end)
        try:
            yield
        finally:
            with self._lock:
                self._under_way.discard(end)

    @contextmanager
    def heard(self) -> Iterator[None]:
        """Requests and pauses of this thread in the block end when it is told to stop."""
        token = _current.set(self)
        try:
            yield
        finally:
            _current.reset(token)

    def check(self) -> None:
        """Raises :class:`Stop` when it was told to."""
        if self._told.is_set() and self._stop is not None:
            raise type(self._stop)(self._stop.signal)

    def wait(self, seconds: float) -> None:
        """A pause, unless it is told to stop."""
        self._told.wait(seconds)


class ThreadInterrupts(Interrupts):
    """For work in another thread than the main one: what is shielded is not stopped."""

    @contextmanager
    def shielded(self) -> Iterator[None]:
        """A stop in the block is not heard of."""
        token = _current.set(None)
        try:
            yield
        finally:
            _current.reset(token)


_current: ContextVar[Cancellation | None] = ContextVar("cancellation", default=None)


def check_cancelled() -> None:
    """Raises :class:`Stop` when this thread was told to stop."""
    told = _current.get()
    if told is not None:
        told.check()


def ended_by_cancellation(end: Callable[[], None]) -> AbstractContextManager[None]:
    """What this thread waits for in the block is ended by ``end`` when it is told to stop."""
    told = _current.get()
    return told.ending(end) if told else nullcontext()


def pause(seconds: float) -> None:
    """Sleeps; raises :class:`Stop` when this thread was told to stop."""
    told = _current.get()
    if told is None:
        time.sleep(seconds)
    else:
        told.wait(seconds)
        told.check()
