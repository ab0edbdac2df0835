"""Judges a new version of an API service against the live one, from calls of both, step by step.

Errors are compared by Fisher's exact test, response times by how many calls are slower than the live version's 95th and
99th percentile, answers pairwise on the same records. A canary is looked at several times: each look spends a part of
the false alarms that are allowed (:mod:`mlops_steps.gates.statistics.sequential`), so that they do not add up.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from mlops_steps.gates.model import GateResult, GateVerdict
from mlops_steps.report.attachments import Figure, Series

#: Looks at each step: after each quarter of the calls that it needs.
LOOKS = 4
# Parts of the false alarms that are allowed: errors matter most, and are found last.
_PARTS = {"errors": 0.5, "latency": 0.25, "answers": 0.25}
# Calls of the live version that a 95th and a 99th percentile need at least.
_FOR_P95, _FOR_P99 = 40, 200


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


@dataclass
class Evidence:
    """All that is known of both versions. ``users`` is ``None`` where the nodes report nothing."""

    pairs: list[Pair] = field(default_factory=list)
    live: Counts | None = None
    new: Counts | None = None

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


def judge(evidence: Evidence, limits: Limits, look: int, *, enough: bool) -> list[GateResult]:
    """How the new version does at this look (1 for the first). ``enough``: the step has the calls that it needs.

    Results are named ``errors``, ``latency`` and ``answers``. Without enough calls one is FAILED or INCONCLUSIVE.
    """
    from mlops_steps.gates.statistics.sequential import levels

    level = levels([number / limits.looks for number in range(1, limits.looks + 1)], limits.false_alarms)[look - 1]
    return [
        _settled(_errors(evidence, limits, level * _PARTS["errors"]), enough),
        _settled(_latency(evidence, limits, level * _PARTS["latency"]), enough),
        _settled(_answers(evidence, limits, level * _PARTS["answers"]), enough),
    ]


def _settled(result: GateResult, enough: bool) -> GateResult:
    """A pass needs enough calls; a failure does not."""
    if enough or result.verdict is not GateVerdict.PASSED:
        return result
    return _result(result.name, GateVerdict.INCONCLUSIVE, result.message, result)


def _result(name: str, verdict: GateVerdict, message: str, like: GateResult | None = None, **more: Any) -> GateResult:
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


def _errors(evidence: Evidence, limits: Limits, level: float) -> GateResult:
    from mlops_steps.gates.statistics.sequential import regression_found

    (new_failed, new_calls), (live_failed, live_calls) = evidence.totals("new"), evidence.totals("live")
    if not new_calls:
        return _result("errors", GateVerdict.INCONCLUSIVE, "no call of the new version")
    share = new_failed / new_calls
    message = f"{new_failed} of {new_calls} calls failed ({share:.2%}); live version: {live_failed} of {live_calls}"
    found = GateVerdict.PASSED
    limit = f"at most {limits.max_errors:.2%}, and not more than the live version's"
    if regression_found(new_failed, new_calls, live_failed, live_calls, level=level):
        found, message = GateVerdict.FAILED, f"fails more often than the live version: {message}"
    elif share > limits.max_errors and _surely_above(new_failed, new_calls, limits, level):
        found, message = GateVerdict.FAILED, f"fails too often: {message}"
    examples = [pair.new.error for pair in evidence.pairs if pair.new.error and not pair.live.error]
    return _result(
        "errors", found, message, value=share, limit=limit, rows=new_calls, details=tuple(dict.fromkeys(examples))[:5]
    )


def _surely_above(failed: int, calls: int, limits: Limits, level: float) -> bool:
    """Whether the share is above the limit for sure; with the calls of a step, whether it was measured above."""
    from scipy import stats

    return calls >= limits.calls or stats.binomtest(failed, calls, limits.max_errors, "greater").pvalue <= level


def _latency(evidence: Evidence, limits: Limits, level: float) -> GateResult:
    from mlops_steps.gates.statistics.sequential import slower

    both = [pair for pair in evidence.pairs if not (pair.new.error or pair.live.error)]
    new, live = sorted(pair.new.seconds for pair in both), sorted(pair.live.seconds for pair in both)
    if len(both) < _FOR_P95:
        return _result(
            "latency",
            GateVerdict.INCONCLUSIVE,
            f"{len(both)} calls that both answered; {_FOR_P95} needed",
            rows=len(both),
        )
    p95, live_p95 = _quantile(new, 0.95), _quantile(live, 0.95)
    message = f"95th percentile {_ms(p95)}; live version: {_ms(live_p95)}"
    limit = f"calls above the live version's percentiles: at most {limits.slower:g} times as many"
    common: dict[str, Any] = {"value": p95, "limit": limit, "rows": len(both), "figures": (_figure(new, live),)}
    if limits.max_latency is not None:
        common["limit"] = f"95th percentile at most {_ms(limits.max_latency)}; {limit}"
        if p95 > limits.max_latency and len(both) >= limits.calls:
            return _result("latency", GateVerdict.FAILED, f"too slow: {message}", **common)
    for quantile, needed in ((0.95, _FOR_P95), (0.99, _FOR_P99)):
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
            return _result("latency", GateVerdict.FAILED, text, **common)
    return _result("latency", GateVerdict.PASSED, message, **common)


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


def _answers(evidence: Evidence, limits: Limits, level: float) -> GateResult:
    """Each record counts once, however often it was sent."""
    once = {pair.record: pair for pair in evidence.pairs if not (pair.new.error or pair.live.error)}
    known = [pair for pair in once.values() if pair.known]
    if known and not any(_is_number(pair.right) for pair in known):
        return _right_answers(known, limits, level)
    if known:
        return _right_numbers(known, limits, level)
    return _same_answers(list(once.values()), limits, level)


def _right_answers(pairs: list[Pair], limits: Limits, level: float) -> GateResult:
    """Classes, where the records say which one is right: McNemar's exact test, one-sided."""
    from scipy import stats

    new = [str(pair.new.prediction) == str(pair.right) for pair in pairs]
    live = [str(pair.live.prediction) == str(pair.right) for pair in pairs]
    only_new = sum(a and not b for a, b in zip(new, live, strict=True))
    only_live = sum(b and not a for a, b in zip(new, live, strict=True))
    difference = (only_new - only_live) / len(pairs)
    message = (
        f"{sum(new)} of {len(pairs)} answers are right, live version: {sum(live)}; only the new one: {only_new}, "
        f"only the live one: {only_live}"
    )
    verdict = GateVerdict.PASSED
    discordant = only_new + only_live
    if -difference > limits.worse and stats.binomtest(only_live, discordant, alternative="greater").pvalue <= level:
        verdict, message = GateVerdict.FAILED, f"answers worse than the live version: {message}"
    return _result(
        "answers",
        verdict,
        message,
        value=difference,
        limit=f"not worse by more than {limits.worse:g} (share of right answers)",
        rows=len(pairs),
        details=_differing(pairs),
    )


