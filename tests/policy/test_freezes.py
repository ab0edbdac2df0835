"""Freezes by the clock of their own time zone, over the changes of that clock too."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from mlops_steps.config.policy import Freeze
from mlops_steps.policy.freezes import frozen, in_words, is_on


def freeze(**keys: Any) -> Freeze:
    return Freeze.model_validate({"name": "f", "timezone": "UTC", **keys})


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=timezone.utc)


FRIDAY = {"days": ["fri"], "hours": "16:00-24:00", "timezone": "Europe/Paris"}
NIGHT = {"days": ["fri"], "hours": "22:00-06:00", "timezone": "America/New_York"}
YEAR_END = {"from": "2026-12-18", "to": "2027-01-04", "timezone": "Pacific/Auckland"}


@pytest.mark.parametrize(
    ("keys", "moment", "on"),
    [
        # Paris is UTC+1 in winter and UTC+2 in summer.
        (FRIDAY, "2026-11-27T14:59", False),
        (FRIDAY, "2026-11-27T15:00", True),
        (FRIDAY, "2026-07-31T13:59", False),
        (FRIDAY, "2026-07-31T14:00", True),
        (FRIDAY, "2026-11-27T22:59", True),
        (FRIDAY, "2026-11-27T23:00", False),
        # The night of Friday ends on Saturday, and that of Thursday is none.
        (NIGHT, "2026-11-28T03:00", True),
        (NIGHT, "2026-11-28T10:59", True),
        (NIGHT, "2026-11-28T11:00", False),
        (NIGHT, "2026-11-27T04:00", False),
        # On 1 November 2026 the clocks of New York go back: Saturday's night is an hour longer.
        ({**NIGHT, "days": ["sat"]}, "2026-11-01T10:59", True),
        ({**NIGHT, "days": ["sat"]}, "2026-11-01T11:00", False),
        # The first day begins in Auckland while it is the day before in London, and the last one belongs to it.
        (YEAR_END, "2026-12-17T10:59", False),
        (YEAR_END, "2026-12-17T11:00", True),
        (YEAR_END, "2027-01-04T10:59", True),
        (YEAR_END, "2027-01-04T11:00", False),
        ({"days": ["sat"], "from": "2026-12-18"}, "2026-12-12T12:00", False),
        ({"days": ["sat"], "from": "2026-12-18"}, "2026-12-19T12:00", True),
    ],
)
def test_when_a_freeze_is_on(keys: dict[str, Any], moment: str, on: bool) -> None:
    assert is_on(freeze(**keys), utc(moment)) is on


def test_it_says_when_the_last_of_them_ends() -> None:
    freezes = [freeze(**FRIDAY), freeze(name="weekend", days=["sat", "sun"], timezone="Europe/Paris")]
    found = frozen(freezes, utc("2026-11-27T15:30"))
    assert str(found) == "freeze f, until 2026-11-30 00:00 Europe/Paris"
    assert frozen(freezes, utc("2026-11-30T00:00")) is None
    for_ever = frozen([freeze(**{"from": "2026-01-01"})], utc("2026-11-27T15:30"))
    assert str(for_ever) == "freeze f, without an end in sight"


def test_it_is_said_in_words() -> None:
    assert in_words(freeze(**FRIDAY)) == "fri 16:00-24:00 Europe/Paris"
    assert in_words(freeze(**YEAR_END)) == "every day from 2026-12-18 to 2027-01-04 Pacific/Auckland"


@given(
    st.lists(st.sampled_from(["mon", "wed", "sat", "sun"]), min_size=1),
    st.tuples(st.integers(0, 23), st.integers(1, 24)).filter(lambda hours: hours[0] != hours[1]),
    st.sampled_from(["Europe/Paris", "America/New_York", "Australia/Lord_Howe", "UTC"]),
    st.datetimes(datetime(2026, 1, 1), datetime(2027, 12, 31)),
)
def test_nothing_is_on_at_the_end_that_it_names(
    days: list[str], hours: tuple[int, int], zone: str, moment: datetime
) -> None:
    one = freeze(days=days, hours=f"{hours[0]:02}:00-{hours[1]:02}:00", timezone=zone)
    now = moment.replace(tzinfo=timezone.utc)
    found = frozen([one], now)
    assert (found is None) is not is_on(one, now)
    if found:
        assert found.until is not None
        assert now < found.until < now + timedelta(days=8)
        assert not is_on(one, found.until)
        assert is_on(one, found.until - timedelta(seconds=1))


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({}, "must say when"),
        ({"days": ["sat"], "timezone": "Europe/Pariss"}, "no time zone"),
        ({"days": ["sat"], "timezone": "../etc/passwd"}, "no time zone"),
        ({"days": ["someday"]}, "Input should be"),
        ({"hours": "25:00-26:00"}, "must be hours"),
        ({"hours": "09:00-09:00"}, "must be hours"),
        ({"hours": "24:00-06:00"}, "must be hours"),
        ({"from": "2027-01-04", "to": "2026-12-18"}, "from must not be after to"),
        ({"from": "next week"}, "date"),
    ],
)
def test_what_is_no_freeze(keys: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        freeze(**keys)
