"""One run of a scenario: its steps one after the other, how each is tried and ends, its outcome, its files."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from mlops_steps.sandbox.node.errors import DssError, bad_request, not_supported
from mlops_steps.sandbox.node.store import now_ms
from mlops_steps.sandbox.runtime.lib.dataiku._layout import LayoutError
from mlops_steps.sandbox.runtime.process import Child, ChildResult, End
from mlops_steps.sandbox.services.flow.children import check_code_env, make_child, run_child, thrown
from mlops_steps.sandbox.services.projects.model import Project
from mlops_steps.sandbox.services.scenarios import records
from mlops_steps.sandbox.services.scenarios.model import scenarios_of
from mlops_steps.sandbox.services.scenarios.step_context import (
    ABORTED,
    FAILED,
    SUCCESS,
    WARNING,
    Run,
    StepAborted,
    StepContext,
    StepFailed,
    StepWarned,
    clock,
    worst,
)


class ScenarioRun:
    """A run under way. :meth:`execute` does the work in the calling thread."""

    def __init__(
        self,
        start_nested: Callable[[Project, str, str], Run],
        step_types: Mapping[str, Callable[[StepContext], None]],
        project: Project,
        scenario: dict[str, Any],
        fire: dict[str, Any],
        bundle_id: str | None,
        user: str,
    ) -> None:
        self._start_nested = start_nested
        self.step_types = step_types
        self.project = project
        self.scenario = scenario
        self.fire = fire
        self.bundle_id = bundle_id
        self.user = user
        # The id by which the run's own code calls the node; it cannot be guessed from outside.
        self.key = secrets.token_hex(16)
        self.variables: dict[str, Any] = {}
        self.step_runs: list[dict[str, Any]] = []
        self.result: dict[str, Any] | None = None
        self.start = now_ms()
        self.end = 0
        self.finished = threading.Event()
        self._aborted = threading.Event()
        self._cancel: dict[int, Callable[[], None]] = {}
        self._lock = threading.RLock()
        self.run_id = self._new_id()
        self.dir = records.run_dir(project, scenario["id"], self.run_id)
        self._save()

    def _new_id(self) -> str:
        for _ in range(1000):
            run_id = records.run_stamp(self.start)
            try:
                records.run_dir(self.project, self.scenario["id"], run_id).mkdir(parents=True)
            except FileExistsError:
                self.start += 1
                continue
            return run_id
        raise DssError(500, "java.io.IOException", f"no free id for a run of scenario {self.scenario['id']}")

    # ---- what happened

    @property
    def label(self) -> str:
        """How messages call the run."""
        return f"scenario {self.scenario['id']} of {self.project.key}"

    @property
    def aborted(self) -> bool:
        """Whether somebody aborted the run."""
        return self._aborted.is_set()

    def document(self) -> dict[str, Any]:
        """The run as the client reads it: ``scenarioRun`` and ``stepRuns``."""
        with self._lock:
            run: dict[str, Any] = {
                "runId": self.run_id,
                "start": self.start,
                "end": self.end,
                "scenario": self.scenario,
                "trigger": self.fire,
                "runAsUser": {"realUserLogin": self.user, "via": []},
                "variables": dict(self.variables),
                "bundleId": self.bundle_id,
                "reportersStates": [],
            }
            if self.result is not None:
                run["result"] = self.result
            return {"scenarioRun": run, "stepRuns": [dict(step_run) for step_run in self.step_runs]}

    def _save(self) -> None:
        with self._lock:
            records.save(self.dir, self.document())

    def log(self, line: str) -> None:
        """Adds a line to the log of the run."""
        with self._lock, (self.dir / records.LOG_FILE).open("a", encoding="utf-8") as stream:
            stream.write(f"[{clock()}] {line}\n")

    # ---- aborting

    def wait_aborted(self, seconds: float) -> bool:
        """Waits so long, and says whether the run was aborted meanwhile."""
        return self._aborted.wait(seconds)

    def abort(self) -> None:
        """Ends the run and everything that it has started."""
        self._aborted.set()
        with self._lock:
            cancels = list(self._cancel.values())
        for cancel in cancels:
            cancel()

    @contextmanager
    def cancels(self, cancel: Callable[[], None]) -> Iterator[None]:
        """While the block runs, aborting the run calls ``cancel``."""
        key = id(cancel)
        with self._lock:
            self._cancel[key] = cancel
        try:
            if self.aborted:
                cancel()
            yield
        finally:
            with self._lock:
                self._cancel.pop(key, None)

    def watch(self, child: Child, work: Callable[[], ChildResult]) -> ChildResult:
        """Does ``work``, ending ``child`` when the run is aborted."""
        with self.cancels(child.abort):
            return work()

    # ---- the work

    def make_child(self, label: str, **what: Any) -> Child:
        """A child process that knows this run."""
        scenario = {"key": self.key, "id": self.scenario["id"], "runId": self.run_id, "trigger": self.fire}
        return make_child(self.project, label, variables=self.variables, scenario=scenario, **what)

    def run_nested(self, project: Project, scenario_id: str) -> Run:
        """Starts another scenario for a step of this run; it does not wait for a place.

        :raises DssError: 404, no such scenario; 409, it runs already.
        """
        return self._start_nested(project, scenario_id, self.user)

    def execute(self) -> None:
        """Runs the scenario; never raises. The outcome is in ``result``."""
        self.log(f"Run {self.run_id} of {self.label} starts")
        outcome, error = FAILED, None
        try:
            outcome, error = self._custom() if self.scenario["type"] == "custom_python" else self._step_based()
            active = self.project.node.faults.take("scenario-ends", key=self.scenario["id"])
            if active is not None and active.fault.outcome:
                outcome = active.fault.outcome
                error = None if outcome == SUCCESS else thrown({"clazz": "Fault", "message": f"was to end {outcome}"})
        except (DssError, LayoutError) as failure:
            error = thrown(failure)
        except Exception as failure:
            error = thrown(failure)
            raise
        finally:
            if self.aborted:
                outcome, error = ABORTED, thrown({"clazz": "Aborted", "message": f"{self.label} was aborted"})
            self._end(outcome, error)

    def _end(self, outcome: str, error: dict[str, Any] | None) -> None:
        end = now_ms()
        reason = f": {error['message']}" if error else ""
        self.log(f"{outcome} after {(end - self.start) / 1000:.1f} s{reason}")
        result: dict[str, Any] = {
            "type": "SCENARIO_DONE",
            "target": self._target(),
            "outcome": outcome,
            "runId": self.run_id,
        }
        result.update(start=self.start, end=end, **({"thrown": error} if error else {}))
        # In memory and on disk at once, and last: who sees the result finds everything else done.
        with self._lock:
            self.end, self.result = end, result
            self._save()
        records.forget_old(self.project, self.scenario["id"])
        self.finished.set()

    def _target(self) -> dict[str, Any]:
        return {"type": "SCENARIO", "projectKey": self.project.key, "scenarioId": self.scenario["id"]}

    def _step_based(self) -> tuple[str, dict[str, Any] | None]:
        outcome: str = SUCCESS
        error: dict[str, Any] | None = None
        for number, step in enumerate(self.scenario["params"]["steps"]):
            if self.aborted:
                break
            name = step.get("name") or step.get("id") or f"step {number + 1}"
            if not wanted(step, outcome):
                self.log(f"Step {name} is skipped: the scenario is {outcome} so far")
                continue
            if step.get("resetScenarioStatus"):
                outcome, error = SUCCESS, None
            step_run = run_step(self, step)
            outcome = worst(outcome, step_run["result"]["outcome"])
            error = error or step_run["result"].get("thrown")
        return outcome, error if outcome == FAILED else None

    def _custom(self) -> tuple[str, dict[str, Any] | None]:
        identity = self.scenario["id"]
        check_code_env(self.project, self.scenario["params"].get("envSelection"), self.label)
        script = scenarios_of(self.project).payload(identity, "custom_python") or ""
        child = self.make_child(f"scenario {identity}", script=script)
        log = self.dir / records.LOG_FILE
        result = self.watch(child, lambda: run_child(self.project, child, log))
        if result.end is End.ABORTED:
            return ABORTED, None
        if result.end is not End.DONE:
            return FAILED, thrown(result.error or {"clazz": "ProcessFailed", "message": "the process failed"})
        # A failed step that the code did not let become fatal is not a failure of the scenario, but worth a look.
        clean = all(step.get("result", {}).get("outcome") == SUCCESS for step in self.step_runs)
        return (SUCCESS if clean else WARNING), None

    def begin_step(self, step: dict[str, Any]) -> dict[str, Any]:
        """Notes that a step starts; returns its run."""
        with self._lock:
            number = len(self.step_runs) + 1
            kind = step.get("type")
            given = {"id": f"step_{number}", "name": step.get("id") or kind or f"step {number}"}
            step_run: dict[str, Any] = {
                "runId": f"{number:03d}",
                "start": now_ms(),
                "end": 0,
                "step": {**given, **{name: value for name, value in step.items() if value not in (None, "")}},
                "variables": {},
                "additionalReportItems": [],
            }
            self.step_runs.append(step_run)
            self._save()
        self.log(f"Step {step_run['step']['name']} ({kind}) starts")
        return step_run

    def end_step(self, context: StepContext, outcome: str, error: dict[str, Any] | None) -> None:
        """Notes how a step has ended."""
        step_run = context.step_run
        if error:
            context.log(f"{outcome}: {error['message']}")
        with self._lock:
            step_run["end"] = now_ms()
            result: dict[str, Any] = {
                "type": "STEP_DONE",
                "target": {**self._target(), "type": "SCENARIO_STEP", "stepId": step_run["step"].get("id")},
                "outcome": outcome,
                "start": step_run["start"],
                "end": step_run["end"],
                "runId": step_run["runId"],
            }
            if error and outcome == FAILED:
                result["thrown"] = error
            elif error:
                result["warnings"] = {"totalCount": 1, "warnings": {"STEP": {"count": 1, "stored": [error]}}}
            step_run["result"] = result
            text = context.log_path.read_text(encoding="utf-8", errors="replace") if context.log_path.is_file() else ""
            with (self.dir / records.LOG_FILE).open("a", encoding="utf-8") as stream:
                stream.write(text if text.endswith("\n") or not text else text + "\n")
        seconds = (step_run["end"] - step_run["start"]) / 1000
        self.log(f"Step {step_run['step']['name']} {outcome} after {seconds:.1f} s")
        self._save()

    # ---- what the run's own code asks for

    def set_variables(self, values: Mapping[str, Any]) -> None:
        """Defines variables for the rest of the run."""
        with self._lock:
            self.variables.update(values)
        self._save()

    def add_report_item(self, item: dict[str, Any]) -> None:
        """Adds an item to the report of the step that runs."""
        with self._lock:
            running = [step for step in self.step_runs if "result" not in step]
            if not running:
                raise bad_request("no step is running to which an item could be added")
            running[-1]["additionalReportItems"].append(item)


def wanted(step: Mapping[str, Any], outcome: str) -> bool:
    """Whether a step runs when the scenario is at ``outcome``.

    :raises DssError: 400, a condition that the sandbox cannot evaluate.
    """
    condition = step.get("runConditionType") or "RUN_IF_STATUS_MATCH"
    if step.get("enabled") is False or condition == "DISABLED":
        return False
    if condition == "RUN_ALWAYS":
        return True
    if condition != "RUN_IF_STATUS_MATCH":
        raise not_supported(f"run condition {condition!r} of step {step.get('name')!r}")
    return outcome in (step.get("runConditionStatuses") or (SUCCESS, WARNING))


def run_step(run: ScenarioRun, step: dict[str, Any]) -> dict[str, Any]:
    """Runs one step, again when it may be retried, and returns its run."""
    tries = 1 + max(0, int(step.get("maxRetriesOnFail") or 0))
    for attempt in range(1, tries + 1):
        step_run = _try_step(run, step)
        if step_run["result"]["outcome"] != FAILED or attempt == tries:
            break
        pause = float(step.get("delayBetweenRetries") or 0)
        run.log(f"Step {step_run['step']['name']} is tried again in {pause:g} s")
        if run.wait_aborted(pause):
            break
    return step_run


def _try_step(run: ScenarioRun, step: dict[str, Any]) -> dict[str, Any]:
    step_run = run.begin_step(step)
    context = StepContext(run, step_run)
    outcome, error = _work(context, run.step_types)
    if run.aborted:
        outcome = ABORTED
    if outcome == FAILED and context.params.get("proceedOnFailure"):
        outcome = WARNING
    run.end_step(context, outcome, error)
    return step_run


def _work(
    context: StepContext, step_types: Mapping[str, Callable[[StepContext], None]]
) -> tuple[str, dict[str, Any] | None]:
    """The outcome, and the error of a step that did not succeed."""
    kind = context.step.get("type")
    try:
        work = step_types.get(str(kind))
        if work is None:
            raise not_supported(f"scenario step {context.step['name']!r} of type {kind!r}")
        work(context)
    except StepFailed as failure:
        return FAILED, failure.error
    except StepWarned as warning:
        return WARNING, thrown({"clazz": "Warning", "message": str(warning)})
    except StepAborted:
        return ABORTED, None
    except Exception as failure:
        # The run goes on to its end, with this step as what failed.
        return FAILED, thrown(failure)
    return SUCCESS, None
