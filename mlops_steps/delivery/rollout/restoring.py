"""Restores what a release in waves has changed, the newest first, each verified."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from mlops_steps.delivery.phases import Phase
from mlops_steps.delivery.quarantine import quarantine
from mlops_steps.delivery.restore import put_back, restore
from mlops_steps.delivery.rollout.ends import End
from mlops_steps.delivery.rollout.members import Member, side_by_side
from mlops_steps.delivery.rollout.progress import Rollout
from mlops_steps.errors import CheckFailed, InternalError, MlopsError, ProductionInDoubt, RolledBack
from mlops_steps.system.console import Console
from mlops_steps.system.interrupts import Interrupts, Stop
from mlops_steps.system.waiting import Deadline


def to_be_restored(members: Sequence[Member], rollout: Rollout, version: str, failed: set[str]) -> list[Member]:
    """What must go back, the newest first: all that was changed, or what has failed alone (``on_failure: stop``).

    What is pending goes back in any case. ``failed``: ids of infrastructures.
    """
    order = {infra: number for number, infra in enumerate(rollout.changed)}

    def goes_back(member: Member) -> bool:
        unit = member.change.unit
        if unit.pending or member.infra in failed:
            return True
        was_made_live = member.infra in order and unit.version == version and unit.phase is Phase.LIVE
        return was_made_live and rollout.on_failure == "rollback_all" and member.target.limits.restores

    found = [member for member in members if goes_back(member)]
    return sorted(found, key=lambda member: order.get(member.infra, len(order)), reverse=True)


def restore_all(
    members: Sequence[Member],
    why: str,
    work: Callable[[Member], End],
    at_once: int,
    signals: Interrupts,
    console: Console,
) -> list[End]:
    """Does the ``work`` on each, wave by wave, the last one first. No signal stops it. Returns how each ended."""
    ends: list[End] = []
    if not members:
        return ends
    console.line(f"restoring {len(members)} infrastructures, the newest first: {why}")
    total = len(members)
    with console.waiting("restoring") as wait:
        for number in sorted({member.wave for member in members}, reverse=True):
            before = len(ends)

            def say(done: int, active: int, before: int = before, number: int = number) -> None:
                wait.state(f"wave {number}: {before + done} of {total} infrastructures, {active} under way")

            def one(member: Member) -> None:
                with member.signals.shielded():
                    try:
                        ends.append(work(member))
                    except MlopsError as error:
                        live = error.live or "unknown"
                        ends.append(End(member, "in doubt", live, error.message, error.details, error))
                    except Exception as error:
                        ends.append(End(member, "in doubt", "unknown", InternalError.of(error).message))

            wave = [member for member in members if member.wave == number]
            side_by_side(wave, one, at_once, signals, heard=False, say=say)
    return ends


def restore_one(member: Member, why: str, own: MlopsError | None) -> End:
    """Takes back what a release that failed has done; ``own`` is what has failed on this infrastructure itself."""
    change = member.change
    reason = own.message if own else why
    try:
        if change.unit.phase is Phase.LIVE:
            if isinstance(own, CheckFailed) and not own.inconclusive:
                with change.lock:
                    quarantine(change, change.unit.version, reason)
            return End(member, "restored", back_from_live(member, reason), reason)
        put_back(change, own or _because_of_another(why))
        raise InternalError("put_back has raised nothing")
    except RolledBack as error:
        return End(member, "restored", str(error.live), reason)
    except ProductionInDoubt:
        raise
    except (MlopsError, Stop) as error:
        live = error.live if isinstance(error, MlopsError) else None
        return End(member, "untouched", live or "as before", reason)


def _because_of_another(why: str) -> CheckFailed:
    error = CheckFailed(why)
    error.inconclusive = True
    return error


def back_from_live(member: Member, why: str) -> str:
    """Takes back what was live and verified already. Raises :class:`ProductionInDoubt`."""
    change, target = member.change, member.target
    unit, deadline = change.unit, Deadline(target.limits.restore)
    previous = unit.previous
    if previous is None or (previous.version == unit.version):
        return f"bundle {unit.version} on {member.infra}, as before"
    live = member.live
    try:
        with target.within(deadline):
            live = target.observe()
    except MlopsError:
        pass  # the restore itself asks until its limit
    assert live is not None
    change.go_back(unit.version, live, previous, why)
    return f"{restore(change, why, deadline)}, verified"
