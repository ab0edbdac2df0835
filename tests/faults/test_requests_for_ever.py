"""Every request, every fault: each kind of fault at each request of a release, from then on for ever.

In a file of its own, so that it runs beside the faults that come once.
"""

from __future__ import annotations

import pytest

from tests.faults.apart import Apart
from tests.faults.matrix import FOR_EVER, Point
from tests.faults.test_every_request import check

WORLDS = 10


@pytest.mark.timeout(3600)
def test_whatever_happens_to_a_request_for_ever_what_is_said_is_true(apart: Apart, clean: list[Point]) -> None:
    check(apart, clean, FOR_EVER)
