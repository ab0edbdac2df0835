"""What holds for all tests."""

from __future__ import annotations

import signal
from typing import Any

import pytest

from tests.support import counts, seed

# A suite that is started in the background of a shell inherits an ignored SIGINT, and so would the commands it starts;
# how they take Ctrl-C is what some tests are about.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_configure(config: pytest.Config) -> None:
    """The workers of pytest-xdist inherit the seed of the controller: all of them collect the same tests."""
    if not hasattr(config, "workerinput"):
        seed.fix()


def pytest_report_header() -> str:
    """Which part of the faults this run takes."""
    if seed.what() != seed.SAMPLE:
        return f"faults: {seed.WHAT}={seed.what()}"
    return f"faults: part {seed.seed() % seed.SLICES + 1} of {seed.SLICES} ({seed.SEED}={seed.seed()})"


def pytest_sessionfinish(session: pytest.Session) -> None:
    """A worker of pytest-xdist hands what it has counted to the controller."""
    output = getattr(session.config, "workeroutput", None)
    if output is not None:
        output["counts"] = counts.handed_on()


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any, error: object) -> None:
    """The controller takes it; a worker that crashed has handed on nothing."""
    found = (getattr(node, "workeroutput", None) or {}).get("counts")
    if found:
        counts.take(found)


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Prints what was counted, once, after everything else."""
    found = counts.lines()
    if found:
        terminalreporter.section("counts")
        for line in found:
            terminalreporter.write_line(line)
