"""What a step found, as data. Knows neither DSS nor XML."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING

from mlops_steps.errors import CheckFailed, MlopsError

if TYPE_CHECKING:
    from mlops_steps.report.attachments import Attachments


class Outcome(str, Enum):
    """``failure``: the check failed. ``error``: it could not be made. ``skipped``: it does not apply here."""

    PASSED = "passed"
    FAILURE = "failure"
    ERROR = "error"
    SKIPPED = "skipped"


@dataclass
class Case:
    """One thing that was checked. ``name`` and ``classname`` must be the same from build to build."""

    name: str
    outcome: Outcome = Outcome.PASSED
    message: str = ""
    details: str = ""
    seconds: float = 0.0
    stdout: str = ""
    stderr: str = ""
    classname: str = ""


@dataclass
class Report:
    """The result of one step (and stage): the cases in the order in which they were checked."""

    project: str
    step: str
    stage: str | None = None
    cases: list[Case] = field(default_factory=list)
    properties: dict[str, str] = field(default_factory=dict)
    started: float = field(default_factory=time.time)
    stdout: str = ""
    stderr: str = ""
    #: The infrastructure that a part of a report is about, and the parts of the whole; see :meth:`part`.
    place: str | None = None
    parts: list[Report] = field(default_factory=list)
    #: What was found that is no test case; see :meth:`attach`.
    attachments: Attachments | None = None

    def attach(self) -> Attachments:
        """What is kept beside the report: figures, differences, past releases. Add to its lists."""
        from mlops_steps.report.attachments import Attachments

        self.attachments = self.attachments or Attachments()
        return self.attachments

    @property
    def classname(self) -> str:
        """``<project>.<step>[.<stage>[.<place>]]``, by which Jenkins follows the tests from build to build."""
        return ".".join(part for part in (self.project, self.step, self.stage, self.place) if part)

    def part(self, place: str) -> Report:
        """A suite of its own in the same report, for one of the infrastructures of the stage."""
        found = Report(self.project, self.step, self.stage, place=place)
        self.parts.append(found)
        return found

    @property
    def file_name(self) -> str:
        """``mlops-<step>[-<stage>].xml``; a stage that does not exist may hold anything, a slash too."""
        name = "-".join(part for part in ("mlops", self.step, self.stage) if part)
        return re.sub(r"[^A-Za-z0-9_-]+", "_", name[:100]) + ".xml"

    def add(self, case: Case) -> Case:
        """Appends a case, and returns it."""
        case.classname = case.classname or self.classname
        self.cases.append(case)
        return case

    def extend(self, cases: Iterable[Case]) -> None:
        """Appends cases."""
        for case in cases:
            self.add(case)

    def take_back(self, kept: int) -> None:
        """Drops all cases but the first ``kept``: those of a try that is followed by another one."""
        del self.cases[kept:]

    def set(self, **properties: str | None) -> None:
        """Sets properties of the suite (bundle id, infrastructure, …); ``None`` leaves one out."""
        self.properties.update({name: value for name, value in properties.items() if value})

    @property
    def failed(self) -> list[Case]:
        """The cases that are failures or errors."""
        return [case for case in self.cases if case.outcome in (Outcome.FAILURE, Outcome.ERROR)]

    @contextmanager
    def case(self, name: str) -> Iterator[Case]:
        """Times a check and records how it ended.

        A :class:`CheckFailed` that leaves the block becomes a ``failure``, every other exception an ``error``; both
        go on to the caller.
        """
        case = self.add(Case(name))
        start = time.monotonic()
        try:
            yield case
        except CheckFailed as error:
            case.outcome, case.message, case.details = Outcome.FAILURE, error.message, "\n".join(error.lines())
            raise
        except MlopsError as error:
            case.outcome, case.message, case.details = Outcome.ERROR, error.message, "\n".join(error.lines())
            raise
        except BaseException as error:
            case.outcome, case.message = Outcome.ERROR, f"{type(error).__name__}: {error}"
            raise
        finally:
            case.seconds = time.monotonic() - start
