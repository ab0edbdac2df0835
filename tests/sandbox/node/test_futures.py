"""Futures, polled by the official client."""

from __future__ import annotations

import threading
from typing import Any

import dataikuapi
import pytest
from dataikuapi.utils import DataikuException

from mlops_steps.sandbox.node.errors import conflict
from mlops_steps.sandbox.node.futures import Futures, current_future
from mlops_steps.sandbox.node.node import Node


class Work:
    """Work that runs until it is let go."""

    def __init__(self) -> None:
        self.started, self.go = threading.Event(), threading.Event()

    def __call__(self) -> dict[str, Any]:
        self.started.set()
        while not self.go.wait(0.005):
            future = current_future()
            assert future is not None
            future.check()
        return {"done": True}


def test_a_future_is_listed_while_it_runs_and_gives_its_result(design: dataikuapi.DSSClient, design_node: Node) -> None:
    work = Work()
    future = design_node.futures.start(work, label="Long work", project_key="P")
    handle = design.get_future(future.job_id)
    state = handle.peek_state()
    assert (state["hasResult"], state["alive"], state["payload"]["displayName"]) == (False, True, "Long work")
    assert future.job_id in [item["jobId"] for item in design.list_futures()]
    assert handle.has_result() is False
    work.go.set()
    assert handle.wait_for_result() == {"done": True}
    assert future.job_id not in [item["jobId"] for item in design.list_futures()]
    assert handle.get_result() == {"done": True}, "a result can be read again"


def test_a_future_that_failed_raises_its_error(design: dataikuapi.DSSClient, design_node: Node) -> None:
    def fail() -> None:
        raise conflict("that does not go")

    future = design_node.futures.start(fail, label="Fails")
    with pytest.raises(DataikuException, match="that does not go"):
        design.get_future(future.job_id).wait_for_result()
    assert design.get_future(future.job_id).peek_state()["hasResult"] is True


def test_an_unexpected_error_is_told_by_its_type(design: dataikuapi.DSSClient, design_node: Node) -> None:
    future = design_node.futures.start(lambda: 1 / 0, label="Divides")
    with pytest.raises(DataikuException, match="ZeroDivisionError: division by zero"):
        design.get_future(future.job_id).wait_for_result()


def test_an_aborted_future_ends_without_a_result(design: dataikuapi.DSSClient, design_node: Node) -> None:
    work, called = Work(), threading.Event()
    future = design_node.futures.start(work, label="Endless", on_abort=called.set)
    assert work.started.wait(10)
    handle = design.get_future(future.job_id)
    handle.abort()
    assert handle.wait_for_result() is None
    assert handle.state["aborted"] is True
    assert called.is_set()
    handle.abort()


def test_an_unknown_future_is_not_found(design: dataikuapi.DSSClient) -> None:
    with pytest.raises(DataikuException, match="future nope does not exist"):
        design.get_future("nope").get_state()


def test_closing_aborts_what_runs_and_takes_nothing_new() -> None:
    futures, work = Futures(), Work()
    future = futures.start(work, label="Endless")
    assert work.started.wait(10)
    futures.close()
    assert future.done.is_set()
    with pytest.raises(Exception, match="is stopping"):
        futures.start(work, label="Late")


def test_old_futures_are_forgotten() -> None:
    futures = Futures()
    first = futures.start(lambda: 1, label="first")
    assert first.done.wait(10)
    for _ in range(520):
        assert futures.start(lambda: 1, label="more").done.wait(10)
    with pytest.raises(Exception, match="does not exist"):
        futures.get(first.job_id)
