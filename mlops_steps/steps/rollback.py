"""rollback: go back to an earlier bundle, on purpose."""

from __future__ import annotations

from mlops_steps.delivery.change import Change
from mlops_steps.delivery.exclusive import claimed, stage_lock
from mlops_steps.delivery.going_back import go_back
from mlops_steps.delivery.record import load_for
from mlops_steps.delivery.rollout.members import open_members
from mlops_steps.delivery.rollout.rolling_back import roll_back_all
from mlops_steps.delivery.targets.opening import open_target
from mlops_steps.steps.context import Context
from mlops_steps.system.waiting import Deadline


def run(
    context: Context, stage: str, *, to: str | None = None, infra: str | None = None, allow_again: bool = False
) -> None:
    """Makes an earlier bundle live, healthy and smoke-tested: ``to``, or the one that was live before.

    ``allow_again``: what is rolled back is not at fault, so it is not quarantined.

    On ``infra``, or on all infrastructures of the stage, the newest first: nothing is changed unless each has a bundle
    to go back to.

    Raises :class:`CheckFailed` when there is no such bundle (nothing was changed), :class:`ProductionInDoubt` when the
    rollback did not succeed.
    """
    settings, report, console = context.settings, context.report, context.console
    record = load_for(settings.record, settings.project)
    if settings.stage(stage).infras and infra is None:
        with (
            stage_lock(settings, stage, console),
            open_members(settings, stage, report, console, record) as members,
        ):
            for member in members:
                member.change.blames = not allow_again
            roll_back_all(members, to, record, report, console, context.signals)
        return
    report.set(infrastructure=settings.units(stage, infra)[0].infra)
    deadline = Deadline(settings.release.rollback_timeout)
    with (
        stage_lock(settings, stage, console, infra=infra),
        open_target(settings, stage, infra) as target,
        claimed(target, console, deadline),
    ):
        change = Change(target, report, console, record, settings.record, blames=not allow_again)
        with target.within(deadline):
            published = target.available()
        go_back(change, to, published, deadline, context.signals)
