"""Brings back what was live before a change, and proves it."""

from __future__ import annotations

import hashlib
import time
from dataclasses import dataclass, field
from pathlib import Path

from mlops_steps.delivery.record import Outcome, Previous, ReleaseRecord, Stage
from mlops_steps.delivery.smoke import run_token, smoke
from mlops_steps.delivery.targets.project_deployer import Live, Target
from mlops_steps.errors import CheckFailed, ConfigError, MlopsError, NodeError, ProductionInDoubt, SomebodyElse
from mlops_steps.report.model import Case, Report
from mlops_steps.system.console import Console
from mlops_steps.system.interrupts import Stop
from mlops_steps.system.pace import pace
from mlops_steps.system.waiting import Deadline

# A restore that the deployer refuses twice is refused for good; a node that cannot be reached is tried until the limit.
_REFUSED_AT_MOST = 2


@dataclass
class Change:
    """A change of a stage under way: where it is written down, and how it is reported."""

    target: Target
    report: Report
    console: Console
    record: ReleaseRecord
    record_path: Path
    # Bundles that this change may find in the deployment's settings; another one is somebody else's.
    known: set[str] = field(default_factory=set)
    # What it means when the restore does not succeed, and what led to it.
    failed: str = "the release failed and what was live before could not be restored"
    because: str = "the release failed because"

    @property
    def stage(self) -> Stage:
        """The stage's part of the record."""
        target = self.target
        return self.record.stage(target.stage, target.infra, target.default_deployment)

    def save(self) -> None:
        """Writes the record."""
        self.record.save(self.record_path)


def superseded(change: Change, live: Live) -> bool:
    """Whether somebody else has made another bundle live since the record noted that a restore is owed.

    Then none is owed any more: the record forgets it, and a warning says so.
    """
    stage = change.stage
    if stage.owed == "nothing" or live.bundle in stage.ours or not live.is_healthy(live.bundle):
        return False
    before = (stage.previous and stage.previous.bundle) or "nothing"
    change.console.warn(f"a restore of {before} was owed, but somebody has deployed another bundle since: {live}")
    stage.owes_nothing()
    return True


def restore(change: Change, why: str, deadline: Deadline | None = None) -> str:
    """Restores what the record says was live before, verifies it, runs its smoke test, and says what is live now.

    When nothing was live before, what was created is disabled. Raises :class:`ProductionInDoubt` when that could not
    be done or verified until the ``deadline`` (by default ``release.rollback_timeout`` from now); the record then still
    says that it is owed.
    """
    settings, target, stage = change.target.settings, change.target, change.stage
    previous = stage.previous
    if previous is None:
        raise in_doubt(change, "the record does not say what was live before", why)
    deadline = deadline or Deadline(settings.release.rollback_timeout)
    stage.rollback = Outcome(bundle=previous.bundle, message=why)
    save_if_possible(change)
    change.console.line(
        f"restoring {previous.bundle or 'nothing (disabling what was created)'} on {target.infra}: {why}"
    )
    try:
        with change.report.case("rollback") as case:
            live = _restore_until(change, previous, deadline, case)
    except Stop:
        raise in_doubt(change, "the restore was interrupted", why) from None
    except MlopsError as error:
        raise in_doubt(change, error.message, why, error.details) from None
    except Exception as error:
        # A mistake of our own must not pass for "production is untouched".
        raise in_doubt(change, f"internal error: {error!r}", why) from error
    stage.rollback.end("passed", live)
    stage.owed = "nothing"
    save_if_possible(change)
    change.console.good(f"restored: {live}")
    return live


def _restore_until(change: Change, previous: Previous, deadline: Deadline, case: Case) -> str:
    refused, before = 0, len(change.report.cases)
    while True:
        try:
            return _restore_once(change, previous, deadline)
        except (ConfigError, SomebodyElse):
            raise
        except CheckFailed as error:
            refused += 1
            if refused >= _REFUSED_AT_MOST or deadline.remaining < pace().again:
                raise
            again = f"{error.message}; trying once more"
        except NodeError as error:
            if deadline.remaining < pace().again:
                raise
            again = f"{error.message}; trying again"
        change.console.warn(again)
        case.stdout += f"{again}\n"
        # The last try counts: a case that failed before it would fail the build, and stand there twice.
        change.report.take_back(before)
        time.sleep(pace().again)


def _restore_once(change: Change, previous: Previous, deadline: Deadline) -> str:
    target, console = change.target, change.console
    with target.within(deadline):
        live = target.observe()
    _check_ours(change, live)
    if previous.bundle is None:
        disabled = target.disable(deadline, console, lambda now: not change.known or now.bundle in change.known)
        return f"nothing on {target.infra} (deployment {disabled.id} is disabled)" if disabled else "nothing"
    settled = live.is_healthy(previous.bundle) and live.deployment and live.deployment.enabled == previous.enabled
    if not settled:
        live = target.make_live(
            previous.bundle,
            deadline,
            console,
            expected=lambda now: not change.known or now.bundle in change.known,
            enabled=previous.enabled,
        )
    if not previous.enabled:
        return str(live)
    with target.within(deadline):
        token = run_token(target, f"restore.{_failed(change)}")
    # The smoke test of the version that is gone may still run, and a scenario runs once at a time: hence alone.
    smoke(
        target,
        change.report,
        console,
        name="smoke-test after rollback",
        limit=deadline.remaining - pace().grace,
        token=token,
        alone=True,
    )
    return str(target.check_still_live(previous.bundle, Deadline(max(deadline.remaining, 1.0))))


def _failed(change: Change) -> str:
    """Stands for the bundle that is given up, in the name of a run."""
    bundle = change.stage.deploy.bundle if change.stage.deploy else None
    return hashlib.sha256(str(bundle).encode()).hexdigest()[:8]


def _check_ours(change: Change, live: Live) -> None:
    if change.known and live.deployment and live.deployment.bundle not in change.known:
        raise SomebodyElse(
            f"somebody else has set deployment {live.deployment.id} to bundle {live.deployment.bundle} meanwhile; "
            "it was not overwritten"
        )


def in_doubt(change: Change, what: str, why: str, details: tuple[str, ...] = ()) -> ProductionInDoubt:
    """The error that says loudly that a person must act, with what is live as far as it can be told."""
    stage, target = change.stage, change.target
    try:
        with target.within(Deadline(pace().grace)):
            live = str(target.observe())
    except (Exception, Stop) as error:
        live = f"unknown ({error!r})" if not isinstance(error, (MlopsError, Stop)) else f"unknown ({error})"
    if stage.rollback:
        stage.rollback.end("failed", what)
    save_if_possible(change)
    wanted = stage.previous.bundle if stage.previous else None
    by_hand = (
        f"in the Project Deployer set deployment {stage.deployment} to bundle {wanted} and update it"
        if wanted
        else f"in the Project Deployer disable deployment {stage.deployment} and update it"
    )
    return ProductionInDoubt(
        f"{target.stage}: {change.failed}: {what}",
        details=(f"{change.because}: {why}", *details),
        live=live,
        next_step=f"run `mlops-steps recover --stage {target.stage}`, or {by_hand}",
    )


def save_if_possible(change: Change) -> None:
    """A full disk must not keep production from being restored; what is owed was written before."""
    try:
        change.save()
    except ConfigError as error:
        change.console.warn(error.message)
