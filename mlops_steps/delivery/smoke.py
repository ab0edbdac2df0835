"""The smoke test of what is live on a stage, shared by the steps that need one."""

from __future__ import annotations

from mlops_steps.delivery.targets.project_deployer import Target
from mlops_steps.dss import fires, scenarios, updates
from mlops_steps.errors import CheckFailed
from mlops_steps.report.model import Report
from mlops_steps.system.console import Console
from mlops_steps.system.waiting import Deadline, duration


def run_token(target: Target, purpose: str) -> str | None:
    """The name of the smoke test of what the last update has made live; the same after a crash, and on any agent.

    ``None`` from a deployer that keeps no history.
    """
    deployment = target.find_deployment()
    newest = updates.newest_success(target.deployer, deployment.id) if deployment else None
    return f"{newest.started}.{purpose}" if newest else None


def verdicts(target: Target) -> dict[int, bool]:
    """Whether what an update (by its start, milliseconds) made live has passed a smoke test; none is no entry."""
    key, scenario = target.deployed_key, target.settings.release.smoke_scenario
    found: dict[int, bool] = {}
    for token, outcome in fires.outcomes(target.node, key, scenario):
        started = token.partition(".")[0]
        if started.isdecimal():
            found[int(started)] = found.get(int(started), False) or outcome in accepted(target)
    return found


def accepted(target: Target) -> set[str]:
    """The outcomes of a scenario that count as passed."""
    return {"SUCCESS", "WARNING"} if target.settings.test.warning == "pass" else {"SUCCESS"}


def smoke(
    target: Target,
    report: Report,
    console: Console,
    *,
    name: str = "smoke-test",
    limit: float | None = None,
    token: str | None = None,
    alone: bool = False,
) -> None:
    """Runs the smoke scenario on the stage's Automation node; a test case called ``name`` tells how it went.

    ``limit`` (seconds) shortens ``release.smoke_timeout``. A run that carries the ``token`` already is awaited instead
    of starting another; with ``alone`` one that does not is aborted.
    Raises :class:`CheckFailed` when it does not succeed, :class:`NodeError` when the node cannot be asked.
    """
    settings = target.settings
    scenario = settings.release.smoke_scenario
    seconds = min(settings.release.smoke_timeout, limit if limit is not None else settings.release.smoke_timeout)
    with report.case(name) as case, console.waiting(f"smoke test {scenario} on {target.infra}") as wait:
        deadline = Deadline(max(seconds, 1.0))
        with target.within(deadline):
            key = target.deployed_key
        outcome = scenarios.run_scenario(
            target.node,
            key,
            scenario,
            limit=max(deadline.remaining, 1.0),
            on_state=wait.state,
            refire=True,
            token=token,
            alone=alone,
        )
        case.stdout = outcome.log
        if outcome.outcome not in accepted(target):
            raise CheckFailed(
                f"smoke test {scenario} on {target.infra}: {outcome.outcome}: {outcome.message}",
                details=outcome.log.splitlines()[-15:],
            )
        console.line(f"smoke test {scenario} on {target.infra}: {outcome.outcome} in {duration(outcome.seconds)}")
