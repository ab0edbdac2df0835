"""Judges a new version of an API service against the live one, from calls of both, step by step.

Errors are compared by Fisher's exact test, response times by how many calls are slower than the live version's 95th and
99th percentile, answers pairwise on the same records. A canary is looked at several times: each look spends a part of
the false alarms that are allowed (:mod:`mlops_steps.gates.statistics.sequential`), so that they do not add up.
"""

from __future__ import annotations

import math
from typing import Any

from mlops_steps.gates.canary_answers import judge_answers
from mlops_steps.gates.canary_evidence import LOOKS, Call, Counts, Evidence, Limits, Pair, UserTimes, result
from mlops_steps.gates.model import GateResult, GateVerdict
from mlops_steps.report.attachments import Figure, Series

__all__ = [
    "FOR_P95",
    "FOR_P99",
    "LOOKS",
    "Call",
    "Counts",
    "Evidence",
    "Limits",
    "Pair",
    "UserTimes",
    "found_at_the_end",
    "judge",
]

# Parts of the false alarms that are allowed: errors matter most, and are found last.
_PARTS = {"errors": 0.5, "latency": 0.25, "answers": 0.25}
# Calls of the live version that a 95th and a 99th percentile need at least.
FOR_P95, FOR_P99 = 40, 200
# So many calls at most are behind the quantiles that a node tells: it keeps the latest ones.
_TOLD = 1000


def judge(evidence: Evidence, limits: Limits, look: int, *, enough: bool) -> list[GateResult]:
    """How the new version does at this look (1 for the first). ``enough``: the step has the calls that it needs.

    Results are named ``errors``, ``latency`` and ``answers``. Without enough calls one is FAILED or INCONCLUSIVE.
    """
    from mlops_steps.gates.statistics.sequential import levels

    level = levels([number / limits.looks for number in range(1, limits.looks + 1)], limits.false_alarms)[look - 1]
    return [
        _settled(_errors(evidence, limits, level * _PARTS["errors"]), enough),
        _settled(_latency(evidence, limits, level * _PARTS["latency"]), enough),
        _settled(judge_answers(evidence, limits, level * _PARTS["answers"]), enough),
    ]


def found_at_the_end(limits: Limits, live_rate: float) -> float:
    """The share of failed calls that is found nine times in ten by the calls of all steps, by the last look alone.

    The comparison sends as many calls to the live version, of which ``live_rate`` fail.
    """
    from mlops_steps.gates.statistics.sequential import detectable, levels

    last = levels([number / limits.looks for number in range(1, limits.looks + 1)], limits.false_alarms)[-1]
    return detectable(live_rate, limits.calls * limits.steps, 0.5, alpha=last * _PARTS["errors"])


def _settled(found: GateResult, enough: bool) -> GateResult:
    """A pass needs enough calls; a failure does not."""
    if enough or found.verdict is not GateVerdict.PASSED:
        return found
    return result(found.name, GateVerdict.INCONCLUSIVE, found.message, found)


def _errors(evidence: Evidence, limits: Limits, level: float) -> GateResult:
    from mlops_steps.gates.statistics.sequential import regression_found

    (new_failed, new_calls), (live_failed, live_calls) = evidence.totals("new"), evidence.totals("live")
    if not new_calls:
        return result("errors", GateVerdict.INCONCLUSIVE, "no call of the new version")
    share = new_failed / new_calls
    message = f"{new_failed} of {new_calls} calls failed ({share:.2%}); live version: {live_failed} of {live_calls}"
    found = GateVerdict.PASSED
    limit = f"at most {limits.max_errors:.2%}, and not more than the live version's"
    if regression_found(new_failed, new_calls, live_failed, live_calls, level=level):
        found, message = GateVerdict.FAILED, f"fails more often than the live version: {message}"
    elif share > limits.max_errors and _surely_above(new_failed, new_calls, limits, level):
        found, message = GateVerdict.FAILED, f"fails too often: {message}"
    examples = [pair.new.error for pair in evidence.pairs if pair.new.error and not pair.live.error]
    return result(
        "errors", found, message, value=share, limit=limit, rows=new_calls, details=tuple(dict.fromkeys(examples))[:5]
    )


def _surely_above(failed: int, calls: int, limits: Limits, level: float) -> bool:
    """Whether the share is above the limit for sure; with the calls of a step, whether it was measured above."""
    from scipy import stats

    return calls >= limits.calls or stats.binomtest(failed, calls, limits.max_errors, "greater").pvalue <= level


