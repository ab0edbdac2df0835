"""The way back, proved on an earlier stage before it is needed: old, new, old again, new again, with these bundles.

The old bundle is the one that the release stage had when the new one was packaged. The step back is the restore that a
release would make.
"""

from __future__ import annotations

from collections.abc import Callable

from mlops_steps.delivery.change import Change, previous_of
from mlops_steps.delivery.record import Bundle, ReleaseRecord
from mlops_steps.delivery.record import Rehearsal as Rehearsed
from mlops_steps.delivery.restore import restore
from mlops_steps.delivery.targets.base import Live
from mlops_steps.delivery.unit import Outcome
from mlops_steps.delivery.verify import smoke
from mlops_steps.errors import CheckFailed, MlopsError, ProductionInDoubt
from mlops_steps.report.model import Case
from mlops_steps.report.model import Outcome as CaseOutcome
from mlops_steps.system.interrupts import Interrupts
from mlops_steps.system.waiting import Deadline

_NAME = "rehearsal"


def rehearse(change: Change, bundle: Bundle, deploy: Callable[[str, str], None], signals: Interrupts) -> None:
    """Ends with the new bundle live, smoke-tested twice, and noted.

    ``deploy`` makes a bundle live; its second argument is the name of the test case. Raises :class:`CheckFailed` when
    one of the two does not work, or the way back does not; :class:`NodeError`.
    """
    target, old, new = change.target, bundle.replaces, bundle.id
    part = change.record.stage(target.stage)
    if not old or old == new:
        why = "nothing was live on the release stage" if old == "" else "what the release stage had is not known"
        change.report.add(Case(_NAME, CaseOutcome.SKIPPED, "the same bundle is live" if old else why))
        part.rehearsal = Rehearsed(old="", outcome=Outcome(bundle=new).end("skipped", why))
        change.record.save(change.record_path)
        return
    part.rehearsal = Rehearsed(old=old, outcome=Outcome(bundle=new))
    try:
        with change.report.case(_NAME) as case:
            _try(change, "the old bundle", old, deploy)
            _try(change, "the new bundle", new, deploy)
            _back(change, old, new, signals)
            _try(change, "the new bundle again", new, deploy)
            case.stdout = f"{old} → {new} → {old} → {new}"
    except MlopsError as error:
        part.rehearsal.outcome.end("failed", error.message)
        change.record.save(change.record_path)
        raise
    part.rehearsal.outcome.end("passed", f"{old} → {new} → {old} → {new}")
    change.record.save(change.record_path)
    change.console.good(f"rehearsed on {target.stage}: from {new} back to {old}, and forward again")


def _try(change: Change, title: str, version: str, deploy: Callable[[str, str], None]) -> None:
    change.console.line(f"rehearsal on {change.target.stage}: {title}, {version}")
    deploy(version, f"{_NAME}: {title}")
    smoke(change.target, change.report, change.console, name=f"{_NAME}: smoke-test of {title}")


def is_rehearsed(record: ReleaseRecord, stage: str, bundle: str) -> bool:
    """Whether the way back from the bundle was proved on the stage, or there was none to prove."""
    part = record.stages.get(stage)
    found = part.rehearsal.outcome if part and part.rehearsal else None
    return found is not None and found.bundle == bundle and found.result in ("passed", "skipped")


def warn_of_another(change: Change, live: Live) -> None:
    """Warns when what is live is not what the way back was rehearsed to."""
    settings, stage = change.target.settings, change.target.stage
    if change.target.words.kind != "bundle":
        return
    before = settings.stage_before(stage)
    part = change.record.stages.get(before.name) if before and before.rollback_rehearsal else None
    found = part.rehearsal if part else None
    if found and found.old and live.version not in (None, found.old, found.outcome.bundle):
        change.console.warn(
            f"the way back to bundle {live.version} was not rehearsed: at packaging {found.old} was live"
        )


def _back(change: Change, old: str, new: str, signals: Interrupts) -> None:
    """As a release whose smoke test has failed."""
    target, noted = change.target, change.unit.previous
    with target.within(Deadline(target.limits.restore)):
        live = target.observe()
    previous = previous_of(live, old, enabled=True)
    if noted and noted.version == old:
        previous = previous.model_copy(update={"state": noted.state})
    change.failed, change.because = f"the way back from bundle {new} to {old} does not work", "rehearsed"
    change.go_back(new, live, previous, "the way back is rehearsed")
    try:
        with signals.shielded():
            restore(change, "the way back is rehearsed")
    except ProductionInDoubt as error:
        raise CheckFailed(
            f"{target.stage}: the way back from bundle {new} to {old} does not work; production is untouched",
            details=[error.message, *error.details],
            live=error.live,
            next_step="look at the failed check: the same restore would fail in production",
        ) from None
