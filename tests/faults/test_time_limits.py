"""No request without an answer makes a release outlive its limits, with the limits of requests that users have.

The other tests have small limits for requests, and would not see one that no limit of the step is in force for.
"""

from __future__ import annotations

import pytest

from tests.faults.choice import chosen
from tests.faults.matrix import FOR_EVER, Case, at_requests, play
from tests.faults.recorded import RELEASE, of_the_restore, own
from tests.faults.world import LIMITS, World
from tests.support.counts import longest, tally

SILENT = ("never before", "never after")


def silent() -> list[object]:
    """A node that is silent from a request on: those of a release, and those of one whose smoke test fails."""
    found: list[object] = []
    for name, points in ((RELEASE, own(RELEASE)), ("the smoke test fails", of_the_restore())):
        cases = [case for case in at_requests(points) if case.kind in SILENT and case.often == FOR_EVER]
        found += [
            pytest.param(name != RELEASE, case, id=f"{name}: {case}") for case in chosen(f"silent, {name}", cases)
        ]
    return found


@pytest.mark.parametrize(("fails", "case"), silent())
def test_a_node_that_falls_silent_does_not_make_a_release_outlive_its_limits(
    world: World, fails: bool, case: Case
) -> None:
    settings = world.configured({**LIMITS, "http": {}})
    found = play(world, case, settings, fails=fails)
    tally("silent for ever", f"exit {found.code}", *([] if found.struck else ["not met"]))
    longest("silent for ever", found.seconds)
    assert not found.wrong, f"exit code {found.code}\n{found.said}"