def _latency(evidence: Evidence, limits: Limits, level: float) -> GateResult:
    """The calls of the comparison, and those of users, which share the false alarms that latency may raise."""
    told = [times for times in evidence.times if min(times.live_calls, times.new_calls) >= FOR_P95]
    found = _paired_latency(evidence, limits, level / 2 if told else level)
    if found.verdict is GateVerdict.FAILED or not told:
        return found
    calls = sum(times.new_calls for times in told)
    slow = next((text for times in told if (text := _users_wait(times, limits, level / 2 / len(told)))), None)
    if slow:
        return result("latency", GateVerdict.FAILED, f"{slow}; {found.message}", found)
    return result("latency", found.verdict, f"{found.message}; {calls} calls of users are no slower", found)


def _users_wait(times: UserTimes, limits: Limits, level: float) -> str | None:
    """Why calls of users are slower than with the live version, if they are.

    A node tells quantiles, so that it is known of how many calls at least they are above the live version's.
    """
    from mlops_steps.gates.statistics.sequential import slower

    new_calls, live_calls = min(times.new_calls, _TOLD), min(times.live_calls, _TOLD)
    for quantile, needed in ((0.95, FOR_P95), (0.99, FOR_P99)):
        threshold = times.live.get(quantile)
        if threshold is None or min(new_calls, live_calls) < needed:
            continue
        expected = round(1 - quantile, 6)
        above = max((1 - part for part, seconds in times.new.items() if seconds > threshold), default=0.0)
        new_above, live_above = math.floor(above * new_calls), math.ceil(expected * live_calls)
        significant = slower(new_above, new_calls, live_calls, live_above) <= level / 2
        if significant and above > limits.slower * expected:
            return (
                f"slower for users than the live version: {times.place}: at least {above:.0%} of {times.new_calls} "
                f"calls took longer than its {quantile * 100:g}th percentile ({_ms(threshold)})"
            )
    return None


def _paired_latency(evidence: Evidence, limits: Limits, level: float) -> GateResult:
    from mlops_steps.gates.statistics.sequential import slower

    both = [pair for pair in evidence.pairs if not (pair.new.error or pair.live.error)]
    new, live = sorted(pair.new.seconds for pair in both), sorted(pair.live.seconds for pair in both)
    if len(both) < FOR_P95:
        return result(
            "latency",
            GateVerdict.INCONCLUSIVE,
            f"{len(both)} calls that both answered; {FOR_P95} needed",
            rows=len(both),
        )
    p95, live_p95 = _quantile(new, 0.95), _quantile(live, 0.95)
    message = f"95th percentile {_ms(p95)}; live version: {_ms(live_p95)}"
    limit = f"calls above the live version's percentiles: at most {limits.slower:g} times as many"
    common: dict[str, Any] = {"value": p95, "limit": limit, "rows": len(both), "figures": (_figure(new, live),)}
    if limits.max_latency is not None:
        common["limit"] = f"95th percentile at most {_ms(limits.max_latency)}; {limit}"
        if p95 > limits.max_latency and len(both) >= limits.calls:
            return result("latency", GateVerdict.FAILED, f"too slow: {message}", **common)
    for quantile, needed in ((0.95, FOR_P95), (0.99, FOR_P99)):
        if len(both) < needed:
            continue
        threshold = _quantile(live, quantile)
        live_above = sum(value >= threshold for value in live)
        new_above = sum(value > threshold for value in new)
        significant = slower(new_above, len(new), len(live), live_above) <= level / 2
        if significant and new_above > limits.slower * live_above:
            text = (
                f"slower than the live version: {new_above} of {len(new)} calls took longer than its "
                f"{quantile * 100:g}th percentile ({_ms(threshold)}), {live_above} of its own; {message}"
            )
            return result("latency", GateVerdict.FAILED, text, **common)
    return result("latency", GateVerdict.PASSED, message, **common)


def _figure(new: list[float], live: list[float]) -> Figure:
    """Which share of the calls took at most so long, for both versions; the times are sorted."""
    places = [1, *range(5, 100, 5), 96, 97, 98, 99, 100]
    lines = [
        Series(
            name=name,
            x=tuple(round(1000 * _quantile(times, place / 100), 3) for place in places),
            y=tuple(place / 100 for place in places),
        )
        for name, times in (("new version", new), ("live version", live))
    ]
    said = f"{_ms(_quantile(new, 0.95))} with the new version, {_ms(_quantile(live, 0.95))} with the live one"
    return Figure(
        name="canary latency",
        topic="service",
        title="Latency of both versions",
        about=f"95 % of the calls took at most {said}; {len(new)} calls of each.",
        x="ms",
        y="share of the calls",
        series=tuple(lines),
        limits=(0.95,),
    )


def _quantile(ordered: list[float], share: float) -> float:
    return ordered[min(len(ordered) - 1, math.ceil(share * len(ordered)) - 1)]


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:.3g} ms"
