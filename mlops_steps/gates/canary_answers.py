"""Judges the answers of a new version of an API service against those of the live one, record by record."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

from mlops_steps.gates.canary_evidence import Evidence, Limits, Pair, result
from mlops_steps.gates.model import GateResult, GateVerdict


def judge_answers(evidence: Evidence, limits: Limits, level: float) -> GateResult:
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
    return result(
        "answers",
        verdict,
        message,
        value=difference,
        limit=f"not worse by more than {limits.worse:g} (share of right answers)",
        rows=len(pairs),
        details=_differing(pairs),
    )


def _right_numbers(pairs: list[Pair], limits: Limits, level: float) -> GateResult:
    """Numbers: whose are nearer to the right ones, record by record (paired bootstrap of the absolute errors)."""
    from mlops_steps.gates.statistics.bootstrap import FEWEST_ROWS, mean_above_zero

    usable = [pair for pair in pairs if all(map(_is_number, (pair.right, pair.new.prediction, pair.live.prediction)))]
    if not usable:
        return result("answers", GateVerdict.INCONCLUSIVE, "no record with a number from both versions", rows=0)
    new = [abs(float(pair.new.prediction) - float(pair.right)) for pair in usable]
    live = [abs(float(pair.live.prediction) - float(pair.right)) for pair in usable]
    mean_new, mean_live = math.fsum(new) / len(new), math.fsum(live) / len(live)
    allowed = 1 + limits.worse
    common: dict[str, Any] = {
        "value": mean_new - mean_live,
        "limit": f"mean absolute error not above the live version's by more than {limits.worse:g} of it",
        "rows": len(usable),
    }
    message = f"mean absolute error {mean_new:.4g}, live version: {mean_live:.4g}"
    if not all(map(math.isfinite, (*new, *live))):
        return result("answers", GateVerdict.INCONCLUSIVE, f"a number is not finite: {message}", **common)
    if len(usable) < FEWEST_ROWS:
        # So few show nothing, but a mean that is not higher is no reason to stop.
        verdict = GateVerdict.INCONCLUSIVE if mean_new > allowed * mean_live else GateVerdict.PASSED
        return result("answers", verdict, f"{message}; {FEWEST_ROWS} records needed to tell", **common)
    found = mean_above_zero([a - b for a, b in zip(new, live, strict=True)])
    common["interval"] = f"difference {found.interval}"
    if mean_new <= allowed * mean_live:
        return result("answers", GateVerdict.PASSED, message, **common)
    beyond = mean_above_zero([a - allowed * b for a, b in zip(new, live, strict=True)]) if limits.worse else found
    if beyond.p_value is not None and beyond.p_value <= level:
        return result("answers", GateVerdict.FAILED, f"answers worse than the live version: {message}", **common)
    return result("answers", GateVerdict.PASSED, message, **common)


def _same_answers(pairs: list[Pair], limits: Limits, level: float) -> GateResult:
    from scipy import stats

    if not pairs:
        return result("answers", GateVerdict.INCONCLUSIVE, "no record that both versions answered", rows=0)
    same = sum(_alike(pair, limits.tolerance) for pair in pairs)
    share = same / len(pairs)
    message = f"{same} of {len(pairs)} records are answered alike ({share:.1%})"
    verdict = GateVerdict.PASSED
    if share < limits.agreement:
        surely = stats.binomtest(same, len(pairs), limits.agreement, "less").pvalue <= level
        verdict = GateVerdict.FAILED if surely else GateVerdict.INCONCLUSIVE
        message = f"answers differ from the live version's{'' if surely else ' perhaps'}: {message}"
    return result(
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
