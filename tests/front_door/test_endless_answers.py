"""No step outlives its limits because of an answer that never ends; nor does the restore of a release."""

from __future__ import annotations

import signal
import time
from collections.abc import Hashable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass

import pytest

from tests.faults.choice import chosen, parametrized
from tests.front_door.conftest import Result, Workspace
from tests.support.endless import EndlessProxy

KINDS = ["status line", "head", "100 Continue", "chunk extension", "trailers", "gzip members"]
STEPS = {
    "validate": (),
    "package": (),
    "deploy": ("--stage", "test"),
    "test": ("--stage", "test"),
    "release": ("--stage", "prod"),
    "recover": ("--stage", "prod"),
    "rollback": ("--stage", "prod"),
    "status": (),
    "doctor": (),
}
# Seconds. The steps' own limits add up to about half of it; before, none of them ended.
LONG = 60.0


class Behind:
    """A workspace whose nodes are all behind proxies."""

    def __init__(self, workspace: Workspace, proxies: list[EndlessProxy]) -> None:
        self.workspace = workspace
        self.proxies = proxies

    def endless(self, kind: str, after: int = 0) -> None:
        for proxy in self.proxies:
            proxy.kind, proxy.after, proxy.endless = kind, after, 0

    @property
    def count(self) -> int:
        return sum(proxy.endless for proxy in self.proxies)


@pytest.fixture
def behind(workspace: Workspace) -> Iterator[Behind]:
    """In production is a bundle; a second one is tested."""
    workspace.released(1)
    workspace.configure(
        http={"retries": 0, "max_wait": "1s", "read_timeout": "2s"},
        deploy={"timeout": "8s", "health_timeout": "2s"},
        release={"timeout": "8s", "smoke_timeout": "20s", "rollback_timeout": "8s"},
        package={"timeout": "8s"},
        validate={"timeout": "8s"},
    )
    with ExitStack() as stack:
        proxies = []
        for name, value in list(workspace.environment.items()):
            if name.startswith("MLOPS_") and name.endswith("_URL"):
                proxies.append(stack.enter_context(closing(EndlessProxy(value))))
                workspace.environment[name] = proxies[-1].url
        yield Behind(workspace, proxies)


def run(behind: Behind, step: str) -> tuple[Result, float]:
    start = time.monotonic()
    result = behind.workspace.run(step, *STEPS[step])
    return result, time.monotonic() - start


@dataclass(frozen=True)
class Endless:
    """A step whose nodes send an answer of this kind, without an end, after so many that are whole."""

    step: str
    kind: str
    after: int

    def shows(self) -> set[Hashable]:
        """What a sample shows: each step, and each kind."""
        return {self.step, self.kind}

    def __str__(self) -> str:
        return f"{self.step}: {self.kind}, after {self.after}"


ENDLESS = [Endless(step, kind, after) for step in STEPS for kind in KINDS for after in range(3)]


@parametrized("case", chosen("endless", ENDLESS, Endless.shows))
def test_a_step_ends_although_answers_do_not(behind: Behind, case: Endless) -> None:
    live, step = behind.workspace.live(), case.step
    behind.endless(case.kind, after=case.after)
    result, seconds = run(behind, step)
    assert seconds < LONG, result.err
    assert behind.count, f"nothing was asked: {result}"
    assert result.code == (1 if step == "doctor" and result.code == 1 else 3), result.err
    assert "Traceback" not in result.err
    assert behind.workspace.live() == live


@parametrized("kind", chosen("endless in a restore", KINDS, lambda _kind: {"one"}))
def test_a_restore_after_a_signal_ends_although_answers_do_not(behind: Behind, kind: str) -> None:
    workspace = behind.workspace
    first = workspace.live()
    workspace.tested(2, smoke="hang")
    runs = len(workspace.runs("auto-prod", "TEST_SMOKE"))
    process = workspace.start("release", "--stage", "prod")
    deadline = time.monotonic() + 60
    while len(workspace.runs("auto-prod", "TEST_SMOKE")) == runs:
        assert time.monotonic() < deadline
        assert process.poll() is None, process.communicate()
        time.sleep(0.1)
    behind.endless(kind)
    process.send_signal(signal.SIGTERM)
    start = time.monotonic()
    result = workspace.finish(process)
    assert time.monotonic() - start < LONG
    assert result.code in (5, 143), result.err
    assert behind.count
    assert "mlops-steps recover" in result.err
    behind.endless("")
    workspace.ok("recover", "--stage", "prod")
    assert workspace.live() == first
