"""No request without an answer makes a release outlive its limits, with the limits of requests that users have.

The other tests have small limits for requests, and would not see one that no limit of the step is in force for.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.counts import tell
from tests.faults.matrix import FOR_EVER, Case, Finding, at_requests, play, points
from tests.faults.sides import played
from tests.faults.world import INFRA, LIMITS, LONGEST, SMOKE, World

pytestmark = pytest.mark.usefixtures("quick")

WORLDS = 12
SILENT = ("never before", "never after")


class NewWorld(World):
    """The default time limits of requests; the smoke test fails, if so wished."""

    fails = False

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.settings = self._settings("mlops.yml", {**LIMITS, "http": {}})

    def reset(self) -> None:
        super().reset()
        if self.fails:
            self.sandbox.nodes[INFRA].faults.add("scenario-ends", outcome="FAILED", target=SMOKE)


def silent(worlds: list[NewWorld], fails: bool) -> list[Case]:
    """A node that is silent from a request of the release on, for each request."""
    for world in worlds:
        world.fails = fails
    worlds[0].reset()
    clean = worlds[0].release()
    assert clean.code == (4 if fails else 0)
    return [
        case
        for case in at_requests(points(clean.requests))
        if case.kind in SILENT and case.often == FOR_EVER and case.point and case.point.by == "clients"
    ]


def failed(case: Case, error: BaseException) -> Finding:
    return Finding(case, -1, True, 0.0, [repr(error)], "")


@pytest.mark.timeout(1800)
def test_a_node_that_falls_silent_does_not_make_a_release_outlive_its_limits(worlds: list[NewWorld]) -> None:
    rolled_back = silent(worlds, True)
    found = played(worlds, rolled_back, play, failed)
    released = [case for case in silent(worlds, False) if case not in rolled_back]
    assert released, "at least the last look after the smoke test"
    found += played(worlds, released, play, failed)
    longest = max((finding.seconds for finding in found), default=0.0)
    tell(f"silent for ever, with the default limits of requests: {len(found)} requests, longest {longest:.1f} s")
    wrong = [
        f"{one.case}: exit code {one.code}, {one.seconds:.1f} s: {one.wrong}\n{one.said}" for one in found if one.wrong
    ]
    assert not wrong, f"{len(wrong)} of {len(found)}\n\n" + "\n\n".join(wrong)
    assert longest < LONGEST
