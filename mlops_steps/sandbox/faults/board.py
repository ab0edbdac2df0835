"""The faults of one node, and the log of the requests that it got."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from fnmatch import fnmatchcase
from itertools import count
from typing import Any

from pydantic import ValidationError

from mlops_steps.sandbox.faults.kinds import FOR_EVER
from mlops_steps.sandbox.faults.model import BadFault, Fault, problems
from mlops_steps.sandbox.faults.operations import API_DEPLOYER_AGENT, DEPLOYER_AGENT, Templates

KEPT_REQUESTS = 20_000
# Seconds between two looks of one who waits for the end of a fault.
_LOOK = 0.02

_numbers = count(1)


class Active:
    """A fault in force: how often it could have struck (``seen``) and has (``fired``).

    ``gone`` is set when it is cleared: whatever it holds up goes on then.
    """

    def __init__(self, fault: Fault) -> None:
        self.id = f"f{next(_numbers)}"
        self.fault = fault
        self.seen = 0
        self.fired = 0
        self.gone = threading.Event()

    def strike(self) -> bool:
        """Counts one opportunity, and tells whether the fault takes it."""
        self.seen += 1
        if self.seen <= self.fault.after or (self.fault.count != FOR_EVER and self.fired >= self.fault.count):
            return False
        self.fired += 1
        return True

    def wait(self, stopped: Callable[[], bool] = lambda: False) -> None:
        """Waits until the fault is over: it was cleared, its seconds have passed, or ``stopped`` says so."""
        lasting = self.fault.seconds is None or self.fault.count == FOR_EVER
        limit = time.monotonic() + (self.fault.seconds or 0.0)
        while not (stopped() or self.gone.wait(_LOOK)):
            if not lasting and time.monotonic() >= limit:
                return

    def document(self) -> dict[str, Any]:
        """The fault and its counts as plain data."""
        return {
            "id": self.id,
            **self.fault.plain(),
            "seen": self.seen,
            "fired": self.fired,
            "text": self.fault.describe(),
        }


@dataclass
class LoggedRequest:
    """One request to the public API. ``operation`` has ``*`` for ids; ``status`` is 0 when no answer was begun.

    ``seconds`` is the time until the answer's end, ``fault`` the kind of the fault that struck, ``by`` who asked: the
    Project Deployer, or a client.
    """

    number: int
    time: str
    node: str
    method: str
    path: str
    operation: str
    status: int = 0
    seconds: float = 0.0
    by: str = "clients"
    fault: str | None = None

    def document(self) -> dict[str, Any]:
        """As plain data."""
        return asdict(self)


class NodeFaults:
    """The faults of one node. Safe to use from several threads."""

    def __init__(self, node_id: str, close_port: Callable[[Active], None] = lambda _active: None) -> None:
        """``close_port`` is called when the node is to refuse connections, until the fault is over."""
        self.node_id = node_id
        self.refusing = False
        self._close_port = close_port
        self._templates = Templates([])
        self._lock = threading.RLock()
        self._active: list[Active] = []
        self._due: list[Active] = []
        self._log: deque[LoggedRequest] = deque(maxlen=KEPT_REQUESTS)
        self._numbers = count(1)

    def serve(self, routes: Iterable[tuple[str, str]]) -> None:
        """Takes note of the paths that the node serves (method, path with parameters), the more specific first."""
        self._templates = Templates(routes)

    def add(self, fault: Fault | str, *, at_once: bool = True, **settings: Any) -> Active:
        """Puts a fault in force: a :class:`Fault`, or the name of a kind with its settings.

        Without ``at_once`` an outage waits for the next call of :meth:`answered`. Raises :class:`ValueError` when the
        settings make no sense.
        """
        if isinstance(fault, str):
            try:
                fault = Fault.model_validate({"kind": fault, **settings})
            except ValidationError as error:
                raise BadFault(list(problems(error))) from None
        active = Active(fault)
        with self._lock:
            self._active.append(active)
        self.answering(0)
        if at_once:
            self.answered()
        return active

    def clear(self, fault_id: str | None = None) -> int:
        """Ends all faults, or the one of this id, and what they hold up. Returns how many there were."""
        with self._lock:
            ended = [active for active in self._active if fault_id in (None, active.id)]
            self._active = [active for active in self._active if active not in ended]
        for active in ended:
            active.gone.set()
        return len(ended)

    def let_go(self) -> None:
        """Ends what the faults hold up, and keeps them in force: the node stops."""
        with self._lock:
            for number, active in enumerate(self._active):
                active.gone.set()
                self._active[number] = renewed = Active(active.fault)
                renewed.id, renewed.seen, renewed.fired = active.id, active.seen, active.fired

    def in_force(self) -> list[Active]:
        """All faults, those that have run out included."""
        with self._lock:
            return list(self._active)

    def take(self, *kinds: str, key: str = "") -> Active | None:
        """Asked by the code that does the work: the fault of one of the ``kinds`` that strikes now, or ``None``.

        ``key`` is what the work is about (a scenario's id, a deployment's id, a future's label); a fault with a target
        strikes only where that matches.
        """
        with self._lock:
            return self._strike([a for a in self._active if a.fault.kind in kinds and _is_target(a.fault, key)])

    def pick(self, request: LoggedRequest) -> Active | None:
        """The fault of a request that strikes now, or ``None``."""
        with self._lock:
            return self._strike(
                [
                    active
                    for active in self._active
                    if active.fault.what.place != "work"
                    and not _is_outage(active.fault)
                    and active.fault.by in (None, request.by)
                    and self._templates.matches(active.fault.operation, request.operation, request.method, request.path)
                ]
            )

    def answering(self, requests: int = 1) -> None:
        """Called when so many requests are about to be answered: an outage of the node may be due then."""
        with self._lock:
            for active in self._active:
                if _is_outage(active.fault):
                    active.seen += requests
                    if not active.fired and active.seen >= active.fault.after:
                        active.fired = 1
                        self._due.append(active)
                        self.refusing = True

    def answered(self) -> None:
        """Begins the outages that are due."""
        if not self._due:
            return
        with self._lock:
            due, self._due = self._due, []
        for active in due:
            self.refuse(active)

    def refuse(self, active: Active) -> None:
        """Closes the node's port until the fault is over; a request that still comes in is reset."""
        self._close_port(active)

    def health(self, key: str) -> str | None:
        """What the deployer is to say of the health of deployment ``key``; ``None`` for the truth."""
        active = self.take("health", key=key)
        words = active.fault.health if active else None
        return words[(active.fired - 1) % len(words)] if active and words else None

    def begin(self, method: str, path: str, agent: str = "") -> LoggedRequest:
        """Notes a request; the caller fills in how it ended."""
        now = datetime.now(timezone.utc).isoformat(timespec="milliseconds")
        operation = self._templates.of(method, path)
        with self._lock:
            entry = LoggedRequest(next(self._numbers), now, self.node_id, method, path, operation)
            entry.by = "deployer" if agent in (DEPLOYER_AGENT, API_DEPLOYER_AGENT) else "clients"
            self._log.append(entry)
        return entry

    def requests(self) -> list[LoggedRequest]:
        """The requests to the public API since the start or :meth:`clear_requests`, oldest first.

        Those of the node's own child processes are left out.
        """
        with self._lock:
            return list(self._log)

    def clear_requests(self) -> None:
        """Empties the log."""
        with self._lock:
            self._log.clear()

    @staticmethod
    def _strike(candidates: Iterable[Active]) -> Active | None:
        """All see the opportunity, one takes it."""
        found = None
        for active in candidates:
            if found is None:
                found = active if active.strike() else None
            else:
                active.seen += 1
        return found


def _is_outage(fault: Fault) -> bool:
    """Whether it concerns the node as such, not a certain request."""
    return fault.kind == "refuse" and fault.operation is None


def _is_target(fault: Fault, key: str) -> bool:
    return fault.target is None or fnmatchcase(key, fault.target)
