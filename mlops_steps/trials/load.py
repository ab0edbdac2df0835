"""A measured load: calls arrive at a rate, whether or not earlier ones have been answered.

A loop that sends the next call when the last one is answered goes easy on a slow server: the calls that would have
queued are never made. Here each call has a time at which it is due, and its latency counts from then. What it waits
for, on the server or for one of the ``under_way`` connections, is in it.
"""

from __future__ import annotations

import math
import random
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Any, Protocol

from mlops_steps.config.api_load import LoadSettings
from mlops_steps.dss.api_node import Prediction
from mlops_steps.errors import NodeError
from mlops_steps.system.text import one_line
from mlops_steps.system.waiting import duration

# Seconds by which this machine may be late with a call that nothing holds up, and a tenth of the smallest limit.
_LATE, _LATE_SHARE = 0.05, 0.1
# Every run has the same gaps between its calls.
_SEED = 20
# Seconds after which a wait looks whether it is over.
_PIECE = 0.5
# Seconds between two states that are shown.
_SAY = 10.0
_MOST_TEXTS = 20


class Scores(Protocol):
    """An API node, as a load needs it: it must not ask again by itself."""

    @property
    def name(self) -> str:
        """The node's name."""

    def predict(self, endpoint: str, features: dict[str, Any]) -> Prediction:
        """The answer to one record. Raises :class:`NodeError`."""


@dataclass(frozen=True)
class Sample:
    """A measured call. ``due``: seconds since the first one; ``seconds`` from then to its answer."""

    node: str
    due: float
    seconds: float
    failed: bool = False


@dataclass
class Measurement:
    """What a load has found. ``seconds``: from the end of the warm-up to the last answer.

    ``stopped``: why it ended early. ``late``: calls that this machine sent late by itself. ``errors``: what was said of
    failed calls, and how often, those of the warm-up too.
    """

    planned: int
    samples: list[Sample]
    seconds: float
    errors: dict[str, int]
    late: int = 0
    stopped: str = ""


@dataclass(frozen=True)
class _Call:
    number: int
    due: float
    node: Scores
    record: dict[str, Any]
    #: Whether a connection was free when it was due.
    at_once: bool


class Load:
    """One run. ``patience``: seconds after which a call that nobody has sent is given up; it has failed then."""

    def __init__(
        self,
        settings: LoadSettings,
        nodes: Sequence[Scores],
        endpoint: str,
        records: Sequence[dict[str, Any]],
        version: str,
        patience: float,
    ) -> None:
        self._settings = settings
        self._nodes = nodes
        self._endpoint = endpoint
        self._records = records
        self._version = version
        self._patience = patience
        self._warm_up = settings.warm_up_calls
        allowed = [limit / 1000 for limit in (settings.p50, settings.p95, settings.p99) if limit is not None]
        self._lateness = max(_LATE, _LATE_SHARE * min(allowed, default=10.0))
        # More failed calls than this, and the limit cannot be kept any more.
        self._most_errors = math.floor(settings.errors * settings.planned + 1e-9)
        self._calls: SimpleQueue[_Call | None] = SimpleQueue()
        self._lock = threading.Lock()
        self._ended = threading.Condition(self._lock)
        self._threads = 0
        self._open = 0
        self._done = 0
        self._failed = 0
        self._late = 0
        self._samples: list[Sample] = []
        self._errors: dict[str, int] = {}
        self._stopped = ""
        self._first = 0.0
        self._last = 0.0

    def run(self, say: Callable[[str], None] = lambda _state: None) -> Measurement:
        """Sends all calls, and returns when each is answered or given up. It stops itself when too many have failed."""
        times = self._times()
        sent, begin = 0, time.monotonic()
        self._first = begin + self._warm_up / self._settings.rate
        # Not earlier, however soon the last call comes.
        self._last = self._first + self._settings.measured_seconds
        # Off a terminal each state is a line of the log.
        every = max(1, min(round(self._settings.rate * _SAY), len(times) // 10))
        try:
            for due in times:
                if not self._waited_until(begin + due):
                    break
                self._send(sent, begin + due)
                sent += 1
                if sent % every == 0:
                    say(f"{sent} of {len(times)} calls, {self._failed} failed, {self._open} under way")
            self._drain()
        finally:
            self._stopped = self._stopped or ("" if sent == len(times) else "interrupted")
            for _ in range(self._threads):
                self._calls.put(None)
        with self._lock:
            seconds = self._last - self._first
            errors, planned = dict(self._errors), self._settings.planned
            return Measurement(planned, list(self._samples), seconds, errors, self._late, self._stopped)

    def _times(self) -> list[float]:
        """When each call is due, in seconds. In both parts they arrive at random, as many as the rate says."""
        random_times = random.Random(_SEED)
        warm_up = self._warm_up / self._settings.rate
        first = sorted(random_times.random() * warm_up for _ in range(self._warm_up))
        measured = sorted(random_times.random() for _ in range(self._settings.planned))
        return [*first, *(warm_up + part * self._settings.measured_seconds for part in measured)]

    def _waited_until(self, due: float) -> bool:
        """Waits until the call is due; returns whether it still is to be made."""
        while (pause := due - time.monotonic()) > 0 and not self._stopped:
            time.sleep(min(pause, _PIECE))
        return not self._stopped

    def _send(self, number: int, due: float) -> None:
        with self._lock:
            self._open += 1
            free = self._open <= self._settings.under_way
            start = self._open > self._threads and self._threads < self._settings.under_way
            self._threads += start
        node = self._nodes[number % len(self._nodes)]
        # By another step than the nodes, so that each node gets each record.
        record = self._records[(number // len(self._nodes)) % len(self._records)]
        self._calls.put(_Call(number, due, node, record, free))
        if start:
            threading.Thread(target=self._work, name="load", daemon=True).start()

    def _work(self) -> None:
        while (call := self._calls.get()) is not None:
            sent = time.monotonic()
            error = self._error_of(call, sent)
            self._note(call, sent, time.monotonic(), error)

    def _error_of(self, call: _Call, sent: float) -> str:
        """Makes the call; returns what is wrong with its answer, or "" when nothing is."""
        if self._stopped:
            return "not sent"
        if sent - call.due > self._patience:
            return f"not sent: {duration(self._patience)} after it was due all connections were still waiting"
        try:
            answer = call.node.predict(self._endpoint, call.record)
        except NodeError as error:
            return error.message
        except Exception as error:
            return f"{type(error).__name__}: {error}"
        return "" if answer.generation == self._version else f"{call.node.name}: version {answer.generation} answered"

    def _note(self, call: _Call, sent: float, done: float, error: str) -> None:
        with self._lock:
            self._open -= 1
            self._done += 1
            if not self._stopped:
                self._late += call.at_once and sent - call.due > self._lateness
                if call.number >= self._warm_up:
                    since = call.due - self._first
                    self._samples.append(Sample(call.node.name, since, done - call.due, bool(error)))
                    self._last = max(self._last, done)
                if error:
                    self._fail(error)
            self._ended.notify_all()

    def _fail(self, error: str) -> None:
        self._failed += 1
        text = one_line(error, 300)
        if text in self._errors or len(self._errors) < _MOST_TEXTS:
            self._errors[text] = self._errors.get(text, 0) + 1
        if self._failed > self._most_errors:
            self._stopped = f"{self._failed} calls had failed, more than the limit allows of {self._settings.planned}"

    def _drain(self) -> None:
        """Waits for what is under way: each call ends at its own time limit."""
        with self._ended:
            while self._open and not self._stopped:
                self._ended.wait(_PIECE)  # in pieces, so that a signal handler gets its turn
