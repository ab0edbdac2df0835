"""Verifies what is live on a stage: its smoke test, and a look after it."""

from __future__ import annotations

from mlops_steps.delivery.targets.project_deployer import ProjectDeployerTarget
from mlops_steps.dss import fires, scenarios, updates
from mlops_steps.errors import CheckFailed
from mlops_steps.report.model import Report
from mlops_steps.system.console import Console
from mlops_steps.system.pace import pace
from mlops_steps.system.waiting import Deadline, duration


def update_name(target: ProjectDeployerTarget, bundle: str) -> str | None:
    """The name of the update that has made the bundle live; the same after a crash, and on any agent.

    ``None`` when the deployer keeps no history, or shows an old one: then a smoke test of an update before this one
    would be taken for this one's.
    """
    deployment = target.known_deployment()
    newest = updates.newest_success(target.deployer, deployment.id) if deployment else None
    if newest is None or newest.started <= target.updated_after or newest.bundle not in (None, bundle):
        return None
    return str(newest.started)


def verdicts(target: ProjectDeployerTarget) -> dict[int, bool]:
    """Whether what an update (by its start, milliseconds) made live has passed a smoke test; none is no entry."""
    key, scenario = target.deployed_key, target.settings.release.smoke_scenario
    found: dict[int, bool] = {}
    for token, outcome in fires.outcomes(target.node, key, scenario):
        started = token.partition(".")[0]
        if started.isdecimal():
            found[int(started)] = found.get(int(started), False) or outcome in accepted(target)
    return found


def accepted(target: ProjectDeployerTarget) -> set[str]:
    """The outcomes of a scenario that count as passed."""
    return {"SUCCESS", "WARNING"} if target.settings.test.warning == "pass" else {"SUCCESS"}


def verify(target: ProjectDeployerTarget, report: Report, console: Console, bundle: str, deadline: Deadline) -> None:
    """Smoke-tests the bundle that the last update has made live, and looks whether it is live and healthy still.

    The smoke test of that update is awaited, whoever started it and whatever for, and not run a second time.
    """
    with target.within(deadline):
        update = update_name(target, bundle)
    token, prefix = (f"{update}.release", f"{update}.") if update else (None, None)
    smoke(target, report, console, limit=deadline.remaining, token=token, prefix=prefix)
    target.check_still_live(bundle, Deadline(max(deadline.remaining, pace().grace)))


def smoke(
    target: ProjectDeployerTarget,
    report: Report,
    console: Console,
    *,
    name: str = "smoke-test",
    limit: float | None = None,
    token: str | None = None,
    prefix: str | None = None,
    alone: bool = False,
) -> None:
    """Runs the smoke scenario on the stage's Automation node; a test case called ``name`` reports how it went.

    ``limit`` (seconds) shortens ``release.smoke_timeout``. A run that carries the ``token`` already, or one that begins
    with ``prefix``, is awaited instead of starting another; with ``alone`` one that does not is aborted.
    Raises :class:`CheckFailed` when it does not succeed, :class:`NodeError` when the node cannot be asked.
    """
    settings = target.settings
    scenario = settings.release.smoke_scenario
    seconds = min(settings.release.smoke_timeout, limit if limit is not None else settings.release.smoke_timeout)
    with report.case(name) as case, console.waiting(f"smoke test {scenario} on {target.infra}") as wait:
        deadline = Deadline(max(seconds, 1.0))
        with target.within(deadline):
            target.known_deployment()
        outcome = scenarios.run_scenario(
            target.node,
            target.deployed_key,
            scenario,
            limit=max(deadline.remaining, 1.0),
            on_state=wait.state,
            refire=True,
            token=token,
            prefix=prefix,
            reports=False,
            alone=alone,
        )
        case.stdout = outcome.log
        if outcome.outcome not in accepted(target):
            raise CheckFailed(
                f"smoke test {scenario} on {target.infra}: {outcome.outcome}: {outcome.message}",
                details=outcome.log.splitlines()[-15:],
            )
        console.line(f"smoke test {scenario} on {target.infra}: {outcome.outcome} in {duration(outcome.seconds)}")
