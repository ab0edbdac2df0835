"""Worlds in processes of their own.

Many releases in one process wait for its interpreter lock, and the changing of hands costs as much as the releases.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack, contextmanager
from multiprocessing import forkserver, util
from pathlib import Path
from tempfile import mkdtemp
from typing import TypeVar
from unittest.mock import patch

from tests.faults.world import World, hasty

C = TypeVar("C")
F = TypeVar("F")

#: The variables of the environment that a release in a test has. It is small, because requests reads all of it for
#: each request.
NEEDED = ("PATH", "HOME", "TMPDIR", "LANG", "LC_ALL", "JAVA_HOME", "MLOPS_FAULTS", "PYTEST_CURRENT_TEST")


class Apart:
    """As many worlds as there are processes, and what is asked of them."""

    def __init__(self, pool: ProcessPoolExecutor) -> None:
        self._pool = pool

    def ask(self, question: Callable[[World], F]) -> F:
        """What one of the worlds answers."""
        return self._pool.submit(_ask, question).result()

    def played(
        self, chosen: Iterable[C], play: Callable[[World, C], F], failed: Callable[[C, BaseException], F]
    ) -> list[F]:
        """What came of each case; ``failed`` makes it of a case that could not be played."""
        started = [(case, self._pool.submit(_play, play, case)) for case in chosen]
        found = []
        for case, future in started:
            error = future.exception()
            found.append(future.result() if error is None else failed(case, error))
        return found


@contextmanager
def worlds_apart(number: int, folder: Path) -> Iterator[Apart]:
    """``number`` worlds, each made when it is needed, in a folder of its own in ``folder``."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__, "tests.faults.matrix"])
    unmeasured = {name: value for name, value in os.environ.items() if name in NEEDED}
    with patch.dict(os.environ, unmeasured, clear=True):
        forkserver.ensure_running()
    with ProcessPoolExecutor(number, context, _begin, (folder,)) as pool:
        try:
            yield Apart(pool)
        finally:
            _end(pool)


def _end(pool: ProcessPoolExecutor) -> None:
    """A release goes on through the SIGTERM with which a pool that lost a process ends the others."""
    try:
        pool.submit(os.getpid)
    except BrokenProcessPool:
        for process in multiprocessing.active_children():
            process.kill()
    pool.shutdown(cancel_futures=True)


_world: World | None = None


def _begin(folder: Path) -> None:
    """Makes the world of this process: short pauses, no log, nothing flushed to disk.

    Its releases may end in any way that is true; the tests beside it have to succeed in time, and go first.
    """
    global _world
    os.nice(5)
    logging.disable(logging.CRITICAL)
    stack = ExitStack()
    stack.enter_context(hasty())
    stack.enter_context(patch("os.fsync"))
    _world = World(Path(mkdtemp(dir=folder)))
    stack.callback(_world.close)
    util.Finalize(None, stack.close, exitpriority=10)


def _ask(question: Callable[[World], F]) -> F:
    assert _world is not None
    return question(_world)


def _play(play: Callable[[World, C], F], case: C) -> F:
    assert _world is not None
    return play(_world, case)
