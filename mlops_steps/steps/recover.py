"""recover: after an abort or a crash, finish the restore that is pending, or find that none is."""

from __future__ import annotations

from mlops_steps.delivery.change import Change
from mlops_steps.delivery.exclusive import stage_lock
from mlops_steps.delivery.record import load_for
from mlops_steps.delivery.recovery import recover
from mlops_steps.delivery.rollout.members import open_members
from mlops_steps.delivery.rollout.recovering import recover_all
from mlops_steps.delivery.targets.opening import open_target
from mlops_steps.steps.context import Context
from mlops_steps.system.waiting import Deadline


def run(context: Context, stage: str, *, infra: str | None = None) -> None:
    """Ends with the stage verified. Waits for a process that still restores, ``release.rollback_timeout`` at most.

    The look at what is live, and the restore, have as long each.

    Without a record (another agent, a lost workspace) the nodes decide. Nothing is pending when what is live is healthy
    and has passed its smoke test. What has not been smoke-tested is tested now, and is replaced when it fails. After a
    release that was interrupted in the middle, the bundle that the deployer's history names before it is restored.
    Raises :class:`ProductionInDoubt` when the restore does not succeed, :class:`CheckFailed` when the nodes do not say
    what to restore, :class:`NodeError` when they contradict each other.
    """
    settings, report, console = context.settings, context.report, context.console
    limit = settings.release.rollback_timeout
    waiting = Deadline(limit)
    node = settings.stage(stage)
    if node.infras and infra is None:
        with stage_lock(settings, stage, console, wait=limit):
            record = load_for(settings.record, settings.project)
            with open_members(settings, stage, report, console, record) as members:
                recover_all(members, node.rollout, record, report, console, waiting, context.signals)
        return
    unit = settings.units(stage, infra)[0]
    report.set(infrastructure=unit.infra)
    with (
        stage_lock(settings, stage, console, wait=limit, infra=infra),
        open_target(settings, stage, infra) as target,
    ):
        # The record is read only now: the process that had the lock may have written it.
        recover(Change.of(target, report, console), target, waiting, context.signals)
