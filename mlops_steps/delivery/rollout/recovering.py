"""After an abort or a crash of a release in waves: restores all that it has changed, or finds that nothing is left."""

from __future__ import annotations

from collections.abc import Sequence

from mlops_steps.config import RolloutSettings
from mlops_steps.delivery import evidence
from mlops_steps.delivery.change import previous_of
from mlops_steps.delivery.exclusive import all_claimed, wait_for_others
from mlops_steps.delivery.phases import Phase
from mlops_steps.delivery.record import ReleaseRecord
from mlops_steps.delivery.recovery import INTERRUPTED, observe, put_in_order
from mlops_steps.delivery.restore import restore
from mlops_steps.delivery.rollout.ends import End, in_doubt_error, live_on_each
from mlops_steps.delivery.rollout.looking import limit_of, raise_worst
from mlops_steps.delivery.rollout.members import Member, side_by_side
from mlops_steps.delivery.rollout.progress import Rollout
from mlops_steps.delivery.rollout.restoring import back_from_live, restore_all, to_be_restored
from mlops_steps.delivery.unit import Named, Previous
from mlops_steps.errors import ConfigError, MlopsError, ProductionInDoubt
from mlops_steps.report.model import Case, Outcome, Report
from mlops_steps.system.console import Console
from mlops_steps.system.interrupts import Interrupts, Stop
from mlops_steps.system.pace import pace
from mlops_steps.system.waiting import Deadline


def recover_all(
    members: Sequence[Member],
    settings: RolloutSettings,
    record: ReleaseRecord,
    report: Report,
    console: Console,
    waiting: Deadline,
    signals: Interrupts,
) -> None:
    """Ends with each infrastructure verified. The caller holds the locks. Raises as `recover` does."""
    first = members[0]
    targets = [member.target for member in members]
    wait_for_others(targets, console, max(waiting.remaining, pace().grace))
    for target in targets:
        target.takes_over = True
    _look(members, settings, report, console, signals)
    stage = record.stage(first.target.stage)
    rollout = stage.rollout if stage.rollout and stage.rollout.unfinished else None
    if rollout is not None and rollout.state == "under way" and _is_complete(members, rollout):
        _note(first, rollout, record, console, "live")
        rollout = None
    back = _to_go_back(members, rollout, settings)
    unclear = (Phase.VERIFYING, Phase.RESTORING)
    todo = [one for one in members if one in back or (one.situation and one.situation.phase in unclear)]
    if not todo and rollout is None:
        with report.case("recover"):
            console.good(f"nothing is pending on {first.target.stage}: {live_on_each(members)}")
        return
    with (
        signals.shielded(),
        all_claimed(targets, console, Deadline(first.target.limits.restore), limit_of(members)),
    ):
        _note(first, rollout, record, console, "restoring")

        def work(member: Member) -> End:
            return End(member, "restored", _put_in_order(member, member in back), INTERRUPTED)

        newest_first = sorted(todo, key=lambda member: _age(member, rollout), reverse=True)
        ends = restore_all(newest_first, INTERRUPTED, work, settings.at_once, signals, console)
        doubt = [end for end in ends if end.in_doubt]
        if rollout is None and not doubt and not back:
            # What was verified only now, and has failed, has left the others with the same version.
            back += _left_with(members, {end.member.place for end in ends}, settings)
            ends += restore_all(back[::-1], INTERRUPTED, work, settings.at_once, signals, console)
            doubt = [end for end in ends if end.in_doubt]
        _note(first, rollout, record, console, "in doubt" if doubt else "restored")
    for end in ends:
        outcome = Outcome.ERROR if end.in_doubt else Outcome.PASSED
        report.add(Case(end.member.place, outcome, end.why if end.in_doubt else "", stdout=f"live now: {end.live}"))
    if doubt:
        errors = [(end.member, end.error) for end in doubt if end.error]
        if len(errors) == len(doubt) and not any(isinstance(error, ProductionInDoubt) for _, error in errors):
            # Nothing had to be restored, and what is live fails its smoke test.
            raise_worst(errors, report, "")
        raise in_doubt_error(members, ends, "not restored")
    console.good(f"recovered: {len(ends)} of {len(members)} infrastructures of {first.target.stage}, verified")


