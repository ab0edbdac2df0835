"""What a gate is given, and what it finds."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Any

from mlops_steps.errors import MlopsError
from mlops_steps.gates.samples import Samples
from mlops_steps.system.waiting import Deadline

if TYPE_CHECKING:
    from mlops_steps.report.attachments import Figure

Rows = dict[str, list[Any]]


class GateVerdict(str, Enum):
    """How a gate ended. ``INCONCLUSIVE``: too few rows to tell. ``UNMEASURED``: an error, never a pass."""

    PASSED = "passed"
    FAILED = "failed"
    INCONCLUSIVE = "inconclusive"
    UNMEASURED = "unmeasured"
    SKIPPED = "skipped"


@dataclass(frozen=True)
class GateCheck:
    """One of several things that a gate looks at, each a test case of its own. ``message`` is one line."""

    name: str
    verdict: GateVerdict
    message: str = ""


def worst_of(checks: Sequence[GateCheck | GateResult]) -> GateVerdict:
    """The verdict of a gate that looks at several things, or of several gates.

    One that failed fails it, however many are unmeasured.

    Skipped ones count only when there is no other; nothing to look at is unmeasured.
    """
    verdicts = {check.verdict for check in checks}
    return next((verdict for verdict in _FROM_WORST if verdict in verdicts), GateVerdict.UNMEASURED)


_FROM_WORST = (
    GateVerdict.FAILED,
    GateVerdict.UNMEASURED,
    GateVerdict.INCONCLUSIVE,
    GateVerdict.PASSED,
    GateVerdict.SKIPPED,
)


@dataclass(frozen=True)
class GateResult:
    """What a gate found.

    ``value`` is the measured number, ``limit`` the limit in words, ``interval`` the confidence interval in words,
    ``rows`` how many rows it rests on, ``source`` where the value comes from. ``message`` is one line; ``details`` are
    any number. ``error`` is why a gate could not be measured. ``checks`` are the things that it has looked at, where
    there are several. ``against`` is the bundle that it was compared with. ``figures`` are for the page of the release.
    """

    verdict: GateVerdict
    message: str
    value: float | None = None
    limit: str = ""
    interval: str = ""
    rows: int | None = None
    source: str = ""
    details: tuple[str, ...] = ()
    error: MlopsError | None = None
    checks: tuple[GateCheck, ...] = ()
    figures: tuple[Figure, ...] = ()
    seconds: float = 0.0
    name: str = ""
    against: str = ""
    definition: str = ""

    def facts(self) -> dict[str, str]:
        """What was measured, by name, without what is not known: for reports."""
        known: dict[str, Any] = {**self.measured(), "value": None if self.value is None else f"{self.value:.6g}"}
        for name in ("verdict", "message", "definition"):
            del known[name]
        return {name: str(value) for name, value in known.items() if value not in (None, "")}

    def measured(self) -> dict[str, Any]:
        """What the release record keeps: the fields of :class:`mlops_steps.delivery.record.Measured`."""
        return {
            "verdict": self.verdict.value,
            "value": self.value if self.value is not None and math.isfinite(self.value) else None,
            "limit": self.limit,
            "interval": self.interval,
            "rows": self.rows,
            "source": self.source,
            "message": self.message,
            "against": self.against,
            "definition": self.definition,
        }


@dataclass(frozen=True)
class GateContext:
    """What a gate of the team's own is given.

    ``candidate`` is the id of the bundle, ``options`` are those of ``mlops.yml``, ``deadline`` is the gate's.
    """

    project: str
    stage: str
    candidate: str
    samples: Samples
    options: Mapping[str, Any] = field(default_factory=dict)
    deadline: Deadline = field(default_factory=lambda: Deadline(900))

    def rows(self, dataset: str, *columns: str, scenario: str | None = None, champion: bool = False) -> Rows | None:
        """The columns of a dataset of the candidate, or of the champion, column by column; empty cells are ``None``.

        ``scenario`` is run first, once for each version. ``None``: there is no champion yet. Raises
        :class:`CheckFailed` when a column is missing or the scenario fails, :class:`NodeError` when a node fails.
        """
        version = self.samples.champion if champion else self.samples.candidate
        return self.samples.read(version, dataset, columns, self.deadline, scenario) if version else None
