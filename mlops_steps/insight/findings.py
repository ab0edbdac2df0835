"""What a look at what is live finds: a value against limits of two levels, and the test case that it becomes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING

from mlops_steps.errors import CheckFailed, MlopsError
from mlops_steps.report.attachments import Measure
from mlops_steps.report.model import Case, Outcome

if TYPE_CHECKING:
    from mlops_steps.report.attachments import Figure, LateVerdict


class Level(str, Enum):
    """``WARN``: the test case passes and carries the text. ``ACT``: it fails. ``UNKNOWN``: it could not be measured."""

    GOOD = "good"
    WARN = "warn"
    ACT = "act"
    UNKNOWN = "unknown"
    SKIPPED = "skipped"


@dataclass(frozen=True)
class Finding:
    """One check. ``name`` is that of its test case, and the same at each look.

    ``decay``: retraining the model may help. ``of_release``: the release that is live may be to blame, so that going
    back may help. ``limit`` is in words.
    """

    name: str
    level: Level
    message: str
    value: float | None = None
    limit: str = ""
    details: tuple[str, ...] = ()
    decay: bool = False
    of_release: bool = True
    error: MlopsError | None = None
    figures: tuple[Figure, ...] = ()
    verdicts: tuple[LateVerdict, ...] = field(default=(), repr=False)

    @property
    def measure(self) -> Measure:
        """What is kept of it."""
        return Measure(name=self.name, level=self.level.value, value=self.value, limit=self.limit, message=self.message)

    @property
    def case(self) -> Case:
        """The test case."""
        outcome = _OUTCOMES[self.level]
        said = f"warning: {self.message}" if self.level is Level.WARN else self.message
        text = "\n".join([said, *([f"limit: {self.limit}"] if self.limit else []), *self.details])
        failed = outcome is not Outcome.PASSED
        return Case(self.name, outcome, self.message if failed else "", text if failed else "", stdout=text)


_OUTCOMES = {
    Level.GOOD: Outcome.PASSED,
    Level.WARN: Outcome.PASSED,
    Level.ACT: Outcome.FAILURE,
    Level.UNKNOWN: Outcome.ERROR,
    Level.SKIPPED: Outcome.SKIPPED,
}


def above(value: float, warn: float | None, act: float | None) -> Level:
    """The level of a value of which less is better."""
    if act is not None and value >= act:
        return Level.ACT
    return Level.WARN if warn is not None and value >= warn else Level.GOOD


def limits_in_words(warn: str | None, act: str | None) -> str:
    """``warn 0.1, act 0.25``; nothing where there is no limit."""
    return ", ".join(f"{name} {limit}" for name, limit in (("warn", warn), ("act", act)) if limit is not None)


def measured(name: str, measure: Callable[[], list[Finding]]) -> list[Finding]:
    """What ``measure`` finds; why it could not is a finding as well."""
    try:
        return measure()
    except CheckFailed as error:
        # What is to be looked at is not there: nothing is known of it, and nobody else is to blame.
        return [_unknown(name, error)]
    except MlopsError as error:
        return [_unknown(name, error)]


def _unknown(name: str, error: MlopsError) -> Finding:
    details = (*error.lines()[1:],)
    return Finding(name, Level.UNKNOWN, f"could not be measured: {error.message}", details=details, error=error)
