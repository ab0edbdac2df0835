"""Kill and rerun, abort: a release is cut off at each of its requests, and production is in order afterwards."""

from __future__ import annotations

import pytest

from mlops_steps.sandbox.faults.model import Fault
from tests.faults.choice import chosen, parametrized
from tests.faults.cut import FOLLOWS, HUP, INT, KILL, RECOVER, RERUN, TERM, Cut, moments, play
from tests.faults.recorded import RELEASE, of_the_restore, own
from tests.faults.world import World
from tests.support.counts import tally


def cuts() -> list[Cut]:
    """Each moment of a release and of a restore, each signal, each sequel of a kill."""
    both = [(moment, False) for moment in moments(own(RELEASE))]
    both += [(moment, True) for moment in moments(of_the_restore())]
    kills = [Cut(*moment, KILL, then, record, failing=fails) for moment, fails in both for then, record in FOLLOWS]
    return kills + [Cut(*moment, name, failing=fails) for moment, fails in both for name in (TERM, INT, HUP)]


@parametrized("cut", chosen("release cut off", cuts(), Cut.shows))
def test_a_release_that_is_cut_off_anywhere_leaves_production_in_order(world: World, cut: Cut) -> None:
    end = play(world, cut)
    code = end.second if cut.signal == KILL else end.first
    row = f"release cut off: {cut.signal}" + (f", {cut.then}, record {cut.record}" if cut.signal == KILL else "")
    tally(row, f"exit {code}", *([] if end.struck else ["not met"]))
    assert not end.wrong, end.said


@pytest.mark.parametrize("then", [RERUN, RECOVER])
def test_an_update_that_goes_on_after_the_kill_is_awaited_and_not_started_again(world: World, then: str) -> None:
    point = next(point for point in own(RELEASE) if point.operation.endswith("/actions/update"))
    activate = "POST /projects/*/bundles/imported/*/actions/activate"
    slow = Fault(kind="late", seconds=1.5, operation=activate, by="deployer", act="before")
    end = play(world, Cut(point, "after", KILL, then), slow)
    assert not end.wrong, f"{end.wrong}\n{end.said}"
    assert end.second == 0
    assert "waiting for an update that is under way" in end.said
