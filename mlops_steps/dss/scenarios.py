"""Scenarios of a project: list them, run one with a time limit, fetch what a run has left."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

from mlops_steps.dss import fires
from mlops_steps.dss.http import LONGEST_MESSAGE
from mlops_steps.dss.session import Dss, expect
from mlops_steps.dss.times import milliseconds
from mlops_steps.dss.url_parts import node_id
from mlops_steps.errors import DeadlineExceeded, NodeError, Refusal, Unreachable
from mlops_steps.system.pace import pace
from mlops_steps.system.text import one_line
from mlops_steps.system.waiting import Deadline, duration, poll

log = logging.getLogger(__name__)

ScenarioResult = Literal["SUCCESS", "WARNING", "FAILED", "ABORTED", "NOT_STARTED", "TIMED_OUT"]


@dataclass(frozen=True)
class ScenarioInfo:
    """A scenario as the project lists it. ``marked_as_test``: DSS 13 and later keep test reports for it."""

    id: str
    name: str
    marked_as_test: bool = False
    active: bool = False
    running: bool = False


@dataclass(frozen=True)
class ScenarioOutcome:
    """How a run ended. ``reports`` are the JUnit documents that DSS has for it, the whole run's first."""

    scenario_id: str
    outcome: ScenarioResult
    run_id: str | None = None
    seconds: float = 0.0
    message: str = ""
    log: str = ""
    reports: list[bytes] = field(default_factory=list)

    @property
    def passed(self) -> bool:
        return self.outcome == "SUCCESS"


def list_scenarios(dss: Dss, project_key: str) -> list[ScenarioInfo]:
    """All scenarios of the project, sorted by id. Raises :class:`NodeError`."""
    with dss.asking(f"list the scenarios of project {project_key}"):
        items = expect(dss.client.get_project(project_key).list_scenarios(as_type="listitems"), list, "the list")
        scenarios = [_info(item._data) for item in items]
    return sorted(scenarios, key=lambda scenario: scenario.id)


def _info(item: Any) -> ScenarioInfo:
    data = expect(item, dict, "a scenario")
    identifier = node_id(data["id"], "the id of a scenario")
    return ScenarioInfo(
        id=identifier,
        name=str(data.get("name") or identifier),
        marked_as_test=bool(data.get("markedAsTest")),
        active=bool(data.get("active")),
        running=bool(data.get("running")),
    )


@dataclass(frozen=True)
class EndedRun:
    """A run of the past. ``started`` and ``ended`` are in seconds since 1970, by the node's clock."""

    scenario_id: str
    outcome: str
    started: float
    ended: float


def ended_runs(dss: Dss, project_key: str, scenario_id: str, since: float, most: int = 100) -> list[EndedRun]:
    """The runs of the scenario that have ended since then, the newest first. Raises :class:`NodeError`."""
    with dss.asking(f"list the runs of scenario {scenario_id} of project {project_key}"):
        runs = dss.client.get_project(project_key).get_scenario(scenario_id).get_last_runs(limit=most)
        found = []
        for run in expect(runs, list, "the last runs"):
            fires.check_of(run, project_key, scenario_id)
            if not run.running:
                started, ended = float(run.get_start_time().timestamp()), float(run.get_end_time().timestamp())
                found.append(EndedRun(scenario_id, expect(run.outcome, str, "the outcome"), started, ended))
        return [run for run in found if run.ended >= since]


def testing_status(deployer: Dss, deployment_id: str, bundle_id: str) -> dict[str, int]:
    """How many test scenarios of the deployed bundle ended how, as DSS counts them. Raises :class:`NodeError`."""
    with deployer.asking(f"read the testing status of deployment {deployment_id}"):
        deployment = deployer.client.get_projectdeployer().get_deployment(deployment_id)
        counts = expect(deployment.get_testing_status(bundle_id=bundle_id).nb_scenarios_per_outcome, dict, "the counts")
        return {str(name): int(count) for name, count in counts.items()}


def abort(dss: Dss, project_key: str, scenario_id: str) -> None:
    """Aborts the scenario's current run; does nothing when there is none. Raises :class:`NodeError`."""
    with dss.asking(f"abort scenario {scenario_id}"):
        dss.client.get_project(project_key).get_scenario(scenario_id).abort()


def run_scenario(
    dss: Dss,
    project_key: str,
    scenario_id: str,
    *,
    limit: float,
    on_state: Callable[[str], None] | None = None,
    refire: bool = False,
    token: str | None = None,
    prefix: str | None = None,
    reports: bool = True,
    alone: bool = False,
    unless_failed: bool = False,
    stopped: Callable[[], bool] = lambda: False,
) -> ScenarioOutcome:
    """Runs the scenario and waits for its end, ``limit`` seconds at most.

    At the limit, and when ``stopped`` says so, the run is aborted on the node (``TIMED_OUT``, ``ABORTED``).
    A trigger that the node cancels, because the scenario runs already, is ``NOT_STARTED``; with ``refire`` it is
    fired again until the limit. A ``token`` names the run: when the node has a run of this name, of an earlier attempt
    that was interrupted, that one is awaited and no other is started; one whose name begins with ``prefix`` will do.
    With ``unless_failed`` one that has failed is not taken. With ``alone`` neither is it, and a run of another name
    that is under way is aborted first. Without ``reports`` those of DSS are not fetched.
    Raises :class:`NodeError` when the node cannot be asked.
    """
    deadline = Deadline(limit)
    say = on_state or (lambda _state: None)
    run: Any = None
    try:
        with dss.within(deadline):
            skip = alone or unless_failed
            found = (
                fires.find(dss, project_key, scenario_id, token, prefix=prefix, unless_failed=skip) if token else None
            )
            if alone and not found:
                abort(dss, project_key, scenario_id)
            run = found or fires.start(dss, project_key, scenario_id, deadline, say, refire=refire, token=token)
            if run is None:
                message = "the node cancelled the trigger: the scenario was running already"
                return ScenarioOutcome(scenario_id, "NOT_STARTED", message=message)
            finished = _await_end(dss, project_key, run, deadline, say, stopped)
    except (DeadlineExceeded, Unreachable):
        if not deadline.passed:
            raise
        finished = False
    if not finished:
        return _give_up(dss, project_key, scenario_id, run, deadline, stopped())
    with dss.within(Deadline(max(deadline.remaining, pace().grace))):
        return _outcome(dss, scenario_id, run, reports)


