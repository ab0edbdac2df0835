"""What is known of two versions of an API service while a canary compares them, and the limits that it has."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from mlops_steps.gates.model import GateResult, GateVerdict

#: Looks at each step: after each quarter of the calls that it needs.
LOOKS = 4


@dataclass(frozen=True)
class Call:
    """A call of one version: how long it took (seconds), and what came back.

    ``error`` is why there was no answer; ``prediction`` a class or a number, ``None`` for a record that was ignored.
    """

    seconds: float
    prediction: Any = None
    error: str = ""


@dataclass(frozen=True)
class Pair:
    """The calls of both versions with the same record. ``right``: what should be answered, where that is known."""

    record: str
    live: Call
    new: Call
    right: Any = None
    known: bool = False


@dataclass
class Counts:
    """Calls of users that a version has answered, and how many failed, as the API nodes report them."""

    calls: int = 0
    errors: int = 0


@dataclass(frozen=True)
class UserTimes:
    """How long calls of users have taken in one ``place``, an endpoint of an API node, as the node reports it.

    ``live`` and ``new`` hold, for the part of the calls (0 to 1), the seconds that it took at most.
    """

    place: str
    live_calls: int
    new_calls: int
    live: Mapping[float, float]
    new: Mapping[float, float]


@dataclass
class Evidence:
    """All that is known of both versions. ``live`` and ``new`` are ``None`` where the nodes report nothing of users."""

    pairs: list[Pair] = field(default_factory=list)
    live: Counts | None = None
    new: Counts | None = None
    times: list[UserTimes] = field(default_factory=list)

    @property
    def calls(self) -> int:
        """How many calls the new version has had."""
        return len(self.pairs) + (self.new.calls if self.new else 0)

    def totals(self, of: str) -> tuple[int, int]:
        """Failed calls, and all calls, of the version ``live`` or ``new``."""
        users: Counts = getattr(self, of) or Counts()
        failed = sum(bool(getattr(pair, of).error) for pair in self.pairs)
        return failed + users.errors, len(self.pairs) + users.calls


@dataclass(frozen=True)
class Limits:
    """The limits of a canary: those of ``api.release.canary`` in mlops.yml. Times in seconds, shares from 0 to 1."""

    calls: int
    max_errors: float
    max_latency: float | None
    slower: float
    worse: float
    agreement: float
    tolerance: float
    false_alarms: float
    steps: int

    @property
    def looks(self) -> int:
        """How many looks there are at most, at all steps together."""
        return self.steps * LOOKS


def result(name: str, verdict: GateVerdict, message: str, like: GateResult | None = None, **more: Any) -> GateResult:
    if like is not None:
        more = {
            "value": like.value,
            "limit": like.limit,
            "rows": like.rows,
            "details": like.details,
            "figures": like.figures,
            **more,
        }
    return GateResult(verdict, message, name=name, source="calls of both versions", **more)
