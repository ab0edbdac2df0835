"""A release: make a version live, verify it, and restore what was live when that fails. For every kind of target."""

from __future__ import annotations

from collections.abc import Callable

from mlops_steps.delivery import evidence
from mlops_steps.delivery.change import Change
from mlops_steps.delivery.evidence import Situation
from mlops_steps.delivery.phases import Phase
from mlops_steps.delivery.quarantine import known_bad, lift
from mlops_steps.delivery.rehearsal import warn_of_another
from mlops_steps.delivery.restore import put_back
from mlops_steps.delivery.snapshot import take_snapshot
from mlops_steps.delivery.targets.base import Live
from mlops_steps.delivery.verify import verify
from mlops_steps.errors import CheckFailed, InternalError, Interrupted, MlopsError
from mlops_steps.system.console import Console
from mlops_steps.system.interrupts import Interrupts, Stop
from mlops_steps.system.waiting import Deadline


def look(change: Change, version: str, deadline: Deadline, *, announce: bool = True) -> tuple[Live, Situation]:
    """What is live now, and which phase the unit is in; prints both, and what a release of the version will do.

    Without ``announce`` it prints what calls for attention alone: a plan says the rest.
    Raises :class:`NodeError`, also when the nodes contradict each other about what is live.
    """
    with change.target.within(deadline):
        live = change.target.look(deadline, change.console, lambda live: evidence.is_canary(change, live))
        situation = evidence.before_release(change, live, version)
    _announce(change, live, situation, version, change.console if announce else Console(quiet=True))
    warn_of_another(change, live)
    return live, situation


def _announce(change: Change, live: Live, situation: Situation, version: str, console: Console) -> None:
    target, name = change.target, change.target.words.version
    before = situation.previous.version if situation.previous else None
    change.report.set(deployment=change.deployment_id(live), **{f"previous_{name}": before})
    if situation.recorded and situation.phase is not Phase.LIVE:
        console.warn(f"an earlier release to {target.stage} was interrupted; going on from its record")
    elif situation.phase is Phase.RESTORING:
        console.warn(f"an earlier release of {name} {version}, whose record is lost, failed and was interrupted")
    console.line(f"live on {target.stage} now: {live}")
    if situation.phase is Phase.LIVE:
        return
    console.line(f"will be live: {name} {version}, then {target.smoke_test}")
    if not target.limits.restores:
        console.warn(f"{target.words.settings}.rollback is off: a failed release stays as it is")
    elif before is None:
        console.warn(
            f"first release to {target.stage}: there is nothing to return to; if it fails, {target.words.undone}"
        )
    else:
        if situation.previous and not situation.previous.active:
            console.warn(
                f"nothing is live, but deployment {change.deployment_id(live)} is enabled, with {name} {before}"
            )
        console.line(f"if that fails: back to {name} {before}")


def all_at_once(change: Change, live: Live, deadline: Deadline) -> None:
    """Makes the noted version live everywhere, until the deadline."""
    with change.report.case("deploy"):
        change.make_live(live, deadline, abort_at_limit=change.target.limits.restores)


def release(
    change: Change,
    live: Live,
    situation: Situation,
    version: str,
    deadline: Deadline,
    signals: Interrupts,
    rollout: Callable[[Change, Live, Deadline], None] = all_at_once,
) -> None:
    """Makes the version live and verifies it; whatever goes wrong, what was live is restored and verified.

    ``rollout`` is how it becomes live.

    Raises :class:`RolledBack` when the release failed and what was live is live again, :class:`ProductionInDoubt` when
    it is not, :class:`Interrupted` after a signal, when what was live is live again.
    """
    console, name = change.console, change.target.words.version
    if situation.phase is Phase.LIVE:
        console.good(f"{name} {version} is live, healthy and smoke-tested already: nothing to do")
        return
    with signals.handled():
        try:
            go_forward(change, live, situation, version, deadline, signals, rollout)
        except (Exception, Stop) as failure:
            # A mistake of our own must not leave production in doubt either.
            known = failure if isinstance(failure, (MlopsError, Stop)) else InternalError.of(failure)
            with signals.shielded():
                put_back(change, known)


def go_forward(
    change: Change,
    live: Live,
    situation: Situation,
    version: str,
    deadline: Deadline,
    signals: Interrupts,
    rollout: Callable[[Change, Live, Deadline], None] = all_at_once,
) -> None:
    """Makes the version live and verifies it, and restores nothing: whoever calls it does. Raises what goes wrong."""
    target, report, console, name = change.target, change.report, change.console, change.target.words.version
    if situation.phase is Phase.RESTORING:
        _fail_again(change, live, situation, version)
    if situation.phase is Phase.NOTED:
        take_snapshot(change, live, deadline)
    change.begin(version, live, situation.previous)
    rollout(change, live, deadline)
    change.verify()
    verify(target, report, console, version, Deadline(target.limits.verify))
    with signals.shielded():
        lift(change, version)
        change.accept()
        console.good(f"released: {name} {version} is live on {target.infra}, healthy and smoke-tested")


def _fail_again(change: Change, live: Live, situation: Situation, version: str) -> None:
    """Raises :class:`CheckFailed`: the version has failed already, and its restore is pending."""
    if not situation.recorded and situation.previous:
        change.go_back(version, live, situation.previous, "its smoke test failed")
    why = change.unit.why or "its restore had begun"
    error = CheckFailed(f"it failed before, and what was live before is not restored yet: {why}")
    error.inconclusive = situation.recorded and not known_bad(change, version)
    raise error


def interrupted_before(change: Change, stop: Stop) -> Interrupted:
    """The error with which a release ends that a signal has stopped before any change."""
    target = change.target
    if change.pending:
        text = "the restore of an earlier release that was interrupted is still pending"
        next_step = f"run `mlops-steps {target.words.steps}recover --stage {target.stage}`"
    else:
        text, next_step = "nothing was changed", None
    return Interrupted(f"{target.stage}: interrupted by {stop}; {text}", signal_number=stop.signal, next_step=next_step)
