"""A metric per value of a column: the worst slice, and the spread between slices."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from scipy import stats

from mlops_steps.gates.statistics.model import Estimate, Verdict, at_least
from mlops_steps.gates.statistics.proportions import share


@dataclass(frozen=True)
class Slices:
    """What was found: each slice with its interval, which hold together; ``too_small`` are those with too few rows."""

    slices: Mapping[str, Estimate]
    too_small: Mapping[str, int]
    level: float

    @property
    def worst(self) -> str | None:
        """The slice with the smallest value; ``None`` when there is none."""
        return min(self.slices, key=lambda name: self.slices[name].value, default=None)

    @property
    def spread(self) -> float:
        """The largest value minus the smallest one."""
        values = [found.value for found in self.slices.values()]
        return max(values) - min(values) if values else 0.0


def shares_of_slices(counts: Mapping[str, tuple[int, int]], *, fewest_rows: int, level: float = 0.95) -> Slices:
    """The share (accuracy, say) of each slice, from its successes and its rows.

    The intervals hold for all slices together (Sidak): the worst of many equal slices looks worse by chance alone.
    """
    enough = {name: count for name, count in counts.items() if count[1] >= max(fewest_rows, 1)}
    each = level ** (1 / len(enough)) if enough else level
    return Slices(
        {name: share(good, rows, each) for name, (good, rows) in enough.items()},
        {name: rows for name, (_, rows) in counts.items() if name not in enough},
        level,
    )


def judge_worst(found: Slices, limit: float) -> Verdict:
    """Whether every slice reaches ``limit``: failed when one is shown not to; inconclusive when one may not."""
    verdicts = [at_least(estimate.interval, limit) for estimate in found.slices.values()]
    if Verdict.FAILED in verdicts:
        return Verdict.FAILED
    return Verdict.INCONCLUSIVE if Verdict.INCONCLUSIVE in verdicts or not verdicts else Verdict.SUCCESSFUL


def judge_spread(found: Slices, limit: float) -> Verdict:
    """Whether the slices lie within ``limit`` of each other.

    Failed: two slices are shown to be further apart. Inconclusive: their intervals allow it.
    """
    if not found.slices:
        return Verdict.INCONCLUSIVE
    intervals = [estimate.interval for estimate in found.slices.values()]
    certain = max(interval.low for interval in intervals) - min(interval.high for interval in intervals)
    possible = max(interval.high for interval in intervals) - min(interval.low for interval in intervals)
    if certain > limit:
        return Verdict.FAILED
    return Verdict.SUCCESSFUL if possible <= limit else Verdict.INCONCLUSIVE


def equal_shares(counts: Mapping[str, tuple[int, int]]) -> float:
    """The p-value of the chi-squared test that all slices have the same share; 1.0 where it cannot be made."""
    table = [[good, rows - good] for good, rows in counts.values() if rows]
    if len(table) < 2 or not all(sum(column) for column in zip(*table, strict=True)):
        return 1.0
    return float(stats.chi2_contingency(table, correction=False).pvalue)
