"""A sample shows each kind and each request; as many seeds as there are parts see every case; workers choose alike."""

from __future__ import annotations

import pytest

from tests.faults.choice import chosen
from tests.faults.matrix import cases, kind_and_point
from tests.faults.recorded import RELEASE, recorded
from tests.support import seed

ALL_CASES = cases(recorded(RELEASE))


def names(monkeypatch: pytest.MonkeyPatch, what: str, number: int = 0) -> set[str]:
    monkeypatch.setenv(seed.WHAT, what)
    monkeypatch.setenv(seed.SEED, str(number))
    return {str(case) for case in chosen(RELEASE, ALL_CASES, kind_and_point)}


def test_a_row_of_seeds_sees_every_case(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = set().union(*(names(monkeypatch, seed.SAMPLE, 1000 + number) for number in range(seed.SLICES)))
    assert seen == names(monkeypatch, seed.ALL) == {str(case) for case in ALL_CASES}


@pytest.mark.parametrize("number", [0, 7, 123_456_789])
def test_a_sample_is_small_and_shows_each_kind_and_each_request(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    sample = names(monkeypatch, seed.SAMPLE, number)
    assert sample == names(monkeypatch, seed.SAMPLE, number)
    assert len(sample) < len(ALL_CASES) / 5
    shown = set().union(*(kind_and_point(case) for case in ALL_CASES if str(case) in sample))
    assert shown == set().union(*map(kind_and_point, ALL_CASES))


def test_a_text_chooses_the_cases_whose_name_holds_it(monkeypatch: pytest.MonkeyPatch) -> None:
    found = names(monkeypatch, "release: 502, once")
    assert found
    assert all(name.startswith("502, once") for name in found)
    assert names(monkeypatch, "no such case") == set()


def test_no_two_cases_have_the_same_name() -> None:
    assert len({str(case) for case in ALL_CASES}) == len(ALL_CASES)
