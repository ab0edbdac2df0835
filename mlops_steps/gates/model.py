"""What a gate is given, and what it finds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Any

from mlops_steps.errors import MlopsError

if TYPE_CHECKING:
    from mlops_steps.gates.samples import Samples


class GateVerdict(str, Enum):
    """How a gate ended. ``INCONCLUSIVE``: too few rows to tell. ``UNMEASURED``: an error, never a pass."""

    PASSED = "passed"
    FAILED = "failed"
    INCONCLUSIVE = "inconclusive"
    UNMEASURED = "unmeasured"
    SKIPPED = "skipped"


@dataclass(frozen=True)
class GateResult:
    """What a gate found.

    ``value`` is the measured number, ``limit`` the limit in words, ``interval`` the confidence interval in words,
    ``rows`` how many rows it rests on, ``source`` where the value comes from. ``message`` is one line; ``details`` are
    any number. ``error`` is why a gate could not be measured.
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
    seconds: float = 0.0
    name: str = ""

    def facts(self) -> dict[str, str]:
        """What was measured, by name, without what is not known: for reports and the record."""
        known: dict[str, Any] = {
            "value": None if self.value is None else f"{self.value:.6g}",
            "limit": self.limit,
            "interval": self.interval,
            "rows": self.rows,
            "source": self.source,
        }
        return {name: str(value) for name, value in known.items() if value not in (None, "")}


@dataclass(frozen=True)
class GateContext:
    """What a gate of the team's own is given.

    ``candidate`` is the id of the bundle. ``samples`` reads datasets of the candidate and of the champion
    (``samples.champion`` is ``None`` before the first release). ``options`` are those of ``mlops.yml``.
    """

    project: str
    stage: str
    candidate: str
    samples: Samples
    options: Mapping[str, Any] = field(default_factory=dict)
