"""recover: after an abort or a crash, finish the restore that is owed, or find that none is."""

from __future__ import annotations

from mlops_steps.delivery import evidence
from mlops_steps.delivery.claim import claimed, wait_for_others
from mlops_steps.delivery.evidence import Owed, bundle_before
from mlops_steps.delivery.lock import stage_lock
from mlops_steps.delivery.record import load_for
from mlops_steps.delivery.restore import Change, restore, superseded
from mlops_steps.delivery.smoke import run_token, smoke
from mlops_steps.delivery.targets.project_deployer import Live, Target, open_target
from mlops_steps.dss import updates
from mlops_steps.errors import CheckFailed
from mlops_steps.steps.context import Context
from mlops_steps.steps.rollback import previous_of
from mlops_steps.system.console import Console
from mlops_steps.system.pace import pace
from mlops_steps.system.waiting import Deadline


def run(context: Context, stage: str) -> None:
    """Ends with the stage verified. Waits for a process that still restores, ``release.rollback_timeout`` at most.

    The look at what is live, and the restore, have as long each.

    Without a record (another agent, a lost workspace) the nodes tell: what is live, healthy and has passed its smoke
    test owes nothing; what was not smoke-tested is, and goes when it fails; of a release that was cut off in the
    middle the bundle that was live before, by the deployer's history, is restored. Raises :class:`ProductionInDoubt`
    when the restore does not succeed, :class:`CheckFailed` when the nodes do not tell what to restore.
    """
    settings, report, console = context.settings, context.report, context.console
    limit = settings.release.rollback_timeout
    report.set(infrastructure=settings.stage(stage).infra)
    waiting = Deadline(limit)
    with stage_lock(settings, stage, console, wait=limit), open_target(settings, stage) as target:
        # Read only now: the process that had the lock may have written it.
        record = load_for(settings.record, settings.project)
        change = Change(target, report, console, record, settings.record)
        wait_for_others(target, console, max(waiting.remaining, pace().grace))
        target.takes_over = True
        deadline = Deadline(limit)
        with target.within(deadline):
            live = _observe(target, deadline, console)
            recorded = _owed_by_record(change, live)
            owed = Owed("restore") if recorded else evidence.owed(target, live)
        if owed.what == "nothing":
            with report.case("recover"):
                console.good(f"nothing is owed on {stage}: {live}")
            return
        with context.signals.shielded(), claimed(target, console, deadline):
            if owed.what == "verify" and _verified(change, live):
                return
            if not recorded:
                with target.within(Deadline(max(deadline.remaining, pace().grace))):
                    _note(change, live, owed)
            restored = restore(change, "an earlier release was cut off")
        report.set(bundle=change.stage.previous.bundle if change.stage.previous else None)
        console.good(f"recovered: {restored}, verified")


def _observe(target: Target, deadline: Deadline, console: Console) -> Live:
    """What is live when no update is under way any more."""
    deployment = target.find_deployment()
    if deployment:
        with console.waiting(f"looking at deployment {deployment.id}") as wait:
            updates.wait_until_idle(target.deployer, deployment.id, deadline, wait.state)
    return target.observe()


def _owed_by_record(change: Change, live: Live) -> bool:
    """Whether the record says that a restore is owed, and of what."""
    stage = change.stage
    if stage.owed == "nothing":
        return False
    if live.deployment:
        stage.deployment = live.deployment.id
    change.known = stage.ours
    if superseded(change, live):
        change.save()
        return False
    return True


def _verified(change: Change, live: Live) -> bool:
    """Smoke-tests what is live, which no smoke test has verified yet; ``False`` when it fails and can be replaced."""
    target, console = change.target, change.console
    console.line(f"{live}, but its smoke test has not passed yet: running it")
    deadline = Deadline(target.settings.release.smoke_timeout)
    try:
        with target.within(deadline):
            token = run_token(target, "release")
        smoke(target, change.report, console, limit=deadline.remaining, token=token)
        target.check_still_live(str(live.bundle), Deadline(max(deadline.remaining, pace().grace)))
    except CheckFailed as error:
        with target.within(Deadline(max(deadline.remaining, pace().grace))):
            before = bundle_before(target, live, live.bundle) if live.bundle else None
        if before is None:
            error.live = str(live)
            raise
        console.warn(error.message)
        return False
    console.good(f"nothing is owed on {target.stage}: {live}, verified")
    return True


def _note(change: Change, live: Live, owed: Owed) -> None:
    """Writes down what is to be restored, before anything is changed."""
    target, stage = change.target, change.stage
    before = owed.bundle
    if owed.what == "verify" and live.bundle:
        before = bundle_before(target, live, live.bundle)
    change.console.warn(f"no record of a release that was cut off, but {live}; restoring {before or 'nothing'}")
    stage.previous = previous_of(live, before)
    stage.deploy = None
    stage.owed = "restore"
    change.known = stage.ours
    if live.deployment:
        stage.deployment = live.deployment.id
    change.save()