def _look(
    members: Sequence[Member], settings: RolloutSettings, report: Report, console: Console, signals: Interrupts
) -> None:
    def one(member: Member) -> None:
        deadline = Deadline(member.target.limits.restore)
        with member.target.within(deadline):
            member.live = observe(member.change, deadline)
            member.situation = evidence.to_recover(member.change, member.live)

    with console.waiting(f"looking at {len(members)} infrastructures"):
        ended, stop = side_by_side(members, one, settings.at_once, signals)
    if stop is not None:
        raise Stop(stop.signal)
    failed = [(item.member, item.error) for item in ended if isinstance(item.error, MlopsError)]
    raise_worst(failed, report, "unchanged by this step")


def _is_complete(members: Sequence[Member], rollout: Rollout) -> bool:
    """Whether it was interrupted after its last infrastructure was live and verified."""
    version = rollout.version
    return all(
        member.change.unit.verified == version and member.live is not None and member.live.is_healthy(version)
        for member in members
    )


def _to_go_back(members: Sequence[Member], rollout: Rollout | None, settings: RolloutSettings) -> list[Member]:
    """What is live and verified, and goes back with what failed: the record says it, or without one the nodes."""
    if rollout is not None:
        found = to_be_restored(members, rollout, rollout.version, set())
        return [member for member in found if not member.change.pending]
    if any(member.change.unit.phase is not Phase.NOTED for member in members):
        return []
    return _newer_than_others(members, settings)


def _left_with(members: Sequence[Member], done: set[str], settings: RolloutSettings) -> list[Member]:
    """What goes back because others have, whose version was put in order just now (``done``)."""
    if any(one.place not in done and one.change.unit.phase is not Phase.NOTED for one in members):
        return []
    for member in members:
        with member.target.within(Deadline(pace().look)):
            member.live = member.target.observe()
    return [member for member in _newer_than_others(members, settings) if not member.change.pending]


def _newer_than_others(members: Sequence[Member], settings: RolloutSettings) -> list[Member]:
    """Those with the version that came last, where a process that is gone was at work on all, and they differ."""
    alone = all(member.target.found_dead for member in members) and settings.on_failure == "rollback_all"
    versions = {member.live.version for member in members if member.live}
    if not alone or len(versions) < 2:
        return []
    # All have the note of a process that is gone: it was at work on all of them, and has not come to its end.
    began: dict[str, int] = {}
    for member in members:
        assert member.live is not None
        with member.target.within(Deadline(pace().look)):
            for past in member.target.made_live(member.live):
                began[past.version] = min(past.started, began.get(past.version, past.started))
    there = [version for version in versions if version in began]
    newest = max(there, key=lambda version: began[version], default=None) if there else None
    return [one for one in members if newest and one.live and one.live.version == newest]


def _put_in_order(member: Member, goes_back: bool) -> str:
    change, live, situation = member.change, member.live, member.situation
    assert live is not None
    assert situation is not None
    if not goes_back:
        return put_in_order(change, live, situation, Deadline(member.target.limits.restore)) or f"{live}, verified"
    if change.unit.phase is Phase.LIVE:
        return back_from_live(member, INTERRUPTED)
    with member.target.within(Deadline(member.target.limits.restore)):
        before = evidence.version_before(member.target, live, str(live.version))
    seen = Named(version=live.version, enabled=live.deployment.enabled if live.deployment else True)
    previous = previous_of(live, before, enabled=True) if before else Previous(version=None, seen=seen)
    change.go_back(live.version, live, previous, INTERRUPTED)
    return f"{restore(change, INTERRUPTED)}, verified"


def _age(member: Member, rollout: Rollout | None) -> int:
    order = rollout.changed if rollout else []
    return order.index(member.infra) if member.infra in order else len(order) + member.wave


def _note(first: Member, rollout: Rollout | None, record: ReleaseRecord, console: Console, state: str) -> None:
    if rollout is None:
        return
    rollout.reach(state, INTERRUPTED)  # type: ignore[arg-type]
    try:
        record.save(first.change.record_path)
    except ConfigError as error:
        console.warn(error.message)
