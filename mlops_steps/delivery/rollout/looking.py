"""The look at all infrastructures of a stage before the first change of a release in waves."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from mlops_steps.delivery.phases import Phase
from mlops_steps.delivery.plan import NotedPlan, PlannedRelease
from mlops_steps.delivery.planning import check_plan, planned_release
from mlops_steps.delivery.record import Bundle
from mlops_steps.delivery.release import look
from mlops_steps.delivery.rollout.members import Member, side_by_side
from mlops_steps.errors import CheckFailed, Interrupted, MlopsError, Refusal
from mlops_steps.report.model import Case, Outcome, Report
from mlops_steps.system.console import Console
from mlops_steps.system.interrupts import Interrupts, Stop
from mlops_steps.system.waiting import Deadline

# Infrastructures that are named in a line.
_NAMED = 10


def look_at_all(
    members: Sequence[Member],
    version: str,
    at_once: int,
    signals: Interrupts,
    report: Report,
    console: Console,
    check: Callable[[Member, Deadline], None],
) -> None:
    """Finds out what is live everywhere, and where a release begins; ``check`` is asked of each. Changes nothing.

    Raises the worst of what is in the way, with all of it as its details: no wave begins when one infrastructure of the
    last wave cannot take the bundle.
    """

    def one(member: Member) -> None:
        deadline = Deadline(member.target.limits.change)
        member.live, member.situation = look(member.change, version, deadline)
        check(member, deadline)

    with console.waiting(f"looking at {len(members)} infrastructures") as wait:
        ended, stop = side_by_side(
            members, one, at_once, signals, say=lambda done, _active: wait.state(f"{done} of {len(members)}")
        )
    if stop is not None:
        raise Stop(stop.signal)
    raise_worst(
        [(item.member, item.error) for item in ended if isinstance(item.error, MlopsError)], report, "untouched"
    )


def raise_worst(failed: Sequence[tuple[Member, MlopsError]], report: Report, what: str) -> None:
    """Raises the error of the highest exit code, and says of each infrastructure what is in the way.

    ``what`` says what became of the stage.
    """
    if not failed:
        return
    for member, error in failed:
        case = report.add(Case(member.place, Outcome.FAILURE, error.message, "\n".join(error.lines())))
        if not isinstance(error, CheckFailed):
            case.outcome = Outcome.ERROR
    member, worst = max(failed, key=lambda pair: pair[1].exit_code)
    stage = member.target.stage
    others = [f"{other.place}: {error.message}" for other, error in failed if other is not member]
    more = f" (and on {len(others)} more)" if others else ""
    text = f"{stage}, {member.place}: {worst.message}{more}" + (f"; {stage} is {what}" if what else "")
    raised = _like(worst, text)
    raised.details = (*worst.details, *others)
    raised.live, raised.next_step, raised.is_reported = worst.live, worst.next_step, True
    raise raised


def _like(error: MlopsError, text: str) -> MlopsError:
    """An error of the same kind with another text."""
    if isinstance(error, Interrupted):
        return Interrupted(text, signal_number=error.exit_code - 128)
    if isinstance(error, Refusal):
        return Refusal(text, error.status)
    return type(error)(text)


def announce_waves(members: Sequence[Member], bundle: Bundle, console: Console) -> None:
    """Says which infrastructures the bundle goes to, in which wave, and what is live there."""
    for number in sorted({member.wave for member in members}):
        wave = [member for member in members if member.wave == number]
        there = [member for member in wave if member.situation and member.situation.phase is Phase.LIVE]
        done = f" ({len(there)} of {len(wave)} have it already)" if there else ""
        shown = ", ".join(member.place for member in wave[:_NAMED])
        more = f" and {len(wave) - _NAMED} more" if len(wave) > _NAMED else ""
        console.line(f"wave {number}: bundle {bundle.id} to {shown}{more}{done}")


def planned_waves(members: Sequence[Member], bundle: Bundle) -> PlannedRelease:
    """What a release in waves does now."""
    plans = [
        planned_release(member.change, member.live, member.situation, bundle)
        for member in members
        if member.live is not None and member.situation is not None
    ]
    waves = [
        [member.infra for member in members if member.wave == number]
        for number in sorted({member.wave for member in members})
    ]
    return plans[0].model_copy(update={"units": [unit for plan in plans for unit in plan.units], "waves": waves})


def check_plan_of_waves(plan: NotedPlan | None, members: Sequence[Member], bundle: Bundle, report: Report) -> None:
    """Raises :class:`CheckFailed` when a release would not do any more what the plan says.

    What an earlier attempt has begun by this plan has changed what is live: then only the archive counts.
    """
    if plan is None:
        return
    begun = [member.situation for member in members if member.situation and member.situation.phase is not Phase.NOTED]
    first = members[0].situation
    assert first is not None
    check_plan(plan, planned_waves(members, bundle), begun[0] if begun else first, report)


def limit_of(members: Sequence[Member]) -> float:
    """The seconds after which a release in waves, its restore included, cannot be at work any more."""
    target = members[0].target
    stage = target.settings.stage(target.stage)
    limits, rollout = target.limits, stage.rollout
    count = max(member.wave for member in members)
    rounds = sum(
        math.ceil(sum(member.wave == number for member in members) / rollout.at_once) for number in range(1, count + 1)
    )
    return rounds * (limits.change + limits.verify + limits.restore) + (count - 1) * (rollout.soak or 0.0)
