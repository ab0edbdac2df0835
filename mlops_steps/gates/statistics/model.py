"""What the statistics return: intervals, comparisons, and the verdict that they allow."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Verdict(Enum):
    """What a sample shows. ``INCONCLUSIVE`` is never a pass: the sample is too small, or there is none."""

    SUCCESSFUL = "successful"
    FAILED = "failed"
    INCONCLUSIVE = "inconclusive"


@dataclass(frozen=True)
class Interval:
    """A two-sided confidence interval. ``level`` is its confidence, such as 0.95; ``method`` names how it was made."""

    low: float
    high: float
    level: float
    method: str

    def __str__(self) -> str:
        return f"[{self.low:.4g}, {self.high:.4g}] ({100 * self.level:g} %, {self.method})"


@dataclass(frozen=True)
class Estimate:
    """A measured value with its interval and the number of rows that it rests on."""

    value: float
    interval: Interval
    rows: int


@dataclass(frozen=True)
class Comparison:
    """The difference candidate minus champion on the same rows, with its interval.

    ``p_value`` is that of the two-sided test of no difference, where the method has one.
    """

    difference: float
    interval: Interval
    rows: int
    p_value: float | None = None


def not_worse(interval: Interval, margin: float, *, higher_is_better: bool = True) -> Verdict:
    """Whether a difference (candidate minus champion) is not worse than ``margin``, by its interval.

    ``margin`` is how much worse the candidate may be, zero or more, in units of the metric. Successful: the whole
    interval is better than that. Failed: the whole interval is worse. Inconclusive: the interval holds the margin, so
    that more rows are needed. Raises ``ValueError`` for a negative margin.
    """
    if margin < 0:
        raise ValueError("the margin must be zero or more")
    low, high = (interval.low, interval.high) if higher_is_better else (-interval.high, -interval.low)
    if low >= -margin:
        return Verdict.SUCCESSFUL
    return Verdict.FAILED if high < -margin else Verdict.INCONCLUSIVE


def at_least(interval: Interval, limit: float) -> Verdict:
    """Whether a value reaches ``limit``, by its interval. Inconclusive when the interval holds the limit."""
    if interval.low >= limit:
        return Verdict.SUCCESSFUL
    return Verdict.FAILED if interval.high < limit else Verdict.INCONCLUSIVE


def at_most(interval: Interval, limit: float) -> Verdict:
    """Whether a value stays within ``limit``, by its interval. Inconclusive when the interval holds the limit."""
    if interval.high <= limit:
        return Verdict.SUCCESSFUL
    return Verdict.FAILED if interval.low > limit else Verdict.INCONCLUSIVE
