"""Worlds to break things in."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from unittest.mock import patch

import pytest

from tests.faults.matrix import Point, points
from tests.faults.sides import uncounted
from tests.faults.world import World, hasty

_NEEDED = ("PATH", "HOME", "TMPDIR", "LANG", "LC_ALL", "JAVA_HOME", "MLOPS_FAULTS", "PYTEST_CURRENT_TEST")


@pytest.fixture(scope="module")
def quick() -> Iterator[None]:
    """Short pauses in this process, no log, and no measuring of coverage.

    The environment is small, because requests reads all of it for each request, and nothing is flushed to disk: what a
    machine that loses its power keeps is not what these tests are about.
    """
    logging.disable(logging.CRITICAL)
    small = {name: value for name, value in os.environ.items() if name in _NEEDED or name.startswith("COV")}
    with hasty(), uncounted(), patch.dict(os.environ, small, clear=True), patch("os.fsync"):
        yield
    logging.disable(logging.NOTSET)


@pytest.fixture(scope="module")
def worlds(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[World]]:
    """As many as the module's ``WORLDS`` says, of its ``NewWorld`` if it has one."""
    make: type[World] = getattr(request.module, "NewWorld", World)
    made = [make(tmp_path_factory.mktemp(f"world-{number}")) for number in range(request.module.WORLDS)]
    yield made
    for world in made:
        world.close()


@pytest.fixture(scope="module")
def clean(worlds: list[World]) -> list[Point]:
    """The requests of a release that meets no fault."""
    worlds[0].reset()
    attempt = worlds[0].release()
    assert attempt.code == 0, attempt.said
    return points(attempt.requests)
