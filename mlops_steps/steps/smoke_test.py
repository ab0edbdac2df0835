"""smoke-test: run the smoke scenario on what is live on a stage."""

from __future__ import annotations

from mlops_steps.delivery.targets.opening import open_target
from mlops_steps.delivery.verify import smoke
from mlops_steps.errors import CheckFailed
from mlops_steps.steps.context import Context
from mlops_steps.system.waiting import Deadline


def run(context: Context, stage: str) -> None:
    """Runs the smoke scenario. Changes nothing. Raises :class:`CheckFailed` when it does not succeed."""
    settings, report, console = context.settings, context.report, context.console
    report.set(infrastructure=settings.stage(stage).infra)
    with open_target(settings, stage) as target:
        deadline = Deadline(settings.release.smoke_timeout)
        with target.within(deadline):
            live = target.observe()
        report.set(bundle=live.version)
        if live.version is None:
            raise CheckFailed(f"{stage}: no bundle of project {settings.project} is live on {live.infra}")
        console.line(f"live on {stage}: {live}")
        try:
            smoke(target, report, console, limit=deadline.remaining)
        except CheckFailed as error:
            error.live = str(live)
            raise
