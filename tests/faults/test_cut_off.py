"""Kill and rerun, abort: a release is cut off at each of its requests, and production is in order afterwards.

By default each request is hit once by each signal, what follows changes from one to the next; `MLOPS_FAULTS=all` runs
every combination, and `MLOPS_FAULTS=TEXT` the cases whose name holds the text.
"""

from __future__ import annotations

import itertools
from collections import Counter

import pytest

from mlops_steps.sandbox.faults.model import Fault
from tests.counts import tell
from tests.faults.cut import ARCHIVED, HUP, INT, KEPT, KILL, LOST, RECOVER, RERUN, TERM, Cut, Ended, play
from tests.faults.matrix import Point, points
from tests.faults.sides import ALL, SAMPLE, choice, played
from tests.faults.world import INFRA, SMOKE, World

WORLDS = 3
FOLLOWS = ((RERUN, KEPT), (RECOVER, KEPT), (RERUN, ARCHIVED), (RECOVER, LOST))


def requests_of(world: World, *, failing: bool) -> list[Point]:
    """The requests that a release makes itself; when its smoke test fails, only those from then on."""
    world.reset()
    if failing:
        world.sandbox.nodes[INFRA].faults.add("scenario-ends", outcome="FAILED", target=SMOKE)
    attempt = world.release()
    assert attempt.code == (4 if failing else 0), attempt.said
    found = [point for point in points(attempt.requests) if point.by == "clients"]
    if not failing:
        return found
    fired = next(number for number, point in enumerate(found) if point.operation.endswith("/run"))
    return found[fired + 1 :]


def moments(found: list[Point]) -> list[tuple[Point, str]]:
    """Before each request has an effect; and after it, where it has one."""
    return [
        (point, act)
        for point in found
        for act in ("before", "after")
        if act == "before" or not point.operation.startswith("GET ")
    ]


def chosen(cases: dict[str, list[list[Cut]]]) -> list[Cut]:
    """Of each moment one case, another one from moment to moment; or what ``MLOPS_FAULTS`` asks for."""
    every = [cut for moments_of in cases.values() for found in moments_of for cut in found]
    if choice() != SAMPLE:
        return [cut for cut in every if choice() == ALL or choice() in str(cut)]
    sample = []
    for moments_of in cases.values():
        turn = itertools.cycle(range(4))
        sample += [found[next(turn) % len(found)] for found in moments_of]
    return sample


def cuts(clean: list[Point], failing: list[Point]) -> dict[str, list[list[Cut]]]:
    """All cases, by signal and moment."""
    both = [(moment, False) for moment in moments(clean)] + [(moment, True) for moment in moments(failing)]
    return {
        KILL: [[Cut(*moment, KILL, then, record, failing=fails) for then, record in FOLLOWS] for moment, fails in both],
        "aborts": [[Cut(*moment, name, failing=fails) for name in (TERM, INT, HUP)] for moment, fails in both],
    }


@pytest.mark.timeout(3600)
def test_a_release_that_is_cut_off_anywhere_leaves_production_in_order(worlds: list[World]) -> None:
    clean, failing = requests_of(worlds[0], failing=False), requests_of(worlds[0], failing=True)
    ended = played(
        worlds, chosen(cuts(clean, failing)), play, lambda cut, error: Ended(cut, True, -1, None, [repr(error)], "")
    )
    tell(table(clean, failing, ended))
    wrong = [f"{end.cut}: {end.wrong}\n{end.said}" for end in ended if end.wrong]
    assert not wrong, f"{len(wrong)} of {len(ended)}\n\n" + "\n\n".join(wrong)
    assert sum(end.struck for end in ended) > len(ended) * 0.9


@pytest.mark.parametrize("then", [RERUN, RECOVER])
def test_an_update_that_goes_on_after_the_kill_is_awaited_and_not_started_again(worlds: list[World], then: str) -> None:
    world = worlds[0]
    found = requests_of(world, failing=False)
    point = next(point for point in found if point.operation.endswith("/actions/update"))
    activate = "POST /projects/*/bundles/imported/*/actions/activate"
    world.reset()
    slow = Fault(kind="late", seconds=1.5, operation=activate, by="deployer", act="before")
    end = play(world, Cut(point, "after", KILL, then), slow)
    assert not end.wrong, f"{end.wrong}\n{end.said}"
    assert end.second == 0
    assert "waiting for an update that is under way" in end.said


def table(clean: list[Point], failing: list[Point], ended: list[Ended]) -> str:
    """The counts: how releases that were cut off ended."""
    rows: dict[str, Counter[str]] = {}
    for end in ended:
        kill = end.cut.signal == KILL
        name = f"{end.cut.signal}, then {end.cut.then}, record {end.cut.record}" if kill else end.cut.signal
        code = end.second if kill else end.first
        rows.setdefault(name, Counter())[f"exit {code}"] += 1
    lines = [f"releases cut off at {len(clean)} requests, and {len(failing)} of a restore: {len(ended)}"]
    lines += [
        f"  {name:50} " + ", ".join(f"{what}: {number}" for what, number in sorted(codes.items()))
        for name, codes in sorted(rows.items())
    ]
    return "\n".join(lines)
