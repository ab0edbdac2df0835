"""A release over several infrastructures is killed or aborted at each of its requests, and production is in order."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.faults.choice import chosen, parametrized, uncounted
from tests.faults.waves import Waves, WavesCut, cuts, play, recorded
from tests.support.counts import tally


@pytest.fixture(scope="module")
def one_world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Waves]:
    with uncounted():
        made = Waves(tmp_path_factory.mktemp("waves"))
    yield made
    made.close()


@pytest.fixture
def waves(one_world: Waves, quick: None) -> Waves:
    one_world.reset()
    return one_world


def test_the_requests_are_those_that_are_recorded(waves: Waves) -> None:
    assert waves.command("release").wait() == 0
    known = {point.name for point in recorded()}
    assert {(node, by, operation) for node, by, operation in waves.requests()} == known, (
        "python -m tests.faults.waves writes them anew"
    )


@parametrized("cut", chosen("waves cut off", cuts(), WavesCut.shows))
def test_a_release_in_waves_that_is_cut_off_anywhere_leaves_production_in_order(waves: Waves, cut: WavesCut) -> None:
    struck, wrong, said = play(waves, cut)
    tally(f"waves cut off: {cut.signal}, {cut.then}, record {cut.record}", "met" if struck else "not met")
    assert not wrong, f"{wrong}\n{said}"
