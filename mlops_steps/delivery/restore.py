"""Restores what was live before a change, and verifies it."""

from __future__ import annotations

import hashlib
import time

from mlops_steps.delivery.change import Change
from mlops_steps.delivery.quarantine import quarantine, withdraw
from mlops_steps.delivery.targets.base import Deployed, Live
from mlops_steps.delivery.unit import Previous
from mlops_steps.delivery.verify import smoke
from mlops_steps.dss.deployments import changed_by_another
from mlops_steps.errors import (
    CheckFailed,
    ConfigError,
    InternalError,
    Interrupted,
    MlopsError,
    NodeError,
    ProductionInDoubt,
    RolledBack,
    SomebodyElse,
)
from mlops_steps.report.model import Case
from mlops_steps.system.interrupts import Stop
from mlops_steps.system.pace import pace
from mlops_steps.system.waiting import Deadline

# What the deployer refuses twice is not tried again; a node that cannot be reached is tried until the limit.
_REFUSED_AT_MOST = 2
# Seconds for the look whether anything was changed at all.
_LOOK = 30.0


def put_back(change: Change, failure: MlopsError | Stop) -> None:
    """Restores what was live before a release that failed, and raises the error that says how it ended."""
    target, version = change.target, f"{change.target.words.version} {change.unit.version}"
    why = f"interrupted by {failure}" if isinstance(failure, Stop) else failure.message
    details = failure.details if isinstance(failure, MlopsError) else ()
    deadline = Deadline(target.limits.restore)
    untouched: str | None
    if not change.pending:
        # Not even the change could be noted.
        untouched = live_in_words(change)
    else:
        was_live = change.unit.was_live
        if _blames(failure) and target.limits.restores:
            quarantine(change, change.unit.version, why)
        change.give_up(why)
        untouched = None if was_live else _untouched(change, deadline.at_most(_LOOK))
        if untouched:
            withdraw(change)
            change.untouched(why)
    if untouched:
        if isinstance(failure, MlopsError):
            failure.live = failure.live or untouched
            raise failure
        raise Interrupted(f"{why}; nothing was changed", signal_number=failure.signal, live=untouched) from None
    if not target.limits.restores:
        raise in_doubt(change, f"{target.words.settings}.rollback is off", why, details)
    if isinstance(failure, SomebodyElse):
        raise in_doubt(change, "somebody else is at work there; it was not overwritten", why, details)
    live = restore(change, why, deadline)
    if isinstance(failure, Stop):
        raise Interrupted(
            f"{target.stage}: the release of {version} was {why}; what was live before is live again, verified",
            signal_number=failure.signal,
            live=live,
        ) from None
    raise RolledBack(
        f"{target.stage}: {version} was not released: {why}",
        details=details,
        live=f"{live}, verified",
        next_step="look at the failed check in the report, fix it on the Design node, then run the pipeline again",
    ) from None


def _blames(failure: MlopsError | Stop) -> bool:
    """Whether a check of the new version has failed: not a node, and not somebody who has interrupted it."""
    return isinstance(failure, CheckFailed) and not isinstance(failure, SomebodyElse) and not failure.inconclusive


def _untouched(change: Change, deadline: Deadline) -> str | None:
    """What is live, in words, when the failure came before anything was changed; otherwise ``None``."""
    unit, previous = change.unit, change.unit.previous
    if previous is None:
        return None
    try:
        with change.target.within(deadline):
            live = change.target.observe()
            change.target.state = previous.state or {}
            if change.target.lacking(live):
                return None
    except Exception:
        return None  # nothing is known: the restore looks again
    if previous.version is None:
        return str(live) if live.version is None and live.deployment is None else None
    if not previous.active:
        found = live.deployment
        as_seen = found is not None and (found.version, found.enabled) == (previous.version, previous.enabled)
        same = live.version is None and as_seen and previous.version != unit.version
        return str(live) if same else None
    same = live.is_healthy(previous.version) and previous.version != unit.version
    return str(live) if same else None


