"""After an abort or a crash: finishes the restore that is pending, or finds that none is. For every kind of target."""

from __future__ import annotations

from mlops_steps.delivery import evidence
from mlops_steps.delivery.change import Change, previous_of
from mlops_steps.delivery.evidence import Situation, is_canary
from mlops_steps.delivery.exclusive import Claimable, claimed, wait_for_others
from mlops_steps.delivery.phases import Phase
from mlops_steps.delivery.quarantine import again, quarantine
from mlops_steps.delivery.restore import restore
from mlops_steps.delivery.targets.base import Live
from mlops_steps.delivery.verify import verify
from mlops_steps.errors import CheckFailed
from mlops_steps.system.interrupts import Interrupts
from mlops_steps.system.pace import pace
from mlops_steps.system.waiting import Deadline

#: Why what was live before is restored.
INTERRUPTED = "an earlier release was interrupted"


def recover(change: Change, place: Claimable, waiting: Deadline, signals: Interrupts) -> None:
    """Ends with what is live verified. Waits until the deadline ``waiting`` for a process that still restores.

    The look at what is live, and the restore, have the limit of a restore each. ``place`` is the target of the change,
    which this process takes over. The caller holds its lock. Raises as :mod:`mlops_steps.steps.recover` does.
    """
    target, report, console = change.target, change.report, change.console
    wait_for_others([place], console, max(waiting.remaining, pace().grace))
    place.takes_over = True
    deadline = Deadline(target.limits.restore)
    with target.within(deadline):
        live = observe(change, deadline)
        situation = evidence.to_recover(change, live)
    if situation.phase not in (Phase.VERIFYING, Phase.RESTORING):
        with report.case("recover"):
            console.good(f"nothing is pending on {target.stage}: {live}")
        if situation.phase is Phase.LIVE:
            _accept(change, live)
        return
    with signals.shielded(), claimed(place, console, deadline):
        restored = put_in_order(change, live, situation, deadline)
        if restored is None:
            _accept(change, live)
            return
    report.set(**{target.words.version: change.noted_before})
    console.good(f"recovered: {restored}, verified")


def put_in_order(change: Change, live: Live, situation: Situation, deadline: Deadline) -> str | None:
    """Verifies what is live, or restores what was: then what is live is returned, in words."""
    if situation.phase is Phase.VERIFYING and _verified(change, live, situation):
        return None
    if situation.recorded:
        again(change, change.unit.version)
        change.give_up(INTERRUPTED)
    else:
        with change.target.within(Deadline(max(deadline.remaining, pace().grace))):
            if situation.failed:
                quarantine(change, situation.failed, "its smoke test failed")
            _note(change, live, situation)
    return restore(change, INTERRUPTED)


def observe(change: Change, deadline: Deadline) -> Live:
    """What is live when no update is under way any more. Without a record, the nodes must agree on it."""
    target, console = change.target, change.console
    target.wait_until_idle(deadline, console)
    return target.observe() if change.pending else target.look(deadline, console, lambda live: is_canary(change, live))


def _verified(change: Change, live: Live, situation: Situation) -> bool:
    """Smoke-tests what is live, which no smoke test has verified yet; ``False`` when it fails and can be replaced."""
    target, console = change.target, change.console
    console.line(f"{live}, but its smoke test has not passed yet: running it")
    deadline = Deadline(target.limits.verify)
    try:
        verify(target, change.report, console, str(live.version), deadline)
    except CheckFailed as error:
        with target.within(Deadline(max(deadline.remaining, pace().grace))):
            known = situation.previous or (live.version and evidence.version_before(target, live, live.version))
        if not known:
            error.live = str(live)
            raise
        console.warn(error.message)
        quarantine(change, live.version, error.message)
        return False
    console.good(f"nothing is pending on {target.stage}: {live}, verified")
    return True


def _accept(change: Change, live: Live) -> None:
    """Where the record only announces what an agent that is lost has done: it is live, and smoke-tested, by now."""
    unit = change.unit
    if unit.phase is Phase.NOTED and unit.version and live.is_healthy(unit.version):
        change.accept(str(live), smoke_tested=True)


def _note(change: Change, live: Live, situation: Situation) -> None:
    """Writes down what is to be restored, before anything is changed."""
    previous = situation.previous
    if previous is None:
        before = evidence.version_before(change.target, live, live.version) if live.version else None
        previous = previous_of(live, before, enabled=True)
    change.console.warn(
        f"the record does not say how a release that was interrupted ended, but {live}; "
        f"restoring {previous.version or 'nothing'}"
    )
    change.go_back(live.version, live, previous, INTERRUPTED)
