"""smoke-test: run the smoke scenario on what is live on a stage."""

from __future__ import annotations

from mlops_steps.delivery.record import load_for
from mlops_steps.delivery.rollout.each import on_each
from mlops_steps.delivery.rollout.members import open_members
from mlops_steps.delivery.targets.opening import StageTarget, open_target
from mlops_steps.delivery.verify import smoke
from mlops_steps.errors import CheckFailed
from mlops_steps.report.model import Report
from mlops_steps.steps.context import Context
from mlops_steps.system.console import Console
from mlops_steps.system.waiting import Deadline


def run(context: Context, stage: str, *, infra: str | None = None) -> None:
    """Runs the smoke scenario on ``infra``, or on all infrastructures of the stage. Changes nothing.

    Raises :class:`CheckFailed` when it does not succeed.
    """
    settings, report, console = context.settings, context.report, context.console
    if settings.stage(stage).infras and infra is None:
        record = load_for(settings.record, settings.project)
        with open_members(settings, stage, report, console, record) as members:
            on_each(
                members,
                lambda member: _smoke(member.target, member.report, member.change.console),
                "smoke test",
                context.signals,
                report,
                console,
            )
        return
    with open_target(settings, stage, infra) as target:
        report.set(infrastructure=target.infra)
        _smoke(target, report, console)


def _smoke(target: StageTarget, report: Report, console: Console) -> str:
    settings, stage = target.settings, target.stage
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
    return f"{live}, smoke-tested"
