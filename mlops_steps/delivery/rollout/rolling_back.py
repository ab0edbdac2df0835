"""A rollback on purpose over all infrastructures of a stage: the newest first, each verified."""

from __future__ import annotations

from collections.abc import Sequence

from mlops_steps.delivery.exclusive import all_claimed
from mlops_steps.delivery.going_back import Found, find, go_back_to
from mlops_steps.delivery.record import ReleaseRecord
from mlops_steps.delivery.rollout.ends import End, in_doubt_error
from mlops_steps.delivery.rollout.looking import limit_of, raise_worst
from mlops_steps.delivery.rollout.members import Member, side_by_side
from mlops_steps.delivery.rollout.restoring import restore_all
from mlops_steps.errors import ConfigError, MlopsError
from mlops_steps.report.model import Case, Outcome, Report
from mlops_steps.system.console import Console
from mlops_steps.system.interrupts import Interrupts, Stop
from mlops_steps.system.waiting import Deadline


def roll_back_all(
    members: Sequence[Member],
    to: str | None,
    record: ReleaseRecord,
    report: Report,
    console: Console,
    signals: Interrupts,
    *,
    only: str | None = None,
    because: str = "",
) -> None:
    """Makes an earlier bundle live on each; ``only`` and ``because`` are those of :func:`go_back`.

    The caller holds the locks. Raises :class:`CheckFailed` when one has nothing to go back to (nothing was changed),
    :class:`ProductionInDoubt` when one could not be rolled back.
    """
    first = members[0].target
    settings = first.settings.stage(first.stage).rollout
    limit = first.limits.restore
    with all_claimed([member.target for member in members], console, Deadline(limit), limit_of(members)):
        with first.within(Deadline(limit)):
            published = first.available()
        found: dict[str, Found] = {}

        def look(member: Member) -> None:
            found[member.place] = find(member.change, to, published, Deadline(member.target.limits.restore), only=only)

        ended, stop = side_by_side(members, look, settings.at_once, signals)
        if stop is not None:
            raise Stop(stop.signal)
        raise_worst(
            [(one.member, one.error) for one in ended if isinstance(one.error, MlopsError)], report, "untouched"
        )

        def work(member: Member) -> End:
            now = go_back_to(member.change, found[member.place], member.signals, because=because)
            return End(member, "restored", now, "rolled back")

        with signals.handled() as held, held.shielded():
            ends = restore_all(list(members)[::-1], because or "asked for", work, settings.at_once, signals, console)
            part = record.stage(first.stage)
            doubt = [end for end in ends if end.in_doubt]
            if part.rollout:
                part.rollout.reach("in doubt" if doubt else "restored", because or "rolled back on purpose")
                try:
                    record.save(members[0].change.record_path)
                except ConfigError as error:
                    console.warn(error.message)
    for end in ends:
        outcome = Outcome.ERROR if end.in_doubt else Outcome.PASSED
        report.add(Case(end.member.place, outcome, end.why if end.in_doubt else "", stdout=end.live))
    if doubt:
        raise in_doubt_error(members, ends, "not rolled back")
    console.good(f"rolled back: {len(members)} infrastructures of {first.stage}, verified")
