"""Worlds to break things in."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from tests.faults.matrix import Point, points
from tests.faults.sides import uncounted
from tests.faults.world import World, hasty


@pytest.fixture(scope="module")
def quick() -> Iterator[None]:
    """Short pauses in this process, no log, and no measuring of coverage."""
    logging.disable(logging.CRITICAL)
    with hasty(), uncounted():
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
