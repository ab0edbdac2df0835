from __future__ import annotations

import threading

import pytest

from mlops_steps.system.parallel import gather


def test_answers_come_in_the_order_of_the_questions() -> None:
    first_may_answer = threading.Event()

    def slow() -> str:
        assert first_may_answer.wait(10)
        return "first"

    def quick() -> str:
        first_may_answer.set()
        return "second"

    assert gather([slow, quick]) == ["first", "second"]
    assert gather([]) == []


def test_no_more_than_the_workers_ask_at_once() -> None:
    lock, now, most = threading.Lock(), 0, 0
    barrier = threading.Barrier(3)

    def question() -> None:
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
        barrier.wait(10)
        with lock:
            now -= 1

    gather([question] * 9, workers=3)
    assert most == 3


def test_the_first_error_is_raised_and_no_further_question_asked() -> None:
    asked: list[int] = []

    def question(number: int) -> None:
        asked.append(number)
        raise ValueError(f"question {number}")

    with pytest.raises(ValueError, match="question 0"):
        gather([lambda number=number: question(number) for number in range(100)], workers=1)  # type: ignore[misc]
    assert asked == [0]
