"""One world to break things in for all tests of a process."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from unittest.mock import patch

import pytest

from mlops_steps.system.pace import use
from tests.faults.choice import uncounted
from tests.faults.world import World
from tests.support.pace import QUICK

_NEEDED = ("PATH", "HOME", "TMPDIR", "LANG", "LC_ALL", "JAVA_HOME", "PYTEST_CURRENT_TEST")


@pytest.fixture(autouse=True)
def quick() -> Iterator[None]:
    """Short pauses in this process, no log, and no measuring of coverage.

    The environment is small, because requests reads all of it for each request, and nothing is flushed to disk: what a
    machine that loses its power keeps is not what these tests are about.
    """
    logging.disable(logging.CRITICAL)
    small = {name: value for name, value in os.environ.items() if name in _NEEDED or name.startswith("COV")}
    with use(QUICK), uncounted(), patch.dict(os.environ, small, clear=True), patch("os.fsync"):
        yield
    logging.disable(logging.NOTSET)


@pytest.fixture(scope="session")
def one_world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with uncounted():
        made = World(tmp_path_factory.mktemp("world"))
    yield made
    made.close()


@pytest.fixture
def world(one_world: World, quick: None) -> World:
    """As before each release: the old bundle is live, the new one has passed its tests."""
    one_world.reset()
    return one_world
