"""Whether a freeze is on, by the clock of its own time zone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta, timezone
from zoneinfo import ZoneInfo

from mlops_steps.config.policy import Freeze

_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_LONGEST = 400  # days; a freeze that lasts longer has no end that is worth naming


@dataclass(frozen=True)
class Frozen:
    """A freeze that is on. ``until`` is when no freeze is on any more; ``None``: not within a year."""

    freeze: Freeze
    until: datetime | None

    def __str__(self) -> str:
        end = f"until {self.until:%Y-%m-%d %H:%M} {self.freeze.timezone}" if self.until else "without an end in sight"
        return f"freeze {self.freeze.name}, {end}"


def frozen(freezes: Sequence[Freeze], now: datetime) -> Frozen | None:
    """The first freeze that is on at that moment (with a time zone); ``None`` if there is none."""
    on = next((freeze for freeze in freezes if is_on(freeze, now)), None)
    return Frozen(on, _end(freezes, on, now)) if on else None


def in_words(freeze: Freeze) -> str:
    """When it is on."""
    days = "every day" if len(freeze.days) == len(_DAYS) else " ".join(freeze.days)
    first = f"from {freeze.first}" if freeze.first else ""
    last = f"to {freeze.last}" if freeze.last else ""
    return " ".join(part for part in (days, freeze.hours, first, last, freeze.timezone) if part)


def is_on(freeze: Freeze, now: datetime) -> bool:
    """Whether it is on at that moment. A night belongs to the day on which it begins."""
    local = now.astimezone(ZoneInfo(freeze.timezone))
    today, clock = local.date(), local.time()
    crosses = freeze.end is not None and freeze.end <= freeze.start
    if _is_day(freeze, today) and freeze.start <= clock and (crosses or freeze.end is None or clock < freeze.end):
        return True
    return crosses and freeze.end is not None and _is_day(freeze, today - timedelta(days=1)) and clock < freeze.end


def _is_day(freeze: Freeze, day: date) -> bool:
    if (freeze.first and day < freeze.first) or (freeze.last and day > freeze.last):
        return False
    return _DAYS[day.weekday()] in freeze.days


def _end(freezes: Sequence[Freeze], on: Freeze, now: datetime) -> datetime | None:
    """The first moment at which none is on: some freeze ends then, at an hour of its own or at midnight."""
    moments = set()
    for freeze in freezes:
        zone = ZoneInfo(freeze.timezone)
        today = now.astimezone(zone).date()
        for ahead in range(_LONGEST):
            day = today + timedelta(days=ahead)
            for clock in {time(0), freeze.end or time(0)}:
                moments.add(datetime.combine(day, clock, zone).astimezone(timezone.utc))
    later = sorted(moment for moment in moments if moment > now)
    found = next((moment for moment in later if not any(is_on(freeze, moment) for freeze in freezes)), None)
    return found.astimezone(ZoneInfo(on.timezone)) if found else None
