"""The smoke test of what is live on a stage, shared by the steps that need one."""

from __future__ import annotations

from mlops_steps.console import Console
from mlops_steps.dss import scenarios
from mlops_steps.errors import CheckFailed
from mlops_steps.report.model import Report
from mlops_steps.steps.target import Target
from mlops_steps.waiting import duration


def smoke(
    target: Target, report: Report, console: Console, *, name: str = "smoke-test", limit: float | None = None
) -> None:
    """Runs the smoke scenario on the stage's Automation node; a test case called ``name`` tells how it went.

    ``limit`` (seconds) shortens ``release.smoke_timeout``. Raises :class:`CheckFailed` when it does not succeed,
    :class:`NodeError` when the node cannot be asked.
    """
    settings = target.settings
    scenario = settings.release.smoke_scenario
    seconds = min(settings.release.smoke_timeout, limit if limit is not None else settings.release.smoke_timeout)
    accepted = {"SUCCESS", "WARNING"} if settings.test.warning == "pass" else {"SUCCESS"}
    with report.case(name) as case, console.waiting(f"smoke test {scenario} on {target.infra}") as wait:
        key = target.deployed_key
        outcome = scenarios.run_scenario(
            target.node, key, scenario, limit=max(seconds, 1.0), on_state=wait.state, refire=True
        )
        case.stdout = outcome.log
        if outcome.outcome not in accepted:
            raise CheckFailed(
                f"smoke test {scenario} on {target.infra}: {outcome.outcome}: {outcome.message}",
                details=outcome.log.splitlines()[-15:],
            )
        console.line(f"smoke test {scenario} on {target.infra}: {outcome.outcome} in {duration(outcome.seconds)}")
