"""The tests of a build against those of the build before.

Newer JUnit plugins no longer say which tests regressed or were fixed, so the two reports are compared here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from mlops_steps.jenkins.builds import Build, ask_of_build
from mlops_steps.jenkins.session import Session

_REPORT = "testReport/"
_TREE = "suites[cases[className,name,status,errorDetails]]"
_BEFORE = "previousBuild[number,url]"

# Builds without tests (broken before they came to it) that are passed over on the way back.
_AT_MOST_BACK = 10

_FAILED = ("FAILED", "REGRESSION")
_PASSED = ("PASSED", "FIXED")


@dataclass(frozen=True)
class Summary:
    """Counts, and the names of tests whose result is news. ``before`` is the number of the build compared with."""

    passed: int
    failed: int
    skipped: int
    before: int | None
    new: dict[str, str] = field(default_factory=dict)
    still: dict[str, str] = field(default_factory=dict)
    fixed: tuple[str, ...] = ()

    def __str__(self) -> str:
        counts = f"{self.passed} passed, {self.failed} failed, {self.skipped} skipped"
        compared = f"against #{self.before}" if self.before else "no earlier build with tests"
        return f"{counts} ({compared}: {len(self.new)} new, {len(self.still)} still failing, {len(self.fixed)} fixed)"


@dataclass(frozen=True)
class _Results:
    passed: frozenset[str]
    failed: dict[str, str]
    skipped: int


def of(session: Session, build: Build) -> Summary | None:
    """The tests of a build; ``None`` when it has no test report."""
    now = _results(session, build)
    if now is None:
        return None
    before_build, before = _before(session, build)
    failed_before = before.failed if before else {}
    return Summary(
        passed=len(now.passed),
        failed=len(now.failed),
        skipped=now.skipped,
        before=before_build.number if before_build else None,
        new={name: why for name, why in now.failed.items() if name not in failed_before},
        still={name: why for name, why in now.failed.items() if name in failed_before},
        fixed=tuple(name for name in failed_before if name in now.passed),
    )


def _before(session: Session, build: Build) -> tuple[Build | None, _Results | None]:
    """The nearest earlier build with a test report."""
    current = build
    for _ in range(_AT_MOST_BACK):
        previous = (ask_of_build(session, current, "", _BEFORE) or {}).get("previousBuild")
        if not previous:
            break
        current = Build(build.job, int(previous["number"]), str(previous.get("url", "")))
        results = _results(session, current)
        if results is not None:
            return current, results
    return None, None


def _results(session: Session, build: Build) -> _Results | None:
    report = ask_of_build(session, build, _REPORT, _TREE)
    if report is None:
        return None
    passed: set[str] = set()
    failed: dict[str, str] = {}
    skipped = 0
    for case in _cases(report):
        name, status = f"{case.get('className')}: {case.get('name')}", case.get("status")
        if status in _FAILED:
            failed[name] = str(case.get("errorDetails") or "")
        elif status in _PASSED:
            passed.add(name)
        else:
            skipped += 1
    return _Results(frozenset(passed) - failed.keys(), failed, skipped)


def _cases(report: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [case for suite in report.get("suites") or [] for case in suite.get("cases") or []]
