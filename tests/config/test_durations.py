from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlops_steps.config.durations import LONGEST, parse_duration


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("30m", 1800), ("90s", 90), ("1h30m", 5400), ("1d", 86400), ("45", 45), (45, 45), (0.5, 0.5), ("1.5h", 5400)],
)
def test_a_duration_is_held_in_seconds(text: object, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    "text",
    [
        "",
        "0",
        "0s",
        "-5m",
        "30 minutes",
        "1:30",
        "m",
        "5m5h",
        "nan",
        "inf",
        "1e3",
        "31d",
        "٣m",
        "5m\n5",
        True,
        None,
        [],
    ],
)
def test_what_is_no_duration_is_refused(text: object) -> None:
    with pytest.raises(ValueError, match=r"must be"):
        parse_duration(text)


@given(st.one_of(st.text(), st.floats(), st.integers(), st.from_regex(r"[0-9.]{0,12}[dhms]?[0-9]{0,3}[dhms]?")))
def test_whatever_is_given_the_result_is_a_wait_that_ends(value: object) -> None:
    try:
        seconds = parse_duration(value)
    except ValueError:
        return
    assert 0 < seconds <= LONGEST
