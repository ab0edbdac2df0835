"""The verdicts of a canary by themselves: how often they are wrong, and what each of them rests on."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlops_steps.gates.canary import LOOKS, Call, Counts, Evidence, Limits, Pair, UserTimes, found_at_the_end, judge
from mlops_steps.gates.model import GateResult, GateVerdict, worst_of

STEPS = 2
LIMITS = Limits(
    calls=500,
    max_errors=0.2,
    max_latency=None,
    slower=2.0,
    worse=0.0,
    agreement=0.8,
    tolerance=0.01,
    false_alarms=0.05,
    steps=STEPS,
)


def limits(**changed: Any) -> Limits:
    return Limits(**{**LIMITS.__dict__, **changed})


def call(chance: random.Random, errors: float, slow: float, right: float) -> Call:
    if chance.random() < errors:
        return Call(0.01, error="500")
    seconds = chance.lognormvariate(-4, 0.5) * (10 if chance.random() < slow else 1)
    return Call(seconds, "1" if chance.random() < right else "0")


def pairs(chance: random.Random, count: int, live: tuple[float, ...], new: tuple[float, ...]) -> list[Pair]:
    return [
        Pair(f"record {number}", call(chance, *live), call(chance, *new), right="1", known=True)
        for number in range(count)
    ]


def verdict(found: list[Pair], limits: Limits = LIMITS) -> GateVerdict:
    """That of a whole canary, looked at after each quarter of each step."""
    size = limits.calls // LOOKS
    results: list[GateResult] = []
    for look in range(1, limits.looks + 1):
        results = judge(Evidence(found[: size * look]), limits, look, enough=look % LOOKS == 0)
        if any(result.verdict is GateVerdict.FAILED for result in results):
            break
    return worst_of(results)


def share_of_failures(
    live: tuple[float, ...], new: tuple[float, ...], canaries: int, calls: int = LIMITS.calls
) -> float:
    chance = random.Random(7)
    given = limits(calls=calls)
    failed = sum(verdict(pairs(chance, calls * STEPS, live, new), given) is GateVerdict.FAILED for _ in range(canaries))
    return failed / canaries


SAME = (0.01, 0.02, 0.9)


def test_versions_that_are_alike_fail_no_more_often_than_stated() -> None:
    assert share_of_failures(SAME, SAME, 100) <= 0.05


@pytest.mark.parametrize(
    ("new", "calls"),
    [((0.04, 0.02, 0.9), 500), ((0.01, 0.12, 0.9), 500), ((0.01, 0.02, 0.84), 1000)],
    ids=["errors", "latency", "answers"],
)
def test_worse_versions_are_found_nine_times_in_ten(new: tuple[float, ...], calls: int) -> None:
    assert share_of_failures(SAME, new, 30, calls) >= 0.9


def test_three_failed_calls_in_a_hundred_against_one_are_found_in_a_thousand() -> None:
    chance, found, looks = random.Random(11), 0, LIMITS.looks
    for _ in range(100):
        new = [chance.random() < 0.03 for _ in range(1000)]
        live = [chance.random() < 0.01 for _ in range(9000)]  # the live version has nine calls for each of them
        for look in range(1, looks + 1):
            seen, before = 1000 * look // looks, 9000 * look // looks
            evidence = Evidence([], live=Counts(before, sum(live[:before])), new=Counts(seen, sum(new[:seen])))
            if judge(evidence, LIMITS, look, enough=True)[0].verdict is GateVerdict.FAILED:
                found += 1
                break
    assert found >= 90


def test_the_plan_names_the_errors_that_the_calls_find_nine_times_in_ten() -> None:
    given = limits(calls=500)
    rate, chance, found = found_at_the_end(given, 0.01), random.Random(2), 0
    assert 0.02 < rate < 0.06
    for _ in range(150):
        new = [chance.random() < rate for _ in range(1000)]
        live = [chance.random() < 0.01 for _ in range(1000)]
        for look in range(1, given.looks + 1):
            seen = 1000 * look // given.looks
            evidence = Evidence([], live=Counts(seen, sum(live[:seen])), new=Counts(seen, sum(new[:seen])))
            if judge(evidence, given, look, enough=True)[0].verdict is GateVerdict.FAILED:
                found += 1
                break
    assert found >= 0.85 * 150
    assert found_at_the_end(limits(calls=50_000), 0.01) < 0.013
    assert found_at_the_end(limits(calls=1), 0.01) > 0.9


def test_a_harmless_delay_of_each_call_is_not_held_against_a_version() -> None:
    chance = random.Random(3)
    found = pairs(chance, 4000, (0, 0, 1), (0, 0, 1))
    later = [Pair(p.record, p.live, Call(p.live.seconds * 1.02, p.new.prediction), "1", known=True) for p in found]
    assert verdict(later, limits(calls=2000)) is GateVerdict.PASSED


@pytest.mark.parametrize(("count", "wanted"), [(0, "inconclusive"), (10, "inconclusive"), (60, "passed")])
def test_no_data_is_inconclusive_and_never_a_pass(count: int, wanted: str) -> None:
    found = pairs(random.Random(1), count, (0, 0, 1), (0, 0, 1))
    assert worst_of(judge(Evidence(found), LIMITS, 4, enough=True)).value == wanted
    assert worst_of(judge(Evidence(found), LIMITS, 4, enough=False)).value == "inconclusive"


def test_calls_of_users_count_as_errors_too() -> None:
    found = pairs(random.Random(1), 100, (0, 0, 1), (0, 0, 1))
    evidence = Evidence(found, live=Counts(9000, 20), new=Counts(900, 90))
    errors = judge(evidence, LIMITS, 4, enough=True)[0]
    assert errors.verdict is GateVerdict.FAILED
    assert (errors.rows, evidence.calls) == (1000, 1000)
    assert "90 of 1000 calls failed (9.00%); live version: 20 of 9100" in errors.message


def test_an_absolute_limit_of_errors_holds_for_a_live_version_that_fails_too() -> None:
    found = pairs(random.Random(1), 500, (0.4, 0, 1), (0.4, 0, 1))
    errors = judge(Evidence(found), LIMITS, 4, enough=True)[0]
    assert (errors.verdict, errors.message.split(":")[0]) == (GateVerdict.FAILED, "fails too often")


def test_an_absolute_limit_of_the_response_time() -> None:
    found = [Pair(f"r{n}", Call(0.3, "1"), Call(0.3, "1")) for n in range(500)]
    latency = judge(Evidence(found), limits(max_latency=0.2), 4, enough=True)[1]
    assert latency.verdict is GateVerdict.FAILED
    assert "95th percentile 300 ms" in latency.message


@pytest.mark.parametrize(
    ("new", "wanted"),
    [
        ([1.0] * 40, "passed"),
        ([1.005] * 40, "passed"),
        ([2.0] * 40, "failed"),
        ([1.0] * 31 + [2.0] * 9, "inconclusive"),
    ],
)
def test_without_known_answers_the_two_versions_must_agree(new: list[float], wanted: str) -> None:
    found = [Pair(f"r{n}", Call(0.01, 1.0), Call(0.01, value)) for n, value in enumerate(new)]
    answers = judge(Evidence(found), LIMITS, 8, enough=True)[2]
    assert answers.verdict.value == wanted, answers.message


@pytest.mark.parametrize(("shift", "wanted"), [(0.0, "passed"), (-0.5, "passed"), (0.6, "failed")])
def test_numbers_are_compared_with_what_is_right(shift: float, wanted: str) -> None:
    chance = random.Random(5)
    found = []
    for number in range(200):
        right = chance.gauss(10, 3)
        live, new = right + chance.gauss(0.5, 0.2), right + chance.gauss(0.5 + shift, 0.2)
        found.append(Pair(f"r{number}", Call(0.01, live), Call(0.01, new), right=right, known=True))
    answers = judge(Evidence(found), LIMITS, 8, enough=True)[2]
    assert answers.verdict.value == wanted, answers.message


def test_numbers_that_are_as_good_fail_no_more_often_than_stated_and_worse_ones_are_found() -> None:
    """The answers alone, at all looks together: a quarter of the false alarms is theirs."""

    def share(factor: float) -> float:
        chance, failed = random.Random(9), 0
        for _ in range(25):
            found = []
            for number in range(200):
                right = chance.lognormvariate(3, 1)
                live, new = right * chance.lognormvariate(0, 0.3), right * chance.lognormvariate(0, 0.3 * factor)
                found.append(Pair(f"r{number}", Call(0.01, live), Call(0.01, new), right=right, known=True))
            looks = ((look, found[: 25 * look]) for look in range(1, LIMITS.looks + 1))
            failed += any(
                judge(Evidence(seen), LIMITS, look, enough=True)[2].verdict is GateVerdict.FAILED
                for look, seen in looks
            )
        return failed / 25

    assert share(1.0) <= 0.05
    assert share(2.0) >= 0.9


def test_few_numbers_decide_nothing_unless_they_are_as_good() -> None:
    found = [Pair(f"r{n}", Call(0.01, 1.1), Call(0.01, 1.5), right=1.0, known=True) for n in range(19)]
    answers = judge(Evidence(found), LIMITS, 8, enough=True)[2]
    assert (answers.verdict, "20 records needed" in answers.message) == (GateVerdict.INCONCLUSIVE, True)
    better = [Pair(pair.record, pair.new, pair.live, right=1.0, known=True) for pair in found]
    assert judge(Evidence(better), LIMITS, 8, enough=True)[2].verdict is GateVerdict.PASSED


@pytest.mark.parametrize(
    ("new", "calls", "wanted"),
    [
        ({0.5: 0.01, 0.75: 0.015, 0.95: 0.02, 0.99: 0.03}, 400, "passed"),
        ({0.5: 0.01, 0.75: 0.05, 0.95: 0.2, 0.99: 0.3}, 400, "failed"),
        ({0.5: 0.01, 0.75: 0.015, 0.95: 0.2, 0.99: 0.3}, 400, "failed"),
        ({0.5: 0.01, 0.75: 0.05, 0.95: 0.2, 0.99: 0.3}, 39, "passed"),
        ({}, 400, "passed"),
    ],
    ids=["alike", "a quarter above the 95th", "one in twenty above the 99th", "too few", "not told"],
)
def test_calls_of_users_that_take_longer_count_too(new: dict[float, float], calls: int, wanted: str) -> None:
    live = {0.5: 0.01, 0.75: 0.015, 0.95: 0.02, 0.99: 0.03}
    times = [UserTimes("predict on api-1", 4000, calls, live, new), UserTimes("predict on api-2", 4000, 30, live, live)]
    evidence = Evidence(pairs(random.Random(1), 400, (0, 0, 1), (0, 0, 1)), times=times)
    latency = judge(evidence, LIMITS, 8, enough=True)[1]
    assert latency.verdict.value == wanted, latency.message
    assert ("slower for users than the live version: predict on api-1" in latency.message) == (wanted == "failed")


def test_a_record_that_was_sent_often_counts_once_among_the_answers() -> None:
    found = [Pair("the only one", Call(0.01, "1"), Call(0.01, "0"), right="1", known=True)] * 200
    answers = judge(Evidence(found), LIMITS, 8, enough=True)[2]
    assert (answers.rows, answers.verdict) == (1, GateVerdict.PASSED)


calls = st.builds(
    Call,
    seconds=st.floats(0, 100),
    prediction=st.sampled_from([None, "0", "1", 1, 2.5, True]),
    error=st.sampled_from(["", "", "", "500"]),
)


@given(
    st.lists(st.builds(Pair, st.sampled_from("abcdef"), calls, calls, calls, st.booleans()), max_size=80), st.booleans()
)
def test_whatever_came_back_there_is_a_verdict(found: list[Pair], enough: bool) -> None:
    results = judge(Evidence(found), LIMITS, 3, enough=enough)
    assert [result.name for result in results] == ["errors", "latency", "answers"]
    for result in results:
        assert result.message
        assert result.verdict in (GateVerdict.PASSED, GateVerdict.FAILED, GateVerdict.INCONCLUSIVE)
        assert result.measured()
