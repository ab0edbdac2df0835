"""What holds for all tests."""

from __future__ import annotations

import signal
from itertools import groupby, islice
from typing import Any

import pytest

from mlops_steps.sandbox.runtime.forks import FORKS
from tests.support import counts, measuring, seed

# A suite that is started in the background of a shell inherits an ignored SIGINT, and so would the commands it starts;
# how they take Ctrl-C is what some tests are about.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_configure(config: pytest.Config) -> None:
    """The workers of pytest-xdist inherit the seed of the controller: all of them collect the same tests."""
    if not hasattr(config, "workerinput"):
        seed.fix()
    # What the sandboxes of this process fork users' code from outlives each of them: it imports scikit-learn once.
    FORKS.join("tests")
    measuring.leave_out_the_sandbox()


def pytest_report_header() -> str:
    """Which part of the faults this run takes."""
    if seed.what() != seed.SAMPLE:
        return f"faults: {seed.WHAT}={seed.what()}"
    return f"faults: part {seed.seed() % seed.SLICES + 1} of {seed.SLICES} ({seed.SEED}={seed.seed()})"


#: What takes longest, first: what is last is shared out in the smallest pieces.
LONGEST_FIRST = ("sandbox/play", "jenkins_library", "front_door", "faults/test_time_limits", "sandbox", "commands")


#: So many of the cases of matrices, which wait for most of their time, run between the files that take long.
BETWEEN = 0.8


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files that take long come first, with cases of matrices between them, so that a core has always work."""
    items.sort(key=_turn)
    matrix = [item for item in items if _is_of_a_matrix(item.nodeid) and not _takes_long(item)]
    long = [item for item in items if _takes_long(item)]
    others = [item for item in items if not (_takes_long(item) or _is_of_a_matrix(item.nodeid))]
    files = [list(found) for _, found in groupby(long, lambda item: item.path)]
    cases, rest = iter(matrix), len(matrix) * BETWEEN
    items.clear()
    for number, file in enumerate(files, 1):
        items += file
        items += islice(cases, round(rest * number / len(files)) - round(rest * (number - 1) / len(files)))
    items += [*others, *cases]


def pytest_collection_finish(session: pytest.Session) -> None:
    """Commands that measure gates import the statistics: once, where there are such tests, and not in each command."""
    if any(word in item.path.name for item in session.items for word in ("gates", "canary")):
        from tests.support.commands import import_first

        import_first("scipy.stats")


def _turn(item: pytest.Item) -> int:
    found = (at for at, name in enumerate(LONGEST_FIRST) if item.nodeid.startswith(f"tests/{name}"))
    return next(found, len(LONGEST_FIRST))


def _takes_long(item: pytest.Item) -> bool:
    return _turn(item) < len(LONGEST_FIRST)


def _is_of_a_matrix(nodeid: str) -> bool:
    return nodeid.startswith("tests/faults/") and "[" in nodeid


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """With ``--dist loadscope`` a file stays together, for its fixtures; each case of a matrix goes its own way."""
    from xdist.scheduler import LoadScopeScheduling

    class Scheduling(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return nodeid if _is_of_a_matrix(nodeid) else nodeid.partition("::")[0]

    return Scheduling(config, log) if config.getoption("dist") == "loadscope" else None


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
