"""The four figures of software delivery: how often, how fast, how many fail, how soon they are put right.

They are those of the DORA research programme (https://dora.dev/guides/dora-metrics-four-keys/).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

from mlops_steps.insight.history import PastChange
from mlops_steps.system.waiting import duration

#: Figures that rest on fewer observations than this say so.
FEW = 5
_DAY = 86_400.0
_LIVE = ("released", "released again")


@dataclass(frozen=True)
class Commit:
    """A commit of a project, and when it was made, in seconds since 1970."""

    id: str
    at: float


@dataclass(frozen=True)
class Figures:
    """``None``: nothing is known to reckon with. Times are in seconds; ``too_little`` says which rest on little."""

    days: float
    deployments: int
    by_hand: int
    not_known: int
    deployments_per_week: float
    lead_time: float | None
    lead_time_commits: int
    change_failure_rate: float | None
    failed: int
    attempts: int
    time_to_restore: float | None
    restored: int
    too_little: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """Plain data, for JSON."""
        return asdict(self)


def figures(
    histories: Mapping[str, Sequence[PastChange]],
    commits: Mapping[str, Sequence[Commit]],
    since: float,
    until: float,
) -> Figures:
    """The figures of these projects together, between two moments.

    ``histories`` are all changes by project, the oldest first: what came before counts for what is told apart by it.
    ``commits`` are those of each project, the newest first.
    """
    counted = {project: [one for one in known if since <= one.ended <= until] for project, known in histories.items()}
    all_changes = [change for known in counted.values() for change in known]
    live = [change for change in all_changes if change.what in _LIVE]
    leads = [
        lead
        for project, known in histories.items()
        for lead in _lead_times(known, commits.get(project, ()), since, until)
    ]
    tried = [attempt for known in histories.values() for attempt in _attempts(known) if since <= attempt.at <= until]
    failed = [attempt for attempt in tried if attempt.failed]
    restores = [attempt.restored - attempt.at for attempt in failed if attempt.restored is not None]
    days = max((until - since) / _DAY, 1 / 24)
    counts = {
        "deployment frequency": len(live),
        "lead time": len(leads),
        "change failure rate": len(tried),
        "time to restore": len(restores),
    }
    return Figures(
        round(days, 2),
        len(live),
        sum(change.source == "by hand" for change in live),
        sum(change.source == "not known" for change in live),
        round(7 * len(live) / days, 2),
        median(leads) if leads else None,
        len(leads),
        round(len(failed) / len(tried), 4) if tried else None,
        len(failed),
        len(tried),
        median(restores) if restores else None,
        len(restores),
        tuple(f"{name} rests on {count or 'nothing'}" for name, count in counts.items() if count < FEW),
    )


@dataclass(frozen=True)
class _Attempt:
    """An attempt to make a version live; ``restored``: when what failed was put right."""

    at: float
    failed: bool
    restored: float | None


def _attempts(changes: Sequence[PastChange]) -> list[_Attempt]:
    """Each version that was made live, or that somebody tried to. Tries of the same version in a row are one."""
    known = [change for change in changes if change.what != "updated again"]
    found = []
    for place, change in enumerate(known):
        later = known[place + 1 :]
        after = later[0] if later else None
        if change.what == "failed":
            if after and after.version == change.version:
                continue  # tried once more
            back = next((one for one in changes if one.began > change.began and one.what != "failed"), None)
            found.append(_Attempt(change.ended, True, back.ended if back else None))
        elif change.what == "canary" and after and (after.version, after.what in _LIVE) == (change.version, True):
            continue  # it counts as the release that it became
        elif change.what in (*_LIVE, "canary"):
            back = next((one for one in later if one.what != "failed"), None)
            undone = back is not None and back.what == "rolled back"
            found.append(_Attempt(change.ended, undone, back.ended if undone and back else None))
    return found


def _lead_times(changes: Sequence[PastChange], commits: Sequence[Commit], since: float, until: float) -> list[float]:
    """From each commit to the moment at which it was live for the first time."""
    places = {commit.id: place for place, commit in enumerate(commits)}
    found = []
    reached = len(commits)  # all commits from there on are live, or were before the history begins
    first = True
    for change in changes:
        place = places.get(change.commit)
        if change.what != "released" or place is None or place >= reached:
            continue
        # Of the first release that is known, the commits before it may have been live earlier.
        new = commits[place : place + 1] if first else commits[place:reached]
        if since <= change.ended <= until:
            found += [change.ended - commit.at for commit in new if 0 < commit.at <= change.ended]
        reached, first = place, False
    return found


def in_words(name: str, found: Figures) -> list[str]:
    """The figures for people, a line each."""
    lead = f"{_days(found.lead_time)} (median of {found.lead_time_commits} commits)"
    rate = f"{100 * (found.change_failure_rate or 0):.0f} % ({found.failed} of {found.attempts})"
    restore = f"{_days(found.time_to_restore)} (median of {found.restored})"
    marked = [f"{found.by_hand} by hand"] if found.by_hand else []
    marked += [f"{found.not_known} of unknown origin"] if found.not_known else []
    lines = [
        f"{name}, {found.days:g} days",
        f"  deployment frequency   {found.deployments_per_week:g} a week "
        f"({', '.join([f'{found.deployments} in all', *marked])})",
        f"  lead time for changes  {'not known' if found.lead_time is None else lead}",
        f"  change failure rate    {'not known' if found.change_failure_rate is None else rate}",
        f"  time to restore        {'nothing to restore' if found.time_to_restore is None else restore}",
    ]
    return [*lines, *([f"  too little to go by: {'; '.join(found.too_little)}"] if found.too_little else [])]


def _days(seconds: float | None) -> str:
    if seconds is None:
        return ""
    return f"{seconds / _DAY:.1f} days" if seconds >= 2 * _DAY else duration(round(seconds))
