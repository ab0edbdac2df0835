from __future__ import annotations

import time

import pytest

from mlops_steps.errors import DeadlineExceeded, NodeError
from mlops_steps.system.waiting import BackgroundCall, Deadline, duration, poll


def test_poll_returns_the_first_answer_that_is_there() -> None:
    answers = iter([None, None, 42])
    assert poll(lambda: next(answers), deadline=Deadline(5), what="it", first=0.01) == 42


def test_poll_gives_up_at_the_deadline_and_says_what_it_waited_for() -> None:
    start = time.monotonic()
    with pytest.raises(DeadlineExceeded, match=r"the update: timed out after 0\.3s"):
        poll(lambda: None, deadline=Deadline(0.3), what="the update", first=0.05)
    assert 0.25 < time.monotonic() - start < 1.5


def test_poll_asks_once_more_at_the_deadline() -> None:
    asked: list[float] = []
    end = Deadline(0.3)

    def ask() -> bool | None:
        asked.append(end.remaining)
        return True if end.passed else None

    assert poll(ask, deadline=end, what="it", first=10) is True


def test_a_false_answer_is_an_answer() -> None:
    assert poll(lambda: False, deadline=Deadline(1), what="it") is False


def test_a_deadline_within_another_never_lies_later() -> None:
    assert Deadline(1).at_most(100).remaining <= 1
    assert Deadline(100).at_most(1).remaining <= 1


def test_aside_hands_over_the_answer_and_the_error() -> None:
    assert BackgroundCall(lambda: 7).result() == 7

    def fail() -> int:
        raise NodeError("no")

    with pytest.raises(NodeError, match="no"):
        BackgroundCall(fail).result()


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0s"), (0.26, "0.3s"), (9, "9s"), (59.6, "1m"), (90, "1m30s"), (3600, "1h"), (5461, "1h31m1s")],
)
def test_durations_read_well(seconds: float, text: str) -> None:
    assert duration(seconds) == text
