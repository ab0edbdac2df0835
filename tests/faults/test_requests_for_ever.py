"""Every request, every fault: each kind of fault at each request of a release, from then on for ever.

In a file of its own, so that it runs beside the faults that come once.
"""

from __future__ import annotations

import pytest

from tests.faults.matrix import FOR_EVER, Point
from tests.faults.test_every_request import check
from tests.faults.world import World

pytestmark = pytest.mark.usefixtures("quick")

WORLDS = 12


@pytest.mark.timeout(3600)
def test_whatever_happens_to_a_request_for_ever_what_is_said_is_true(worlds: list[World], clean: list[Point]) -> None:
    check(worlds, clean, FOR_EVER)
