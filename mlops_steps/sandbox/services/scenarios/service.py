"""The scenarios of a node at work: trigger fires, the queue, the runs.

One run of a scenario at a time. What becomes of a fire while its scenario runs is a setting of the scenario, as in
DSS (``delayedTriggersBehavior``): it is cancelled (the default), or it waits for the end of the run; of several that
wait, the newest stays and the others are cancelled, unless the scenario says otherwise. On a node, a limited number of
scenarios run at once; further fires wait for a place.
"""

from __future__ import annotations

import logging
import threading
import weakref
from typing import Any

from mlops_steps.sandbox.node.errors import conflict, not_found
from mlops_steps.sandbox.node.futures import Futures
from mlops_steps.sandbox.node.node import Node
from mlops_steps.sandbox.node.store import now_ms
from mlops_steps.sandbox.services.flow.job_service import jobs_of
from mlops_steps.sandbox.services.projects.model import Project, active_bundle_id
from mlops_steps.sandbox.services.scenarios import records
from mlops_steps.sandbox.services.scenarios.model import definition_of
from mlops_steps.sandbox.services.scenarios.run import ScenarioRun
from mlops_steps.sandbox.services.scenarios.steps import STEPS

log = logging.getLogger(__name__)

PARALLEL_RUNS = 4
KEPT_FIRES = 1000
# Seconds that a stopped run has to end.
STOP_SECONDS = 20.0
MANUAL = {"id": "manual", "type": "manual", "name": "Manual trigger", "active": True, "delay": 0, "params": {}}


class Fire:
    """One firing of a trigger: waits, becomes a run, or is cancelled."""

    def __init__(self, project: Project, scenario_id: str, params: dict[str, Any], user: str) -> None:
        self.project = project
        self.scenario_id = scenario_id
        self.user = user
        self.cancelled = False
        self.run: ScenarioRun | None = None
        self.ended = threading.Event()
        self.time = now_ms()
        self.run_id = ""
        self.params = params

    @property
    def place(self) -> tuple[str, str]:
        """The scenario that it fires."""
        return self.project.key, self.scenario_id

    def document(self) -> dict[str, Any]:
        """The fire as the client reads it."""
        return {
            "projectKey": self.project.key,
            "scenarioId": self.scenario_id,
            "runId": self.run_id,
            "trigger": MANUAL,
            "timestamp": self.time,
            "params": self.params,
            "cancelled": self.cancelled,
            "runAsUser": {"realUserLogin": self.user},
        }


