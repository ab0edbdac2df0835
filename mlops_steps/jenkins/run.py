"""One build from its console to its end, and what is said of it then."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from mlops_steps.errors import CheckFailed
from mlops_steps.jenkins import builds, stages, test_results
from mlops_steps.jenkins.builds import Build
from mlops_steps.jenkins.questions import Questions
from mlops_steps.jenkins.session import Session
from mlops_steps.jenkins.stages import Stage
from mlops_steps.jenkins.test_results import Summary
from mlops_steps.system.secrets import redact
from mlops_steps.system.text import clean, one_line
from mlops_steps.system.waiting import Deadline, duration

# Names of tests that are listed of each kind.
_LISTED = 20

_NOTE = re.compile(r"\x1b\[8mha:[A-Za-z0-9+/=]*(?:\x1b\[0m)?")

_MARKS = {"passed": "ok", "FAILED": "FAILED"}


@dataclass(frozen=True)
class End:
    """How a build ended. ``tests`` is ``None`` when it has no test report."""

    build: Build
    result: str
    seconds: float
    description: str
    stages: list[Stage]
    tests: Summary | None


def follow(
    session: Session,
    build: Build,
    deadline: Deadline,
    write: Callable[[str], None],
    asked: Callable[[str, str | None], None] = lambda _what, _question: None,
) -> End:
    """Hands the console to ``write`` line by line as it grows, and returns how the build ended.

    ``asked`` is called when the build waits for an answer: for what, and the id of the question if mlopsApprove asks.
    Raises :class:`DeadlineExceeded` when it goes on for longer, :class:`ControllerError`.
    """
    skipped: dict[str, str] = {}
    questions = Questions()
    for line in _lines(builds.console(session, build, deadline)):
        skipped.update(stages.skipped_in([line]))
        write(line)
        question = questions.asked(line)
        if question:
            asked(*question)
    info = builds.wait_for_end(session, build, deadline)
    return End(
        build=build,
        result=str(info.get("result") or "UNKNOWN"),
        seconds=float(info.get("duration") or 0) / 1000,
        description=one_line(str(info.get("description") or ""), 500),
        stages=stages.of(session, build, skipped),
        tests=test_results.of(session, build),
    )


def summary(end: End) -> list[str]:
    """What is said of the end of a build: its stages, its tests against those of the build before, its result."""
    lines = []
    if end.stages:
        width = max(len(stage.name) + 2 * stage.depth for stage in end.stages)
        lines.append("stages:")
        lines += [f"  {'  ' * stage.depth + stage.name:<{width}}  {stage.state}" for stage in end.stages]
    if end.tests is None:
        lines.append("tests: none reported")
    else:
        lines.append(f"tests: {end.tests}")
        lines += _listed("new failure", end.tests.new)
        lines += _listed("still failing", end.tests.still)
        lines += _listed("fixed", dict.fromkeys(end.tests.fixed, ""))
    if end.description:
        lines.append(f"description: {end.description}")
    return lines


def check(end: End) -> str:
    """The last line of a build that succeeded. Raises :class:`CheckFailed` for every other one."""
    line = f"{end.build}: {end.result} after {duration(end.seconds)}, {end.build.url}"
    if end.result == "SUCCESS":
        return line
    failed = [stage.name for stage in end.stages if stage.state in ("FAILED", "unstable", "aborted")]
    raise CheckFailed(line, details=[f"stages: {', '.join(failed)}"] if failed else [])


def _listed(kind: str, tests: Mapping[str, str]) -> list[str]:
    lines = [
        one_line(f"  {kind}: {name}{f': {why}' if why else ''}", 300) for name, why in list(tests.items())[:_LISTED]
    ]
    lines = [f"  {line}" for line in lines]
    if len(tests) > _LISTED:
        lines.append(f"  {kind}: and {len(tests) - _LISTED} more")
    return lines


def _lines(pieces: Iterator[str]) -> Iterator[str]:
    """Whole lines without terminal escapes, secrets masked: half a secret at the end of a piece would pass."""
    rest = ""
    for piece in pieces:
        *whole, rest = (rest + piece).split("\n")
        yield from (_safe(line) for line in whole)
    if rest:
        yield _safe(rest)


def _safe(line: str) -> str:
    """The line without Jenkins' own notes, which are an object in base64 between two escapes."""
    return redact(clean(_NOTE.sub("", line.rstrip("\r"))))
