"""Runs scenarios side by side, each with a limit of its own, and keeps what is known of each."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from queue import Empty, SimpleQueue

from mlops_steps.config import ConnectionSettings, Settings
from mlops_steps.dss import scenarios
from mlops_steps.dss.scenarios import ScenarioOutcome
from mlops_steps.dss.session import Dss, connect
from mlops_steps.errors import MlopsError, Unreachable
from mlops_steps.system.console import Console
from mlops_steps.system.pace import pace
from mlops_steps.system.waiting import Deadline, duration


@dataclass(frozen=True)
class Attempt:
    """The ``name`` that all runs of one attempt carry: after a crash, the runs of this name are taken.

    Unless it is ``resumed`` by its record, failed ones are run again.
    """

    name: str
    resumed: bool = False


@dataclass(frozen=True)
class Ran:
    """What came of one scenario: its outcome, or the error because of which there is none."""

    scenario_id: str
    outcome: ScenarioOutcome | None = None
    error: MlopsError | None = None


class ScenarioRuns:
    """The runs of some scenarios of a project on one Automation node."""

    def __init__(
        self,
        settings: Settings,
        node: ConnectionSettings,
        project_key: str,
        scenario_ids: Sequence[str],
        console: Console,
        attempt: Attempt,
    ) -> None:
        self._settings = settings
        self._node = node
        self._project_key = project_key
        self._ids = list(scenario_ids)
        self._console = console
        self._attempt = attempt
        self._waiting = deque(self._ids)
        self._ran: dict[str, Ran] = {}
        self._unexpected: list[BaseException] = []
        self._total = Deadline(settings.test.total_timeout)
        self._unreachable: Unreachable | None = None
        self._stopped = threading.Event()
        self._working = 0
        self._ended: SimpleQueue[None] = SimpleQueue()

    @property
    def unreachable(self) -> bool:
        """Whether the node gave no answer, after retries."""
        return self._unreachable is not None

    @property
    def results(self) -> list[Ran]:
        """What is known so far, in the order in which the scenarios were given."""
        return [self._ran[identifier] for identifier in self._ids if identifier in self._ran]

    def run(self) -> None:
        """Runs them all and returns when each has a result, ``test.total_timeout`` seconds later at most, about.

        When it is interrupted, what runs is aborted on the node first.
        """
        # Daemons: a thread that hangs on an answer must not keep the process alive after a signal.
        try:
            for _ in range(min(self._settings.test.parallel, len(self._ids))):
                threading.Thread(target=self._work, daemon=True).start()
                self._working += 1
            while self._working:
                self._await_worker(0.5)  # in pieces, so that a signal handler gets its turn
        except BaseException:
            self._stopped.set()
            grace = Deadline(pace().stop)
            while self._working and not grace.passed:
                self._await_worker(grace.remaining)
            raise
        if self._unexpected:
            raise self._unexpected[0]

    def _await_worker(self, seconds: float) -> None:
        """Waits for the end of a thread.

        Not with Thread.join(): up to Python 3.12, one that a signal handler's exception has left takes the thread for
        ended.
        """
        with suppress(Empty):
            self._ended.get(timeout=seconds)
            self._working -= 1

    def _work(self) -> None:
        """What each thread does. It has a connection of its own, as the client is not made for several threads."""
        try:
            with connect(self._settings, self._node) as dss:
                while not self._stopped.is_set():
                    try:
                        identifier = self._waiting.popleft()
                    except IndexError:
                        return
                    self._ran[identifier] = self._run_one(dss, identifier)
        except BaseException as error:  # handed over to the main thread
            self._unexpected.append(error)
        finally:
            self._ended.put(None)

    def _run_one(self, dss: Dss, identifier: str) -> Ran:
        if self._unreachable:
            return Ran(identifier, error=Unreachable(f"not run: {self._unreachable.message}"))
        if self._total.passed:
            message = f"not run: all scenarios together have had their {duration(self._total.seconds)}"
            return Ran(identifier, ScenarioOutcome(identifier, "NOT_STARTED", message=message))
        limit = self._total.at_most(self._settings.test.timeout).seconds
        try:
            with self._console.waiting(f"scenario {identifier}") as wait:
                outcome = scenarios.run_scenario(
                    dss,
                    self._project_key,
                    identifier,
                    limit=max(limit, 1.0),
                    on_state=wait.state,
                    stopped=self._stopped.is_set,
                    token=self._attempt.name,
                    unless_failed=not self._attempt.resumed,
                )
        except MlopsError as error:
            if isinstance(error, Unreachable):
                self._unreachable = error
            self._console.error(f"scenario {identifier}: {error.message}")
            return Ran(identifier, error=error)
        self._say(outcome)
        return Ran(identifier, outcome)

    def _say(self, outcome: ScenarioOutcome) -> None:
        text = f"scenario {outcome.scenario_id}: {outcome.outcome} in {duration(outcome.seconds)}"
        if outcome.message:
            text += f": {outcome.message.splitlines()[0]}"
        if outcome.outcome == "SUCCESS":
            self._console.good(text)
        elif outcome.outcome == "WARNING":
            self._console.warn(text)
        else:
            self._console.error(text)
