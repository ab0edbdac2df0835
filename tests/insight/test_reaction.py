"""When a reaction to decay is refused."""

from __future__ import annotations

from mlops_steps.insight.findings import Level
from mlops_steps.insight.reaction import Earlier, refusal

DAY = 86_400.0
NOW = 100 * DAY


def refused(*earlier: Earlier) -> tuple[Level, str] | None:
    return refusal(earlier, "v5", NOW, DAY, 3)


def test_the_first_one_may_begin() -> None:
    assert refused() is None


def test_one_at_a_time() -> None:
    found = refused(Earlier("v1", NOW - 40 * DAY, ""))
    assert found is not None
    assert found[0] is Level.WARN
    assert "is under way" in found[1]


def test_a_version_is_answered_once_however_long_ago() -> None:
    found = refused(Earlier("v5", NOW - 99 * DAY, "SUCCESS"))
    assert found is not None
    assert found[0] is Level.ACT


def test_one_in_a_period_by_whomever() -> None:
    assert refused(Earlier("", NOW - 0.9 * DAY, "SUCCESS")) is not None
    assert refused(Earlier("", NOW - 1.1 * DAY, "SUCCESS")) is None


def test_the_budget_counts_own_ones_of_thirty_days() -> None:
    two = [Earlier("v3", NOW - 20 * DAY, "SUCCESS"), Earlier("v4", NOW - 10 * DAY, "FAILED")]
    assert refused(*two, Earlier("v2", NOW - 31 * DAY, "SUCCESS")) is None
    assert refused(*two, Earlier("", NOW - 15 * DAY, "SUCCESS")) is None
    found = refused(*two, Earlier("v2", NOW - 29 * DAY, "SUCCESS"))
    assert found is not None
    assert found[0] is Level.ACT
    assert "budget" in found[1]