def _await_end(
    dss: Dss,
    project_key: str,
    run: Any,
    deadline: Deadline,
    say: Callable[[str], None],
    stopped: Callable[[], bool],
) -> bool:
    """Waits for the end of the run; ``False`` when ``stopped`` said to give up."""
    scenario_id, run_id = run.run["scenario"]["id"], run.id

    def look() -> bool | None:
        if stopped():
            return False
        with dss.asking(f"look at the run of scenario {scenario_id}"):
            run.refresh()
            fires.check_of(run, project_key, scenario_id)
            if run.id != run_id:
                raise ValueError(f"it is run {run.id}, not {run_id}")
            running = bool(run.running)
        if running:
            say("running")
        return None if running else True

    return poll(look, deadline=deadline, what=f"scenario {scenario_id} on {dss.name}", longest=5.0)


def _give_up(
    dss: Dss, project_key: str, scenario_id: str, run: Any, deadline: Deadline, stopped: bool
) -> ScenarioOutcome:
    """Aborts the run on the node and says what is known of it."""
    why = "stopped by the step" if stopped else f"timed out after {duration(deadline.seconds)}"
    message = f"{why}; aborted on the node"
    grace = Deadline(pace().grace)
    try:
        with dss.within(grace):
            abort(dss, project_key, scenario_id)
    except NodeError as error:
        message = f"{why}; it could not be aborted: {error}"
    text = ""
    if run is not None:
        try:
            with dss.within(grace), dss.asking("fetch the log"):
                text = expect(run.get_log(), str, "the log")
        except NodeError as error:
            text = f"(no log: {error})"
    return ScenarioOutcome(
        scenario_id,
        "ABORTED" if stopped else "TIMED_OUT",
        run_id=run.id if run is not None else None,
        seconds=deadline.seconds - deadline.remaining,
        message=message,
        log=text,
    )


def _outcome(dss: Dss, scenario_id: str, run: Any, reports: bool) -> ScenarioOutcome:
    with dss.asking(f"read the outcome of scenario {scenario_id}"):
        outcome = run.outcome
        if outcome not in ("SUCCESS", "WARNING", "FAILED", "ABORTED"):
            raise ValueError(f"outcome {outcome!r}")
        run_id = expect(run.id, str, "the run's id")
        seconds = _seconds(run.run)
    message = "" if outcome == "SUCCESS" else _first_error(dss, run) or f"outcome {outcome}"
    found = _reports_of(dss, run) if reports else []
    return ScenarioOutcome(scenario_id, outcome, run_id, seconds, message, log=_log_of(dss, run), reports=found)


def _seconds(run: dict[str, Any]) -> float:
    """How long the run took. The client reads milliseconds only; nodes may give texts."""
    end = run.get("end") or (run.get("result") or {}).get("end")
    return (milliseconds(end) - milliseconds(run["start"])) / 1000 if end else 0.0


def _first_error(dss: Dss, run: Any) -> str:
    """The first error of the run's steps, or nothing: the outcome stands without it."""
    try:
        with dss.asking("read the details of the run"):
            details = run.get_details()
            error = details.first_error_details
            text = str(error.get("message") or error.get("detailedMessage") or "") if error else ""
            return one_line(text, LONGEST_MESSAGE)
    except NodeError as error:
        return f"(no details: {error})"


def _log_of(dss: Dss, run: Any) -> str:
    try:
        with dss.asking("fetch the log of the run"):
            return expect(run.get_log(), str, "the log")
    except NodeError as error:
        return f"(no log: {error})"


def _reports_of(dss: Dss, run: Any) -> list[bytes]:
    """DSS's own JUnit reports: of the run, and of each of its steps that has one. Older nodes have none."""
    if not run.run["scenario"].get("markedAsTest"):
        return []
    try:
        with dss.asking("fetch the test report of the run"):
            reports = [run.get_report().content]
            steps = [step.get("step", {}) for step in run.get_details().get("stepRuns", [])]
    except NodeError as error:
        log.warning("%s", error)
        return []
    for step in steps:
        if "test" in str(step.get("type", "")):
            try:
                with dss.asking(f"fetch the test report of step {step.get('id')}"):
                    reports.append(run.get_step_run_report(step.get("id")).content)
            except Refusal as error:
                log.info("%s", error)
    return reports
