"""Many cases, played side by side: most of the time is spent waiting. And which of them, as ``MLOPS_FAULTS`` says."""

from __future__ import annotations

import os
import queue
import random
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from coverage import Coverage

from tests.faults.matrix import Case
from tests.faults.world import World

C = TypeVar("C")
F = TypeVar("F")

ALL, SAMPLE = "all", "sample"


def choice(default: str = SAMPLE) -> str:
    """``all``, ``sample``, or a text that the name of a case has to hold."""
    return os.environ.get("MLOPS_FAULTS") or default


def wanted(found: list[Case], default: str = SAMPLE) -> list[Case]:
    """The cases to run; a sample holds each kind of fault, once and for ever, and each request."""
    shuffled = random.Random(4).sample(found, len(found))
    what = choice(default)
    if what != SAMPLE:
        return [case for case in shuffled if what == ALL or what in str(case)]
    sample, seen = [], set()
    for case in shuffled:
        new = {(case.kind, case.often), case.point} - seen - {None}
        if new:
            sample.append(case)
            seen |= new
    return sample


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


def played(
    worlds: list[World], chosen: Iterable[C], play: Callable[[World, C], F], failed: Callable[[C, BaseException], F]
) -> list[F]:
    """What came of each case; ``failed`` makes it of a case that could not be played."""
    left: queue.SimpleQueue[C] = queue.SimpleQueue()
    for case in chosen:
        left.put(case)
    found: list[F] = []

    def work(world: World) -> None:
        while True:
            try:
                case = left.get_nowait()
            except queue.Empty:
                return
            try:
                found.append(play(world, case))
            except BaseException as error:
                found.append(failed(case, error))

    threads = [threading.Thread(target=work, args=(world,)) for world in worlds]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found
