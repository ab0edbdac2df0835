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


def chosen(matrix: str, cases: Iterable[C], holds: Callable[[C], set[Hashable]]) -> list[C]:
    """The cases of a matrix to run, in their order.

    ``holds`` says what a case shows, its kind and its request for instance: the core of a sample shows each once.
    """
    found = list(cases)
    what = seed.what()
    if what != seed.SAMPLE:
        return [case for case in found if what == seed.ALL or what in f"{matrix}: {case}"]
    number = seed.seed()
    core = _core(found, holds, random.Random(number))
    return [
        case
        for at, case in enumerate(found)
        if at in core or (crc32(f"{matrix}: {case}".encode()) - number) % seed.SLICES == 0
    ]


def _core(cases: list[C], holds: Callable[[C], set[Hashable]], order: random.Random) -> set[int]:
    """A few cases that show all there is: those first that show most of what is still missing."""
    left = set().union(*map(holds, cases)) if cases else set()
    core: set[int] = set()
    turn = order.sample(range(len(cases)), len(cases))
    most = max((len(holds(case)) for case in cases), default=0)
    for wanted in range(most, 0, -1):
        for at in turn:
            if left and len(holds(cases[at]) & left) >= wanted:
                core.add(at)
                left -= holds(cases[at])
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
