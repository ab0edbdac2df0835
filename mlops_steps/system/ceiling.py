"""A ceiling for the requests of this process to one node, however many of its threads ask it."""

from __future__ import annotations

import threading
import time

from mlops_steps.system import cancellation
from mlops_steps.system.waiting import Deadline


class Ceiling:
    """At most ``rate`` requests in any second, evenly spread once a second's worth was asked at once."""

    def __init__(self, rate: float) -> None:
        self.rate = rate
        self._lock = threading.Lock()
        # When the next request would be due, if all were spread evenly.
        self._due = 0.0

    def wait(self, deadline: Deadline) -> None:
        """Returns when a request may be sent, or at the deadline."""
        with self._lock:
            now = time.monotonic()
            # A fifth of a second's worth may be sent at once: a step asks a handful of things side by side.
            self._due = max(self._due, now - 0.2) + 1.0 / self.rate
            pause = self._due - now
        if pause > 0.0:
            cancellation.pause(min(pause, deadline.remaining))


_ceilings: dict[tuple[str, float], Ceiling] = {}
_lock = threading.Lock()


def ceiling_of(origin: str, rate: float) -> Ceiling:
    """The ceiling of the node, the same for all connections of this process."""
    with _lock:
        return _ceilings.setdefault((origin, rate), Ceiling(rate))
