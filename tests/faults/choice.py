"""Which cases of a matrix are run: what ``MLOPS_FAULTS`` and the seed say (tests/support/seed.py)."""

from __future__ import annotations

import random
from collections.abc import Callable, Hashable, Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar
from zlib import crc32

import pytest
from coverage import Coverage

from tests.support import seed

C = TypeVar("C")


def chosen(
    matrix: str,
    cases: Iterable[C],
    shows: Callable[[C], set[Hashable]] = lambda _case: set(),
    parts: int = seed.SLICES,
) -> list[C]:
    """The cases of a matrix to run, in their order.

    ``shows`` says what a case shows, its kind and its request for instance: a sample has a core that shows each once.
    Only the matrices of a release have one. What the others show once is shown by them, or by tests of their own.
    ``parts``: a sample is one of so many.
    """
    found = list(cases)
    what = seed.what()
    if what != seed.SAMPLE:
        return [case for case in found if what == seed.ALL or what in f"{matrix}: {case}"]
    number = seed.seed()
    core = _core(found, shows, random.Random(number))
    return [
        case
        for at, case in enumerate(found)
        if at in core or (crc32(f"{matrix}: {case}".encode()) - number) % parts == 0
    ]


def _core(cases: list[C], shows: Callable[[C], set[Hashable]], order: random.Random) -> set[int]:
    """A few cases that show all there is: those first that show most of what is still missing."""
    left = set().union(*map(shows, cases)) if cases else set()
    core: set[int] = set()
    turn = order.sample(range(len(cases)), len(cases))
    most = max((len(shows(case)) for case in cases), default=0)
    for wanted in range(most, 0, -1):
        for at in turn:
            if left and len(shows(cases[at]) & left) >= wanted:
                core.add(at)
                left -= shows(cases[at])
    return core


def parametrized(name: str, cases: Iterable[object]) -> pytest.MarkDecorator:
    """A test for each of the cases, called what they are called."""
    return pytest.mark.parametrize(name, [pytest.param(case, id=str(case)) for case in cases])


@contextmanager
def uncounted() -> Iterator[None]:
    """Without the measuring of coverage, which other tests are for: it would cost half of the time again."""
    measuring = Coverage.current()
    if measuring:
        measuring.stop()
    try:
        yield
    finally:
        if measuring:
            measuring.start()
