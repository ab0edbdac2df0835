"""recover: after an abort or a crash, finish the restore that is owed, or find that none is."""

from __future__ import annotations

from mlops_steps.config import Settings
from mlops_steps.console import Console
from mlops_steps.errors import CheckFailed
from mlops_steps.interrupts import Interrupts
from mlops_steps.record import ReleaseRecord, load_for
from mlops_steps.report.model import Report
from mlops_steps.steps.history import bundle_before
from mlops_steps.steps.lock import lock_folder, stage_lock
from mlops_steps.steps.restore import Change, restore
from mlops_steps.steps.rollback import previous_of
from mlops_steps.steps.target import Live, open_target
from mlops_steps.waiting import Deadline


def run(
    settings: Settings, report: Report, console: Console, stage: str, *, interrupts: Interrupts | None = None
) -> None:
    """Ends with the stage verified. Waits for a process that still restores (``release.rollback_timeout``).

    Without a record (another agent, a lost workspace) the nodes tell: a healthy deployment owes nothing; of another one
    the bundle that was live before, by the deployer's history, is restored. Raises :class:`ProductionInDoubt` when the
    restore does not succeed.
    """
    limit = settings.release.rollback_timeout
    report.set(infrastructure=settings.stage(stage).infra)
    with stage_lock(lock_folder(settings), stage, console, wait=limit), open_target(settings, stage) as target:
        # Read only now: the process that had the lock may have written it.
        record = load_for(settings.record, settings.project)
        with target.within(Deadline(limit)):
            live = target.observe()
            change = Change(target, report, console, record, settings.record)
            owed = _owed(change, live, record, stage)
        if not owed:
            with report.case("recover"):
                console.good(f"nothing is owed on {stage}: {live}")
            return
        with (interrupts or Interrupts()).shielded():
            restored = restore(change, "an earlier release was cut off")
        report.set(bundle=change.stage.previous.bundle if change.stage.previous else None)
        console.good(f"recovered: {restored}, verified")


def _owed(change: Change, live: Live, record: ReleaseRecord, stage: str) -> bool:
    """Whether a restore is owed; notes in the record what is to be restored."""
    part = record.stages.get(stage)
    if part is not None and part.owed != "nothing":
        if live.deployment:
            part.deployment = live.deployment.id
        tried = part.deploy.bundle if part.deploy else None
        before = part.previous.bundle if part.previous else None
        change.known = {name for name in (tried, before) if name}
        if live.bundle not in change.known and live.is_healthy(live.bundle):
            change.console.warn(
                f"a restore of {before} was owed, but somebody has deployed another bundle since: {live}"
            )
            part.owed = "nothing"
            change.save()
            return False
        return True
    if live.deployment is None or live.is_healthy(live.bundle) or not live.deployment.enabled:
        return False
    before = bundle_before(change.target, live, live.deployment.bundle)
    if before is None:
        raise CheckFailed(
            f"{stage}: {live}; no record says what was live before, and the deployer's history names no earlier bundle",
            live=str(live),
            next_step=f"choose a published bundle: `mlops-steps rollback --stage {stage} --to BUNDLE`",
        )
    change.console.warn(f"no record of a release that was cut off, but {live}; restoring bundle {before}")
    change.stage.previous = previous_of(live, before)
    change.stage.deployment, change.stage.owed = live.deployment.id, "restore"
    change.save()
    return True