def restore(change: Change, why: str, deadline: Deadline | None = None) -> str:
    """Restores what the record says was live before, verifies it, runs its smoke test, and says what is live now.

    When nothing was live before, what was created is disabled. Raises
    :class:`ProductionInDoubt` when that could not be done or verified until the ``deadline`` (by default after the
    limit of a restore); it is still pending then.
    """
    target = change.target
    previous = change.unit.previous
    if previous is None:
        raise in_doubt(change, "the record does not say what was live before", why)
    deadline = deadline or Deadline(target.limits.restore)
    change.console.line(
        f"restoring {previous.version or 'nothing (disabling what was created)'} on {target.infra}: {why}"
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
        raise in_doubt(change, InternalError.of(error).message, why) from error
    change.close(live)
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
        # Only the last try counts: the cases of a failed one would fail the build, and be reported twice.
        change.report.take_back(before)
        time.sleep(pace().again)


def _restore_once(change: Change, previous: Previous, deadline: Deadline) -> str:
    target, console = change.target, change.console
    # What was there besides, where that is known; otherwise it stays as it is.
    target.state, target.state_before = previous.state or {}, None
    with target.within(deadline):
        live = target.observe()
        lacking = target.lacking(live)
    _check_ours(change, live.deployment)
    if previous.version is None:
        disabled = target.take_back(deadline, console, expected=change.is_ours)
        return f"nothing on {target.infra} ({disabled.title} is disabled)" if disabled else "nothing"
    if lacking or not _is_back(live, previous):
        live = target.make_live(
            previous.version, deadline, console, live=live, expected=change.is_ours, enabled=previous.enabled
        )
    if not previous.enabled:
        return str(live)
    with target.within(deadline):
        update = target.update_name(previous.version)
    # The smoke test of the version that is gone may still run, and a scenario runs once at a time: hence alone.
    smoke(
        target,
        change.report,
        console,
        name="smoke-test after rollback",
        limit=deadline.remaining - pace().grace,
        token=f"{update}.restore.{_given_up(change)}" if update else None,
        alone=True,
    )
    return str(target.check_still_live(previous.version, Deadline(max(deadline.remaining, 1.0))))


def _is_back(live: Live, previous: Previous) -> bool:
    deployment = live.deployment
    return live.is_healthy(previous.version) and deployment is not None and deployment.enabled == previous.enabled


def _check_ours(change: Change, found: Deployed | None) -> None:
    if found and not change.is_ours(found):
        raise changed_by_another(found, change.target.words.version)


def _given_up(change: Change) -> str:
    """Stands for the version that is given up, in the name of a run."""
    return hashlib.sha256(str(change.unit.version).encode()).hexdigest()[:8]


def in_doubt(change: Change, what: str, why: str, details: tuple[str, ...] = ()) -> ProductionInDoubt:
    """The error that says that a person must act, with what is live as far as it is known."""
    unit, target = change.unit, change.target
    live = live_in_words(change)
    change.doubt(what)
    wanted = unit.previous.version if unit.previous else None
    words = target.words
    by_hand = (words.by_hand if wanted else words.by_hand_undone).format(
        deployer=words.deployer, deployment=unit.deployment, version=f"{words.version} {wanted}"
    )
    return ProductionInDoubt(
        f"{target.stage}: {change.failed}: {what}",
        details=(f"{change.because}: {why}", *details),
        live=live,
        next_step=f"run `mlops-steps {words.steps}recover --stage {target.stage}`, or {by_hand}",
    )


def live_in_words(change: Change) -> str:
    """What is live now, in words; that it is unknown, and why, when the nodes cannot be asked."""
    try:
        with change.target.within(Deadline(pace().grace)):
            return str(change.target.observe())
    except (MlopsError, Stop) as error:
        return f"unknown ({error})"
    except Exception as error:
        return f"unknown ({InternalError.of(error)})"
