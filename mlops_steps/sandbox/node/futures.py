"""Long work of a node, as the client polls it."""

from __future__ import annotations

import contextvars
import logging
import secrets
import threading
from collections.abc import Callable
from typing import Any

from mlops_steps.sandbox.faults.board import Active, NodeFaults
from mlops_steps.sandbox.node.errors import DssError, conflict, not_found
from mlops_steps.sandbox.node.store import now_ms

KEPT_FINISHED = 500
FUTURE_FAULTS = ("future-never-ends", "future-without-result", "future-lost")

log = logging.getLogger(__name__)
_current: contextvars.ContextVar[Future | None] = contextvars.ContextVar("current_future", default=None)


class Aborted(Exception):
    """Raised inside the work of a future that was aborted."""


class Future:
    """One piece of work in a thread of its own. Its work may call :meth:`check` where it can stop."""

    def __init__(
        self,
        label: str,
        project_key: str | None,
        owner: str,
        on_abort: Callable[[], None] | None,
        scenario_id: str | None = None,
    ) -> None:
        self.job_id = secrets.token_hex(8)
        self.label = label
        self.project_key = project_key
        self.owner = owner
        self.on_abort = on_abort
        self.scenario_id = scenario_id
        self.start_ms = now_ms()
        self.end_ms: int | None = None
        self.result: Any = None
        self.error: DssError | None = None
        self.abort_requested = threading.Event()
        self.done = threading.Event()

    def check(self) -> None:
        """Raises :class:`Aborted` when somebody aborted this future."""
        if self.abort_requested.is_set():
            raise Aborted(self.label)

    def run(self, work: Callable[..., Any], args: tuple[Any, ...]) -> None:
        """Does the work and keeps its result or its error."""
        _current.set(self)
        try:
            self.result = work(*args)
        except Aborted:
            pass
        except DssError as error:
            self.error = error
        except Exception as error:
            log.exception("future %s (%s) failed", self.job_id, self.label)
            self.error = DssError(500, f"java.lang.RuntimeException/{type(error).__name__}", str(error))
        finally:
            self.end_ms = now_ms()
            self.done.set()

    def state(self, peek: bool = False) -> dict[str, Any]:
        """The state as the client reads it.

        A future that failed raises its error here, unless ``peek``; one that was aborted has a result that is missing.
        """
        finished = self.done.is_set()
        if finished and self.error is not None and not peek:
            raise self.error
        state: dict[str, Any] = {
            "jobId": self.job_id,
            "alive": not finished,
            "hasResult": finished,
            "aborted": finished and self.abort_requested.is_set() and self.result is None,
            "unknown": False,
            "owner": self.owner,
            "ownerDisplayName": self.owner,
            "startTime": self.start_ms,
            "runningTime": (self.end_ms or now_ms()) - self.start_ms,
            "payload": {
                "displayName": self.label,
                "extras": {"scenarioId": self.scenario_id} if self.scenario_id else {},
                "targets": self._targets(),
            },
            "progress": {"states": []},
        }
        if finished and not peek and self.result is not None:
            state["result"] = self.result
        return state

    def begun(self) -> dict[str, Any]:
        """The answer to the request that has begun it. It may have ended since, which the client asks for later.

        The client takes an answer that says ``hasResult`` as the whole result, and asks no more.
        """
        return {**self.state(peek=True), "alive": True, "hasResult": False, "aborted": False}

    def _targets(self) -> list[dict[str, Any]]:
        if self.scenario_id:
            return [{"projectKey": self.project_key, "objectType": "SCENARIO", "objectId": self.scenario_id}]
        return [{"projectKey": self.project_key}] if self.project_key else []


def current_future() -> Future | None:
    """The future whose work the calling thread does, if any."""
    return _current.get()


class Futures:
    """The futures of one node. They live in memory, as in DSS: a restart forgets them."""

    def __init__(self, faults: NodeFaults | None = None) -> None:
        self._faults = faults
        self._futures: dict[str, Future] = {}
        self._lock = threading.Lock()
        self._closed = False
        # A node gets new futures each time it starts: this is when that was, in milliseconds.
        self.started_on = now_ms()

    def start(
        self,
        work: Callable[..., Any],
        *args: Any,
        label: str,
        project_key: str | None = None,
        owner: str = "admin",
        on_abort: Callable[[], None] | None = None,
        scenario_id: str | None = None,
    ) -> Future:
        """Runs ``work(*args)`` in a thread of its own and returns at once.

        ``on_abort`` is called when the future is aborted; the work itself ends where it calls ``check()``.
        ``scenario_id`` marks the run of a scenario.
        """
        future = Future(label, project_key, owner, on_abort, scenario_id)
        with self._lock:
            if self._closed:
                raise conflict("The node is stopping")
            self._forget_old()
            self._futures[future.job_id] = future
        fault = self._faults.take(*FUTURE_FAULTS, key=label) if self._faults and not scenario_id else None
        if fault is not None:
            work = self._spoiled(work, future, fault)
        thread = threading.Thread(target=future.run, args=(work, args), name=f"future-{future.job_id}", daemon=True)
        thread.start()
        return future

    def _spoiled(self, work: Callable[..., Any], future: Future, fault: Active) -> Callable[..., Any]:
        """The work of a future that a fault has struck."""
        if fault.fault.kind == "future-lost":
            with self._lock:
                del self._futures[future.job_id]

        def spoiled(*args: Any) -> Any:
            result = work(*args) if fault.fault.act == "after" else None
            if fault.fault.kind == "future-never-ends":
                fault.wait(future.abort_requested.is_set)
                future.check()
                return result
            return None

        return spoiled

    def get(self, job_id: str) -> Future:
        """The future of this id. Raises 404."""
        with self._lock:
            future = self._futures.get(job_id)
        if future is None:
            raise not_found(f"future {job_id} does not exist, or it ended long ago")
        return future

    def peek(self, job_id: str) -> dict[str, Any]:
        """The state without the result, and without raising the error of a future that failed."""
        return self.get(job_id).state(peek=True)

    def abort(self, job_id: str) -> None:
        """Asks the work to stop. Nothing happens when it has ended."""
        future = self.get(job_id)
        if future.done.is_set():
            return
        future.abort_requested.set()
        if future.on_abort is not None:
            future.on_abort()

    def list(self) -> list[Future]:
        """The futures that are running, oldest first."""
        with self._lock:
            return [future for future in self._futures.values() if not future.done.is_set()]

    @property
    def closed(self) -> bool:
        """Whether the node is stopping: nothing can be started any more."""
        return self._closed

    def close(self, timeout: float = 5.0) -> None:
        """Aborts what runs and waits up to ``timeout`` seconds for all of it together."""
        with self._lock:
            self._closed = True
            running = [future for future in self._futures.values() if not future.done.is_set()]
        for future in running:
            self.abort(future.job_id)
        limit = now_ms() + timeout * 1000
        for future in running:
            future.done.wait(max(0.0, (limit - now_ms()) / 1000))

    def _forget_old(self) -> None:
        finished = [future for future in self._futures.values() if future.done.is_set()]
        for future in finished[: max(0, len(finished) - KEPT_FINISHED)]:
            del self._futures[future.job_id]
