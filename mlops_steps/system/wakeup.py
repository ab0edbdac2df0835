"""Signal handlers that raise, made safe: no signal is lost, and no lock stays taken for ever.

Python notes a signal and runs its handler between two bytecodes of the main thread. So a signal that comes just before
a blocking call, or that the kernel gives to another thread, does not interrupt that call. An exception that a handler
raises in a finalizer is dropped. And one that it raises in the few lines of the standard library that take a lock
leaves the lock taken: the next use of it, in a restore for instance, would wait for ever.
(https://docs.python.org/3/library/signal.html#signals-and-threads, "Note on Signal Handlers and Exceptions")
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any

# Seconds from a signal until the main thread is woken; until then it has run the handler, mostly.
_AFTER = 0.05
# The main thread may be about to wait once more at that very moment.
_TIMES = 3
# Seconds that a handler is put off at most. Whoever is in such lines for longer waits there, and may be interrupted.
_LONGEST = 0.3
# Ignored by every program that has no use for it, and so by the children.
_WAKING = signal.SIGURG
_END = b"\0"
# Modules with locks that are taken in Python code; a tracer's code can run between any two lines of ours.
_LOCKING = {
    "coverage.collector",
    "http.cookiejar",
    "importlib._bootstrap",
    "logging",
    "queue",
    "tempfile",
    "threading",
}


class Wakeup:
    """What a signal handler uses that raises exceptions of one ``kind``, which tell their signal in ``signal``.

    ``forget`` is called with an exception that Python has dropped, before its signal is sent once more.
    """

    def __init__(self, kind: type[Any], forget: Callable[[Any], None]) -> None:
        self._kind = kind
        self._forget = forget
        self._again: int | None = None
        self._writing = -1
        self._put_off_at: float | None = None

    def put_off(self, number: int, frame: FrameType | None) -> bool:
        """For the handler: True when it must not raise now, as ``frame`` may be taking a lock. It is called again."""
        if not _may_take_a_lock(frame):
            self._put_off_at = None
            return False
        now = time.monotonic()
        self._put_off_at = self._put_off_at or now
        if self._writing < 0 or now - self._put_off_at > _LONGEST:
            self._put_off_at = None
            return False
        self._send_again(number)
        return True

    @contextmanager
    def running(self) -> Iterator[None]:
        """Within the block, handlers run within a fraction of a second. For the main thread only."""
        reading, writing = os.pipe()
        os.set_blocking(writing, False)
        ended = threading.Event()
        arguments = (reading, threading.get_ident(), ended)
        thread = threading.Thread(target=self._wake, args=arguments, name="signals", daemon=True)
        outer, self._writing = self._writing, writing
        waking_before = signal.signal(_WAKING, _nothing)
        written_before = signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
        hook = sys.unraisablehook
        sys.unraisablehook = lambda what: self._dropped(what) or hook(what)
        thread.start()
        try:
            yield
        finally:
            sys.unraisablehook = hook
            signal.set_wakeup_fd(written_before)
            self._writing = outer
            ended.set()
            with suppress(OSError):  # not by its end alone, which a fork may hold open
                os.write(writing, _END)
            os.close(writing)
            thread.join(1.0)
            signal.signal(_WAKING, waking_before)
            again, self._again = self._again, None
            if again is not None:
                signal.raise_signal(again)

    def _dropped(self, what: Any) -> bool:
        dropped: Any = what.exc_value
        if not isinstance(dropped, self._kind):
            return False
        self._forget(dropped)
        self._send_again(dropped.signal)
        return True

    def _send_again(self, number: int) -> None:
        # By the thread, in a moment: no thread can be started here, for that takes locks too.
        self._again = number
        with suppress(OSError):  # full: the thread has enough to read
            os.write(self._writing, bytes((number,)))

    def _wake(self, reading: int, main: int, ended: threading.Event) -> None:
        """Reads the numbers of the signals that came, and interrupts what the main thread waits for."""
        try:
            while (came := os.read(reading, 64)) and not ended.is_set():
                for _ in range(_TIMES if set(came) - {_WAKING} else 0):
                    if ended.wait(_AFTER):
                        return
                    again, self._again = self._again, None
                    signal.pthread_kill(main, again or _WAKING)
        finally:
            os.close(reading)


def _may_take_a_lock(frame: FrameType | None) -> bool:
    # contextlib only enters and leaves blocks; between its call and the block nobody owns what was taken.
    if frame is not None and frame.f_globals.get("__name__") == "contextlib":
        return True
    while frame is not None:
        if frame.f_globals.get("__name__") in _LOCKING:
            return True
        frame = frame.f_back
    return False


def _nothing(_number: int, _frame: Any) -> None:
    """The signal has interrupted a wait; it has no other purpose."""
