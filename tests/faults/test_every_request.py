"""Every request, every fault: each kind of fault at each request of a release, once and for ever.

However it ends, what was said is what is true.
"""

from __future__ import annotations

from tests.faults.choice import chosen, parametrized
from tests.faults.matrix import Case, cases, kind_and_point, play
from tests.faults.recorded import RELEASE, recorded
from tests.faults.world import World
from tests.support.counts import longest, tally


@parametrized("case", chosen(RELEASE, cases(recorded(RELEASE)), kind_and_point))
def test_whatever_happens_to_a_request_what_is_said_is_true(world: World, case: Case) -> None:
    found = play(world, case)
    row = f"{RELEASE}, {case.often}"
    tally(row, f"exit {found.code}", *([] if found.struck else ["not met"]))
    longest(row, found.seconds)
    assert not found.wrong, f"exit code {found.code}\n{found.said}"
