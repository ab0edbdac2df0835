"""Looking again and again: a canary is judged at each step, and false alarms must not add up."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from scipy import stats

from mlops_steps.gates.statistics.proportions import more_errors

#: Shares of false alarms and of missed regressions that are usual, and the defaults.
ALPHA = 0.05
POWER = 0.9


def spent(fraction: float, alpha: float = ALPHA) -> float:
    """How much of ``alpha`` may be spent when ``fraction`` (0 to 1) of the planned calls have been seen.

    The power family of Kim and DeMets (1987, Biometrika 74, 149-154) with exponent 2: little is spent on early looks,
    so that a regression which shows only with many calls is still found at the end, and a gross one is found early.
    Raises ``ValueError`` for a fraction outside of 0 to 1.
    """
    if not 0 <= fraction <= 1:
        raise ValueError("the fraction must be between 0 and 1")
    return alpha * fraction**2


def levels(fractions: Sequence[float], alpha: float = ALPHA) -> list[float]:
    """The significance level of each look, for looks at growing ``fractions`` of the planned calls.

    Their sum is at most ``alpha``. By the union bound the looks together then raise a false alarm at most that often,
    whatever is tested and however the looks depend on each other.
    """
    if any(later < earlier for earlier, later in pairwise(fractions)):
        raise ValueError("the fractions must grow")
    total, found = 0.0, []
    for fraction in fractions:
        now = spent(fraction, alpha)
        found.append(now - total)
        total = now
    return found


def slower(new_above: int, new_calls: int, live_calls: int, live_above: int) -> float:
    """The one-sided p-value that the new version has more slow calls than the live one.

    A call is slow when it takes longer than the live version's quantile: the threshold has ``live_above`` of the
    ``live_calls`` above or at it, and ``new_above`` of the ``new_calls`` are above it. Exact for any distribution of
    latencies: without a difference, the number of new calls above the k-th largest live one follows the negative
    hypergeometric law (the exceedance test; Gumbel and von Schelling 1950, Annals of Mathematical Statistics 21,
    247-262). 1.0 where there are no calls.
    """
    if not 0 <= new_above <= new_calls or not 0 <= live_above <= live_calls:
        raise ValueError("more calls are slow than there are")
    if not new_calls or live_above < 1 or new_above == 0:
        return 1.0
    return float(stats.nhypergeom.sf(new_above - 1, new_calls + live_calls, new_calls, live_above))


@dataclass(frozen=True)
class Plan:
    """How many calls of the new version a verdict on errors needs, and how many of the live one are seen meanwhile."""

    new_calls: int
    live_calls: int

    def seconds(self, calls_per_second: float) -> float:
        """How long that takes at this rate of calls to both versions together; infinite without any."""
        return (self.new_calls + self.live_calls) / calls_per_second if calls_per_second > 0 else math.inf


def plan(live_rate: float, new_rate: float, share: float, *, alpha: float = ALPHA, power: float = POWER) -> Plan:
    """How many calls show that the new version fails ``new_rate`` of the time where the live one fails ``live_rate``.

    ``share`` is the part of the calls that the new version gets, above 0 and below 1. By the normal approximation with
    the continuity correction that fits Fisher's test (Casagrande, Pike and Smith 1978, Biometrics 34, 483-486). Raises
    ``ValueError`` unless 0 <= live_rate < new_rate <= 1.
    """
    if not 0 <= live_rate < new_rate <= 1 or not 0 < share < 1:
        raise ValueError("the new rate must be above the live one, and the share between 0 and 1")
    ratio = (1 - share) / share  # live calls per new call
    mean = (new_rate + ratio * live_rate) / (1 + ratio)
    reach = float(stats.norm.ppf(1 - alpha)) * math.sqrt((1 + ratio) * mean * (1 - mean))
    reach += float(stats.norm.ppf(power)) * math.sqrt(ratio * new_rate * (1 - new_rate) + live_rate * (1 - live_rate))
    gap = new_rate - live_rate
    plain = reach**2 / (ratio * gap**2)
    corrected = plain / 4 * (1 + math.sqrt(1 + 2 * (1 + ratio) / (plain * ratio * gap))) ** 2
    new_calls = math.ceil(corrected)
    return Plan(new_calls, math.ceil(new_calls * ratio))


def detectable(live_rate: float, new_calls: int, share: float, *, alpha: float = ALPHA, power: float = POWER) -> float:
    """The smallest rate of failed calls (to three digits) that so many calls of the new version show, by :func:`plan`.

    1.0 where no rate is shown with so few calls.
    """
    low, high = live_rate, 1.0
    while high - low > 5e-4:
        middle = (low + high) / 2
        enough = plan(live_rate, middle, share, alpha=alpha, power=power).new_calls <= new_calls
        low, high = (low, middle) if enough else (middle, high)
    return round(high, 3)


def regression_found(
    new_errors: int, new_calls: int, live_errors: int, live_calls: int, *, level: float, margin: float = 0.0
) -> bool:
    """Whether the new version is shown to fail more often than the live one, at this look's ``level``.

    ``margin`` is a difference of the shares below which nobody minds; the measured difference must exceed it too.
    """
    if not new_calls or not live_calls:
        return False
    if new_errors / new_calls - live_errors / live_calls <= margin:
        return False
    return more_errors(new_errors, new_calls, live_errors, live_calls) <= level