def _right_numbers(pairs: list[Pair], limits: Limits, level: float) -> GateResult:
    """Numbers: whose is nearer to the right one, record by record (sign test on the absolute errors)."""
    from scipy import stats

    usable = [pair for pair in pairs if all(map(_is_number, (pair.right, pair.new.prediction, pair.live.prediction)))]
    new = [abs(float(pair.new.prediction) - float(pair.right)) for pair in usable]
    live = [abs(float(pair.live.prediction) - float(pair.right)) for pair in usable]
    if not usable:
        return _result("answers", GateVerdict.INCONCLUSIVE, "no record with a number from both versions", rows=0)
    farther = sum(a > b for a, b in zip(new, live, strict=True))
    nearer = sum(a < b for a, b in zip(new, live, strict=True))
    mean_new, mean_live = math.fsum(new) / len(new), math.fsum(live) / len(live)
    message = (
        f"mean absolute error {mean_new:.4g}, live version: {mean_live:.4g}; farther for {farther}, nearer for {nearer}"
    )
    verdict = GateVerdict.PASSED
    if mean_new > mean_live * (1 + limits.worse) and farther + nearer:
        surely = stats.binomtest(farther, farther + nearer, alternative="greater").pvalue <= level
        if surely:
            verdict, message = GateVerdict.FAILED, f"answers worse than the live version: {message}"
    limit = f"mean absolute error not above the live version's by more than {limits.worse:g} of it"
    return _result("answers", verdict, message, value=mean_new - mean_live, limit=limit, rows=len(usable))


def _same_answers(pairs: list[Pair], limits: Limits, level: float) -> GateResult:
    from scipy import stats

    if not pairs:
        return _result("answers", GateVerdict.INCONCLUSIVE, "no record that both versions answered", rows=0)
    same = sum(_alike(pair, limits.tolerance) for pair in pairs)
    share = same / len(pairs)
    message = f"{same} of {len(pairs)} records are answered alike ({share:.1%})"
    verdict = GateVerdict.PASSED
    if share < limits.agreement:
        surely = stats.binomtest(same, len(pairs), limits.agreement, "less").pvalue <= level
        verdict = GateVerdict.FAILED if surely else GateVerdict.INCONCLUSIVE
        message = f"answers differ from the live version's{'' if surely else ' perhaps'}: {message}"
    return _result(
        "answers",
        verdict,
        message,
        value=share,
        limit=f"at least {limits.agreement:.0%} alike",
        rows=len(pairs),
        details=_differing([pair for pair in pairs if not _alike(pair, limits.tolerance)]),
    )


def _differing(pairs: Iterable[Pair]) -> tuple[str, ...]:
    found = [
        f"{pair.record}: {pair.new.prediction}, live version: {pair.live.prediction}"
        + (f", right: {pair.right}" if pair.known else "")
        for pair in pairs
        if pair.new.prediction != pair.live.prediction
    ]
    return tuple(found[:5])


def _alike(pair: Pair, tolerance: float) -> bool:
    new, live = pair.new.prediction, pair.live.prediction
    if _is_number(new) and _is_number(live):
        return math.isclose(float(new), float(live), rel_tol=tolerance, abs_tol=1e-9)
    return bool(new == live)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _quantile(ordered: list[float], share: float) -> float:
    return ordered[min(len(ordered) - 1, math.ceil(share * len(ordered)) - 1)]


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:.3g} ms"
