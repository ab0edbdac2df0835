"""How a release in waves ended as a whole: on each infrastructure, in one error, with what is live everywhere."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from mlops_steps.delivery.phases import Phase
from mlops_steps.delivery.rollout.members import Member
from mlops_steps.delivery.rollout.progress import Rollout, State
from mlops_steps.errors import Interrupted, MlopsError, ProductionInDoubt, RolledBack
from mlops_steps.system.interrupts import Stop

# Infrastructures that are named in a line; a report has them all.
_NAMED = 12


@dataclass(frozen=True)
class End:
    """How an infrastructure ended that a failed release has changed, or was about to: ``live`` is in words."""

    member: Member
    how: Literal["restored", "untouched", "in doubt"]
    live: str
    why: str = ""
    details: tuple[str, ...] = ()
    error: MlopsError | None = None

    @property
    def in_doubt(self) -> bool:
        return self.how == "in doubt"


def conclude(
    members: Sequence[Member],
    ends: Sequence[End],
    rollout: Rollout,
    version: str,
    cause: MlopsError | Stop,
    why: str,
) -> tuple[State, MlopsError]:
    """The state that it ends in, and its error: 4 only when each that was changed is back, 5 otherwise."""
    stage = members[0].target.stage
    doubt = [end for end in ends if end.in_doubt]
    back = any(end.how == "restored" for end in ends) or any(
        # By an earlier run, which was interrupted.
        member.infra in rollout.changed and member.change.unit.phase is Phase.RESTORED
        for member in members
    )
    infras = {end.member.infra for end in ends}
    kept = [
        member
        for member in members
        if member.infra in rollout.changed and member.infra not in infras and member.change.unit.verified == version
    ]
    live = _live(members, ends, version, kept)
    details = [f"{end.member.place}: {end.why}; live now: {end.live}" for end in ends]
    if doubt:
        return "in doubt", ProductionInDoubt(
            f"{stage}: the release failed and what was live before could not be restored on {len(doubt)} of "
            f"{len(members)} infrastructures: {names([end.member for end in doubt])}",
            details=[f"the release failed because: {why}", *details[:50], *doubt[0].details],
            live=live,
            next_step=f"run `mlops-steps recover --stage {stage}`: it restores them all",
        )
    if isinstance(cause, Stop):
        text = "nothing was changed"
        if back:
            text = "what was live before is live again on all that were changed, verified"
        if kept:
            text = f"bundle {version} stays on {names(kept)}, as on_failure: {rollout.on_failure} says"
        state: State = "stopped" if kept else "restored"
        return state, Interrupted(
            f"{stage}: the release of bundle {version} was {why}; {text}", signal_number=cause.signal, live=live
        )
    if kept:
        return "stopped", ProductionInDoubt(
            f"{stage}: the release of bundle {version} stopped in wave {rollout.wave} of {rollout.waves}: {why}; "
            f"{names(kept)} have bundle {version}, verified, and the others do not",
            details=details[:50],
            live=live,
            next_step=f"fix what failed and run the release again, which goes on with the others; or "
            f"`mlops-steps rollback --stage {stage}` takes it back everywhere",
        )
    if not back:
        cause.live = cause.live or live
        return "restored", cause
    return "restored", RolledBack(
        f"{stage}: bundle {version} was not released: {why}",
        details=[*details[:50], *cause.details],
        live=f"{live}, verified",
        next_step="look at the failed check in the report, fix it on the Design node, then run the pipeline again",
    )


def in_doubt_error(members: Sequence[Member], ends: Sequence[End], what: str) -> ProductionInDoubt:
    """The error for what could not be put in order, on which of the infrastructures; ``what`` became of them."""
    stage = members[0].target.stage
    doubt = [end for end in ends if end.in_doubt]
    error = ProductionInDoubt(
        f"{stage}: {what} on {len(doubt)} of {len(members)} infrastructures: {names([end.member for end in doubt])}",
        details=[f"{end.member.place}: {end.why}; live now: {end.live}" for end in doubt[:50]],
        live="; ".join(f"{end.member.place}: {end.live}" for end in ends[:50]),
        next_step=f"look at these nodes, then run `mlops-steps recover --stage {stage}`",
    )
    error.is_reported = True
    return error


def _live(members: Sequence[Member], ends: Sequence[End], version: str, kept: Sequence[Member]) -> str:
    """What is live where, grouped by what it is."""
    by_infra = {end.member.infra: end for end in ends}
    groups: dict[str, list[Member]] = {}
    for member in members:
        end = by_infra.get(member.infra)
        if member in kept or (end is None and member.change.unit.verified == version):
            what = f"bundle {version}"
        elif end is not None and end.in_doubt:
            what = "unknown"
        else:
            before = member.change.unit.previous or (member.situation and member.situation.previous)
            what = f"bundle {before.version}" if before and before.version else "nothing"
        groups.setdefault(what, []).append(member)
    return "; ".join(f"{what} on {names(found)}" for what, found in groups.items())


def names(members: Sequence[Member]) -> str:
    """The infrastructures, for a line."""
    shown = ", ".join(member.place for member in members[:_NAMED])
    return f"{shown} and {len(members) - _NAMED} more" if len(members) > _NAMED else shown


def live_on_each(members: Sequence[Member]) -> str:
    """What was seen to be live, and on which of them."""
    found: dict[str, list[Member]] = {}
    for member in members:
        version = member.live.version if member.live else None
        found.setdefault(f"bundle {version}" if version else "nothing", []).append(member)
    return "; ".join(f"{what} on {names(some)}" for what, some in found.items())
