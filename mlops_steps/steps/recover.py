"""recover: after an abort or a crash, finish the restore that is pending, or find that none is."""

from __future__ import annotations

from mlops_steps.delivery import evidence
from mlops_steps.delivery.change import Change, previous_of
from mlops_steps.delivery.evidence import Situation
from mlops_steps.delivery.exclusive import claimed, stage_lock, wait_for_others
from mlops_steps.delivery.phases import Phase
from mlops_steps.delivery.restore import restore
from mlops_steps.delivery.targets.base import Live
from mlops_steps.delivery.targets.project_deployer import open_target
from mlops_steps.delivery.verify import verify
from mlops_steps.errors import CheckFailed
from mlops_steps.steps.context import Context
from mlops_steps.system.pace import pace
from mlops_steps.system.waiting import Deadline

_WHY = "an earlier release was interrupted"


def run(context: Context, stage: str) -> None:
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
    report.set(infrastructure=settings.stage(stage).infra)
    waiting = Deadline(limit)
    with stage_lock(settings, stage, console, wait=limit), open_target(settings, stage) as target:
        # Read only now: the process that had the lock may have written it.
        change = Change.of(target, report, console)
        wait_for_others(target, console, max(waiting.remaining, pace().grace))
        target.takes_over = True
        deadline = Deadline(limit)
        with target.within(deadline):
            live = _observe(change, deadline)
            situation = evidence.to_recover(change, live)
        if situation.phase not in (Phase.VERIFYING, Phase.RESTORING):
            with report.case("recover"):
                console.good(f"nothing is pending on {stage}: {live}")
            return
        with context.signals.shielded(), claimed(target, console, deadline):
            if situation.phase is Phase.VERIFYING and _verified(change, live, situation):
                return
            if situation.recorded:
                change.give_up(_WHY)
            else:
                with target.within(Deadline(max(deadline.remaining, pace().grace))):
                    _note(change, live, situation)
            restored = restore(change, _WHY)
        report.set(bundle=change.noted_before)
        console.good(f"recovered: {restored}, verified")


def _observe(change: Change, deadline: Deadline) -> Live:
    """What is live when no update is under way any more. Without a record, the nodes must agree on it."""
    target, console = change.target, change.console
    target.wait_until_idle(deadline, console)
    return target.observe() if change.pending else target.look(deadline, console)


def _verified(change: Change, live: Live, situation: Situation) -> bool:
    """Smoke-tests what is live, which no smoke test has verified yet; ``False`` when it fails and can be replaced."""
    target, console = change.target, change.console
    console.line(f"{live}, but its smoke test has not passed yet: running it")
    deadline = Deadline(target.settings.release.smoke_timeout)
    try:
        verify(target, change.report, console, str(live.bundle), deadline)
    except CheckFailed as error:
        with target.within(Deadline(max(deadline.remaining, pace().grace))):
            known = situation.previous or (live.bundle and evidence.bundle_before(target, live, live.bundle))
        if not known:
            error.live = str(live)
            raise
        console.warn(error.message)
        return False
    console.good(f"nothing is pending on {target.stage}: {live}, verified")
    return True


def _note(change: Change, live: Live, situation: Situation) -> None:
    """Writes down what is to be restored, before anything is changed."""
    previous = situation.previous
    if previous is None:
        before = evidence.bundle_before(change.target, live, live.bundle) if live.bundle else None
        previous = previous_of(live, before, enabled=True)
    change.console.warn(
        f"the record does not say how a release that was interrupted ended, but {live}; "
        f"restoring {previous.version or 'nothing'}"
    )
    change.go_back(live.bundle, live, previous, _WHY)
