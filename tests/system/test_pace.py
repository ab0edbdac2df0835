from __future__ import annotations

import threading
import time

import pytest

from mlops_steps.errors import DeadlineExceeded
from mlops_steps.system.pace import Pace, pace, use
from mlops_steps.system.waiting import Deadline, poll


def test_a_pace_holds_in_all_threads_until_the_end_of_its_block() -> None:
    seen: list[float] = []
    with use(Pace(grace=0.7)):
        thread = threading.Thread(target=lambda: seen.append(pace().grace))
        thread.start()
        thread.join()
    assert (seen, pace()) == ([0.7], Pace())


def test_the_pace_of_before_is_back_after_an_error() -> None:
    with pytest.raises(ValueError, match="no"), use(Pace(grace=0.7)):
        raise ValueError("no")
    assert pace() == Pace()


def test_no_pause_of_a_wait_is_longer_than_the_pace_allows() -> None:
    asked: list[float] = []

    def ask() -> None:
        asked.append(time.monotonic())

    with use(Pace(first=5.0, longest=0.05)), pytest.raises(DeadlineExceeded):
        poll(ask, deadline=Deadline(1.0), what="it", first=3.0, longest=4.0)
    assert len(asked) > 5


def test_what_is_done_after_the_limits_stays_below_the_seconds_that_a_step_may_outlive_them() -> None:
    assert 2 * Pace().grace + Pace().release_note < 10
