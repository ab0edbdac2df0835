"""Several questions at once, in an order that does not depend on who answers first."""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Callable, Iterable
from queue import Empty, SimpleQueue
from typing import TypeVar

T = TypeVar("T")

# One project is read with as many connections as a browser would open.
WORKERS = 8


def gather(questions: Iterable[Callable[[], T]], workers: int = WORKERS) -> list[T]:
    """The answers, in the order of the questions; at most ``workers`` are asked at the same time.

    After the first error no further question is asked, and the error is raised at once. Threads are daemons: a signal
    need not wait for an answer.
    """
    todo: SimpleQueue[tuple[int, Callable[[], T]]] = SimpleQueue()
    done: SimpleQueue[tuple[int, T | None, BaseException | None]] = SimpleQueue()
    stopped = threading.Event()
    count = 0
    for question in questions:
        todo.put((count, question))
        count += 1

    def work() -> None:
        while not stopped.is_set():
            try:
                index, ask = todo.get_nowait()
            except Empty:
                return
            try:
                done.put((index, ask(), None))
            except BaseException as error:  # handed over to the caller's thread
                stopped.set()
                done.put((index, None, error))

    for _ in range(min(workers, count)):
        threading.Thread(target=contextvars.copy_context().run, args=(work,), daemon=True).start()
    answers: dict[int, T] = {}
    try:
        while len(answers) < count:
            try:
                index, answer, error = done.get(timeout=0.5)  # in pieces, so that a signal handler gets its turn
            except Empty:
                continue
            if error is not None:
                raise error
            answers[index] = answer  # type: ignore[assignment]
    finally:
        stopped.set()
    return [answers[index] for index in range(count)]