class ScenarioService:
    """The fires and runs since the node started."""

    def __init__(self, node: Node) -> None:
        # Not the node itself: the service lives as long as the node's futures.
        self._node = weakref.ref(node)
        self._lock = threading.RLock()
        self._fires: dict[str, Fire] = {}
        self._waiting: list[Fire] = []
        self._running: dict[tuple[str, str], ScenarioRun] = {}
        self._by_key: dict[str, ScenarioRun] = {}
        self._nested: set[str] = set()
        self._count = 0
        records.mark_interrupted(node)

    # ---- firing

    def fire(self, project: Project, scenario_id: str, params: dict[str, Any], user: str) -> Fire:
        """Fires the manual trigger of a scenario.

        :raises DssError: 404, there is no such scenario.
        """
        scenario = definition_of(project, scenario_id)
        fire = Fire(project, scenario_id, params, user)
        with self._lock:
            self._register(fire)
            if project.node.faults.take("trigger-cancelled", key=scenario_id) is not None:
                self._cancel(fire)
                return fire
            behaviour = scenario.get("delayedTriggersBehavior") or {}
            if self._is_busy(fire.place):
                suppressed = behaviour.get("suppressTriggersWhileRunning", True)
                if suppressed or not behaviour.get("delayWhileRunning", True):
                    self._cancel(fire)
                    return fire
            if behaviour.get("squashDelayedTriggers", True):
                for other in [other for other in self._waiting if other.place == fire.place]:
                    self._cancel(other)
            self._waiting.append(fire)
            self._start_waiting()
        return fire

    def _is_busy(self, place: tuple[str, str]) -> bool:
        run = self._running.get(place)
        return run is not None and run.result is None

    def _register(self, fire: Fire) -> None:
        self._count += 1
        fire.run_id = f"{fire.time}-{self._count}"
        self._fires[fire.run_id] = fire
        for old in list(self._fires)[:-KEPT_FIRES]:
            if self._fires[old].ended.is_set():
                del self._fires[old]

    def _cancel(self, fire: Fire) -> None:
        fire.cancelled = True
        fire.ended.set()
        if fire in self._waiting:
            self._waiting.remove(fire)

    def _start_waiting(self) -> None:
        for fire in list(self._waiting):
            if len(self._running) - len(self._nested) >= PARALLEL_RUNS:
                return
            if self._is_busy(fire.place):
                continue
            self._waiting.remove(fire)
            try:
                fire.run = self._start(fire)
            except Exception:
                # For instance: the scenario was deleted, or the node is stopping. The fire says that it did not run.
                log.warning("scenario %s of %s could not be started", fire.scenario_id, fire.project.key, exc_info=True)
                self._cancel(fire)

    def _start(self, fire: Fire, nested: bool = False) -> ScenarioRun:
        project = fire.project
        bundle = active_bundle_id(project.node, project.key) if project.node.type == "AUTOMATION" else None
        scenario = definition_of(project, fire.scenario_id)
        run = ScenarioRun(self.run_nested, STEPS, project, scenario, fire.document(), bundle, fire.user)
        self._running[fire.place] = run
        self._by_key[run.key] = run
        if nested:
            self._nested.add(run.key)
        try:
            project.node.futures.start(
                self._execute,
                fire,
                run,
                label=f"Scenario {run.label}",
                project_key=project.key,
                owner=fire.user,
                on_abort=run.abort,
                scenario_id=fire.scenario_id,
            )
        except BaseException:
            self._forget(fire, run)
            raise
        return run

    def _execute(self, fire: Fire, run: ScenarioRun) -> None:
        try:
            hanging = run.project.node.faults.take("scenario-hangs", key=fire.scenario_id)
            if hanging is not None:
                hanging.wait(lambda: run.aborted)
            run.execute()
        finally:
            with self._lock:
                self._forget(fire, run)
                node = self._node()
                if node is not None and not node.futures.closed:
                    self._start_waiting()

    def _forget(self, fire: Fire, run: ScenarioRun) -> None:
        # Its place may have been taken: a run counts as over when its result can be seen.
        if self._running.get(fire.place) is run:
            del self._running[fire.place]
        self._by_key.pop(run.key, None)
        self._nested.discard(run.key)
        fire.ended.set()

    def run_nested(self, project: Project, scenario_id: str, user: str) -> ScenarioRun:
        """Starts a scenario for a step of another one; it does not wait for a place.

        :raises DssError: 404, no such scenario; 409, it runs already.
        """
        definition_of(project, scenario_id)
        with self._lock:
            fire = Fire(project, scenario_id, {}, user)
            if self._is_busy(fire.place):
                raise conflict(f"scenario {scenario_id} of {project.key} is running already")
            self._register(fire)
            fire.run = self._start(fire, nested=True)
            return fire.run

    # ---- looking

    def get_fire(self, project: Project, scenario_id: str, trigger_run_id: str) -> Fire | None:
        """A fire since the node started."""
        with self._lock:
            fire = self._fires.get(trigger_run_id)
        return fire if fire is not None and fire.place == (project.key, scenario_id) else None

    def run_of_trigger(self, project: Project, scenario_id: str, trigger_run_id: str) -> dict[str, Any] | None:
        """The run that a fire became, None while it waits or when it was cancelled.

        :raises DssError: 404, there was no such fire.
        """
        fire = self.get_fire(project, scenario_id, trigger_run_id)
        if fire is not None:
            return fire.run.document() if fire.run is not None else None
        document = records.run_of_fire(project, scenario_id, trigger_run_id)
        if document is not None:
            return document
        raise not_found(f"scenario {scenario_id} of project {project.key} has no trigger fire {trigger_run_id}")

    def running(self, project: Project, scenario_id: str) -> ScenarioRun | None:
        """The run of a scenario that is under way."""
        with self._lock:
            place = (project.key, scenario_id)
            return self._running[place] if self._is_busy(place) else None

    def by_key(self, key: str) -> ScenarioRun:
        """The run whose own code calls.

        :raises DssError: 404, it has ended.
        """
        with self._lock:
            run = self._by_key.get(key)
        if run is None:
            raise not_found("this run of a scenario has ended")
        return run

    # ---- stopping

    def abort(self, project: Project, scenario_id: str) -> None:
        """Aborts the run of a scenario and cancels the fires that wait. Nothing happens when there are none."""
        with self._lock:
            for fire in [fire for fire in self._waiting if fire.place == (project.key, scenario_id)]:
                self._cancel(fire)
            run = self._running.get((project.key, scenario_id))
        if run is not None:
            run.abort()

    def stop_all(self, project: Project) -> None:
        """Aborts the runs of a project and waits for their end."""
        with self._lock:
            for fire in [fire for fire in self._waiting if fire.project.key == project.key]:
                self._cancel(fire)
            runs = [run for (key, _), run in self._running.items() if key == project.key]
        for run in runs:
            run.abort()
        for run in runs:
            run.finished.wait(STOP_SECONDS)


# A node gets new futures each time it starts, and so a new service.
_services: weakref.WeakKeyDictionary[Futures, ScenarioService] = weakref.WeakKeyDictionary()
_guard = threading.Lock()


def scenarios_at_work(node: Node) -> ScenarioService:
    """The service of a running node. The first call after a start ends the runs that a crash left."""
    with _guard:
        service = _services.get(node.futures)
        if service is None:
            service = _services[node.futures] = ScenarioService(node)
        return service


def stop_all_runs(project: Project) -> None:
    """Aborts every scenario run and every job of a project and waits for their end."""
    scenarios_at_work(project.node).stop_all(project)
    jobs = jobs_of(project.node).running(project.key)
    for job in jobs:
        job.abort()
    for job in jobs:
        job.finished.wait(STOP_SECONDS)
