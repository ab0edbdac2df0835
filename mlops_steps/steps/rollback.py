"""rollback: go back to an earlier bundle, on purpose."""

from __future__ import annotations

from mlops_steps.delivery.change import Change
from mlops_steps.delivery.exclusive import claimed, stage_lock
from mlops_steps.delivery.going_back import go_back
from mlops_steps.delivery.record import load_for
from mlops_steps.delivery.targets.opening import open_target
from mlops_steps.steps.context import Context
from mlops_steps.system.waiting import Deadline


def run(context: Context, stage: str, *, to: str | None = None) -> None:
    """Makes an earlier bundle live, healthy and smoke-tested: ``to``, or the one that was live before.

    Raises :class:`CheckFailed` when there is no such bundle (nothing was changed), :class:`ProductionInDoubt` when the
    rollback did not succeed.
    """
    settings, report, console = context.settings, context.report, context.console
    record = load_for(settings.record, settings.project)
    report.set(infrastructure=settings.stage(stage).infra)
    deadline = Deadline(settings.release.rollback_timeout)
    with (
        stage_lock(settings, stage, console),
        open_target(settings, stage) as target,
        claimed(target, console, deadline),
    ):
        change = Change(target, report, console, record, settings.record)
        with target.within(deadline):
            published = target.available()
        go_back(change, to, published, deadline, context.signals)
