"""Shares: how sure one is, and whether two differ. Errors of calls, accuracy, agreement of predictions."""

from __future__ import annotations

import math

from scipy import stats

from mlops_steps.gates.statistics.model import Comparison, Estimate, Interval


def share(successes: int, trials: int, level: float = 0.95) -> Estimate:
    """The share of successes with Wilson's score interval (Wilson 1927), which holds for small samples too.

    Raises ``ValueError`` when there are no trials or more successes than trials.
    """
    found = stats.binomtest(successes, trials) if trials > 0 else None
    if found is None:
        raise ValueError("a share needs at least one trial")
    interval = found.proportion_ci(confidence_level=level, method="wilson")
    return Estimate(successes / trials, Interval(float(interval.low), float(interval.high), level, "Wilson"), trials)


def more_errors(new_errors: int, new_calls: int, live_errors: int, live_calls: int) -> float:
    """The one-sided p-value of Fisher's exact test: does the new version fail more often than the live one?

    1.0 when one of the two has no calls: no data shows nothing.
    """
    for errors, calls in ((new_errors, new_calls), (live_errors, live_calls)):
        if not 0 <= errors <= calls:
            raise ValueError(f"{errors} errors in {calls} calls")
    if not new_calls or not live_calls:
        return 1.0
    table = [[new_errors, new_calls - new_errors], [live_errors, live_calls - live_errors]]
    return float(stats.fisher_exact(table, alternative="greater")[1])


def paired_shares(both: int, only_new: int, only_live: int, neither: int, level: float = 0.95) -> Comparison:
    """The difference of two shares on the same rows, such as the accuracies of two models.

    ``both`` rows are right in both versions, ``only_new`` in the new one only, and so on. The p-value is that of
    McNemar's exact test; the interval is Newcombe's hybrid score interval for paired data (Newcombe 1998, Statistics
    in Medicine 17, 2635-2650, method 10), which needs no large sample. Raises ``ValueError`` without rows.
    """
    rows = both + only_new + only_live + neither
    if rows <= 0 or min(both, only_new, only_live, neither) < 0:
        raise ValueError("the four counts must be zero or more, and one of them more than zero")
    difference = (only_new - only_live) / rows
    new, live = share(both + only_new, rows, level), share(both + only_live, rows, level)
    correlation = _correlation(both, only_new, only_live, neither)
    low = _distance(new.value - new.interval.low, live.interval.high - live.value, correlation)
    high = _distance(new.interval.high - new.value, live.value - live.interval.low, correlation)
    interval = Interval(max(-1.0, difference - low), min(1.0, difference + high), level, "McNemar, Newcombe interval")
    return Comparison(difference, interval, rows, mcnemar(only_new, only_live))


def mcnemar(only_new: int, only_live: int) -> float:
    """The two-sided p-value of McNemar's exact test, from the rows in which exactly one of the two is right."""
    discordant = only_new + only_live
    return float(stats.binomtest(only_new, discordant).pvalue) if discordant else 1.0


def _distance(first: float, second: float, correlation: float) -> float:
    return math.sqrt(max(0.0, first**2 - 2 * correlation * first * second + second**2))


def _correlation(both: int, only_new: int, only_live: int, neither: int) -> float:
    """Newcombe's corrected phi: shrunk towards zero by half the number of rows where it is positive."""
    rows = both + only_new + only_live + neither
    margins = (both + only_new) * (only_live + neither) * (both + only_live) * (only_new + neither)
    if margins == 0:
        return 0.0
    cross = float(both * neither - only_new * only_live)
    if cross > 0:
        cross = max(cross - rows / 2, 0.0)
    return cross / math.sqrt(margins)
