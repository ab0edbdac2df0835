"""A step on each infrastructure of a stage, side by side: a test case for each, and one error for all."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from mlops_steps.delivery.rollout.looking import raise_worst
from mlops_steps.delivery.rollout.members import Member, side_by_side
from mlops_steps.errors import Interrupted, MlopsError
from mlops_steps.report.model import Case, Report
from mlops_steps.system.console import Console
from mlops_steps.system.interrupts import Interrupts


def on_each(
    members: Sequence[Member],
    work: Callable[[Member], str],
    what: str,
    signals: Interrupts,
    report: Report,
    console: Console,
) -> None:
    """Does the work on all of them, whatever becomes of one; ``work`` returns what is so now, in words.

    ``what`` is what is done, for people. Raises the error of the highest exit code, with all others as its details.
    """
    stage = members[0].target.stage
    settings = members[0].target.settings.stage(stage).rollout
    said: dict[str, str] = {}

    def one(member: Member) -> None:
        said[member.place] = work(member)

    with console.waiting(f"{what} on {len(members)} infrastructures") as wait:
        ended, stop = side_by_side(
            members,
            one,
            settings.at_once,
            signals,
            say=lambda done, active: wait.state(f"{done} of {len(members)}, {active} under way"),
        )
    for member in members:
        if member.place in said:
            report.add(Case(member.place, stdout=said[member.place]))
    failed = [(item.member, item.error) for item in ended if isinstance(item.error, MlopsError)]
    raise_worst(failed, report, "")
    if stop is not None:
        done = ", ".join(said) or "none"
        raise Interrupted(f"{stage}: {what} was interrupted by {stop}; done on: {done}", signal_number=stop.signal)
    console.good(f"{what}: {len(members)} infrastructures of {stage}")
