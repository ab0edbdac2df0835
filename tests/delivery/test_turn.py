"""Waiting for one's turn on a stage."""

from __future__ import annotations

import io
import threading
from pathlib import Path

import pytest

from mlops_steps.config import load
from mlops_steps.delivery.exclusive import stage_lock
from mlops_steps.delivery.turn import in_turn
from mlops_steps.errors import Busy, ConfigError, NodeError
from mlops_steps.report.model import Report
from mlops_steps.steps.context import Context
from mlops_steps.steps.registry import STEPS
from mlops_steps.system.console import Console

NODES = {
    "MLOPS_PROJECT": "CHURN",
    "MLOPS_DESIGN_URL": "https://127.0.0.1:1",
    "MLOPS_PROD_URL": "https://127.0.0.1:3",
    "MLOPS_PROD_INFRA": "auto-prod",
}


@pytest.fixture
def context(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Context:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    console = Console(io.StringIO(), live=False)
    return Context(load(None, NODES, {}), Report("CHURN", "release", "prod"), console)


def said(context: Context) -> list[str]:
    assert isinstance(context.console.stream, io.StringIO)
    return context.console.stream.getvalue().splitlines()


def test_a_step_that_waits_begins_again_when_the_other_one_has_ended(context: Context) -> None:
    held, free = threading.Event(), threading.Event()

    def other() -> None:
        with stage_lock(context.settings, "prod", Console(quiet=True)):
            held.set()
            free.wait(60)

    thread = threading.Thread(target=other)
    thread.start()
    held.wait(60)
    tries = []

    def step() -> None:
        tries.append(1)
        with context.report.case("gate"):
            pass
        if len(tries) > 1:
            free.set()
            thread.join(60)
        with stage_lock(context.settings, "prod", context.console):
            pass

    in_turn(context.report, context.console, "30m", step)
    assert len(tries) == 2
    assert [case.name for case in context.report.cases] == ["gate"]  # of the try that counts
    (line,) = said(context)
    assert line.startswith("stage prod: process ")
    assert line.endswith(" is at work on it; two releases of one stage must not mix; waiting 30m at most")


def test_without_a_wait_the_step_fails_at_once(context: Context) -> None:
    def step() -> None:
        raise Busy("stage prod: other #7 is at work on it")

    with pytest.raises(Busy):
        in_turn(context.report, context.console, None, step)
    assert said(context) == []


def test_the_wait_has_an_end(context: Context) -> None:
    def step() -> None:
        raise Busy("stage prod: other #7 is at work on it")

    with pytest.raises(Busy):
        in_turn(context.report, context.console, "0.1s", step)


def test_nothing_else_is_tried_again(context: Context) -> None:
    tries = []

    def step() -> None:
        tries.append(1)
        raise NodeError("node: no answer")

    with pytest.raises(NodeError):
        in_turn(context.report, context.console, "30m", step)
    assert len(tries) == 1


def test_what_is_no_duration_is_refused(context: Context) -> None:
    with pytest.raises(ConfigError, match="wait: must be a duration such as 30m"):
        in_turn(context.report, context.console, "soon", lambda: None)


@pytest.mark.parametrize("name", ["deploy", "test", "release", "rollback"])
def test_the_steps_that_work_on_a_stage_alone_take_it(name: str) -> None:
    assert "wait" in [option.parameter for option in STEPS[name].options]
