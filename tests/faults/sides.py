"""Many cases, played side by side: most of the time is spent waiting. And which of them, as ``MLOPS_FAULTS`` says."""

from __future__ import annotations

import os
import queue
import random
import threading
from collections.abc import Callable, Iterable
from typing import TypeVar

from tests.faults.matrix import Case
from tests.faults.world import World

C = TypeVar("C")
F = TypeVar("F")

ALL = "all"


def choice() -> str:
    """``all``, a text that the name of a case has to hold, or nothing: a sample."""
    return os.environ.get("MLOPS_FAULTS", "")


def wanted(found: list[Case]) -> list[Case]:
    """The cases to run; a sample holds each kind of fault, once and for ever, and each request."""
    shuffled = random.Random(4).sample(found, len(found))
    if choice():
        return [case for case in shuffled if choice() == ALL or choice() in str(case)]
    sample, seen = [], set()
    for case in shuffled:
        new = {(case.kind, case.often), case.point} - seen - {None}
        if new:
            sample.append(case)
            seen |= new
    return sample


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
