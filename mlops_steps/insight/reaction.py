"""What follows decay: the retraining scenario, the project's pipeline. At most once per period, never in a loop.

What was begun before is read from those who keep it: the runs of the scenario on the Design node, and the builds of the
job. So it holds for every agent and workspace, and after a crash. A version that is live is answered once: what came of
that is live, or did not pass its gates, or waits for a person.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass

from mlops_steps.config import Settings
from mlops_steps.delivery.exclusive import infra_lock
from mlops_steps.dss import fires, scenarios
from mlops_steps.dss.session import connect
from mlops_steps.errors import CheckFailed, DeadlineExceeded
from mlops_steps.insight.findings import Finding, Level, measured
from mlops_steps.jenkins import access
from mlops_steps.system.console import Console
from mlops_steps.system.pace import pace
from mlops_steps.system.text import one_line
from mlops_steps.system.waiting import Deadline, duration

BUDGET_DAYS = 30
_NAME = "reaction"
_LONGEST_REASON = 400


@dataclass(frozen=True)
class Earlier:
    """A reaction of the past: to decay of which version, when (seconds since 1970); ``result`` is "" while it goes on.

    ``version`` is "" for what others have begun.
    """

    version: str
    at: float
    result: str


def check_access(settings: Settings) -> None:
    """Raises :class:`ConfigError` when the pipeline could not be started: before anything is looked at."""
    if settings.monitor.react == "release":
        access.from_environment(os.environ)


def react(
    settings: Settings, stage: str, version: str | None, findings: Sequence[Finding], console: Console
) -> list[Finding]:
    """Answers decay as ``monitor.react`` says. What was done, or why nothing, is a finding; so is what failed."""
    monitor = settings.monitor
    decayed = [one for one in findings if one.decay and one.level is Level.ACT]
    if monitor.react == "none":
        return []
    if not decayed or version is None:
        return [Finding(_NAME, Level.SKIPPED, "nothing has decayed", of_release=False)]
    mark = f"monitor {stage} "
    reason = one_line(f"{mark}{version}: {'; '.join(f'{one.name}: {one.message}' for one in decayed)}", _LONGEST_REASON)

    def begin() -> list[Finding]:
        with infra_lock(settings, f"monitor {stage}", stage, console):
            if monitor.react == "retrain":
                return [_retrain(settings, mark, version, reason, console)]
            return [_release(settings, mark, version, reason, console)]

    return measured(_NAME, begin)


def refusal(
    earlier: Sequence[Earlier], version: str, now: float, period: float, budget: int
) -> tuple[Level, str] | None:
    """Why nothing may be begun now, ``None`` when it may. ``ACT`` asks for a person."""
    running = next((one for one in earlier if not one.result), None)
    if running:
        return Level.WARN, f"one that began {_moment(running.at)} is under way"
    same = next((one for one in earlier if one.version == version), None)
    if same:
        text = (
            f"one to the decay of {version} ended with {same.result} ({_moment(same.at)}), and {version} is still live"
        )
        return Level.ACT, f"{text}; nothing is begun twice for one version"
    last = max((one.at for one in earlier), default=0.0)
    if last > now - period:
        return Level.WARN, f"the last one began {_moment(last)}; at most one in {duration(period)}"
    own = [one for one in earlier if one.version and one.at > now - BUDGET_DAYS * 86_400]
    if len(own) >= budget:
        return Level.ACT, f"{len(own)} in {BUDGET_DAYS} days; that is the budget"
    return None


def _retrain(settings: Settings, mark: str, version: str, reason: str, console: Console) -> Finding:
    """Runs the retraining scenario once for this version. Raises :class:`CheckFailed`, :class:`NodeError`."""
    monitor = settings.monitor
    refused = refusal(_runs(settings, mark), version, time.time(), monitor.period, monitor.budget)
    if refused:
        return _none(*refused)
    _train(settings, f"{mark}{version}", console)
    done = f"scenario {monitor.retrain_scenario} has trained the model on the Design node; release it by the pipeline"
    console.good(done)
    return Finding(_NAME, Level.GOOD, done, details=(reason,), of_release=False)


def _runs(settings: Settings, mark: str) -> list[Earlier]:
    """The runs of the retraining scenario, those that others have started too: a model that is new has no need."""
    scenario = str(settings.monitor.retrain_scenario)
    with connect(settings, settings.node("design")) as design, design.within(Deadline(pace().look)):
        runs = fires.past(design, settings.project, scenario)
    return [
        Earlier((run.token or "").removeprefix(mark) if (run.token or "").startswith(mark) else "", run.started,
                run.outcome)
        for run in runs
    ]  # fmt: skip


def _train(settings: Settings, token: str, console: Console) -> None:
    """Runs the scenario, or awaits the run that carries the token. Raises :class:`CheckFailed`, :class:`NodeError`."""
    monitor = settings.monitor
    scenario = str(monitor.retrain_scenario)
    with connect(settings, settings.node("design")) as design, console.waiting(f"running scenario {scenario}") as wait:
        done = scenarios.run_scenario(
            design,
            settings.project,
            scenario,
            limit=monitor.retrain_timeout,
            on_state=wait.state,
            token=token,
            reports=False,
        )
    if done.outcome not in ("SUCCESS", "WARNING"):
        raise CheckFailed(
            f"scenario {scenario} on the Design node: {done.outcome}: {done.message}",
            next_step="look at its log on the Design node; nothing is released of it",
        )


def _release(settings: Settings, mark: str, version: str, reason: str, console: Console) -> Finding:
    """Retrains, where there is a scenario, and starts the pipeline. Raises :class:`MlopsError`."""
    # Imported late, as python-jenkins is: most runs need it not.
    from mlops_steps.jenkins import builds, triggered
    from mlops_steps.jenkins.session import Session

    monitor, job = settings.monitor, str(settings.monitor.job)
    session = Session(access.from_environment(os.environ))
    try:
        found = triggered.with_parameter(session, job, monitor.parameter, mark)
        earlier = [
            Earlier(one.value.removeprefix(mark).partition(":")[0], one.at or time.time(), one.result) for one in found
        ]
        refused = refusal(earlier, version, time.time(), monitor.period, monitor.budget)
        if refused:
            return _none(*refused)
        values = {monitor.parameter: reason}
        builds.check(session, job, values)  # before a training that nothing would follow
        if monitor.retrain_scenario:
            before = next((run for run in _runs(settings, mark) if run.version == version), None)
            # One that was interrupted before it started the pipeline goes on there; a failed one is not tried again.
            if before is not None and before.result not in ("", "SUCCESS", "WARNING"):
                return _none(Level.ACT, f"the retraining of {version} ended with {before.result}; no pipeline is run")
            _train(settings, f"{mark}{version}", console)
        item = builds.trigger(session, job, values)
        try:
            build = builds.wait_for_start(session, job, item, Deadline(pace().look))
            done = f"{build} releases what comes out, through all its gates: {build.url}"
        except DeadlineExceeded:
            done = f"{job} waits in the queue of Jenkins; it releases what comes out, through all its gates"
    finally:
        session.close()
    console.good(done)
    return Finding(_NAME, Level.GOOD, done, details=(reason,), of_release=False)


def _none(level: Level, why: str) -> Finding:
    return Finding(_NAME, level, f"no reaction: {why}", of_release=False)


def _moment(at: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%SZ", time.gmtime(at))
