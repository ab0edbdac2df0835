"""What the deployer's updates and the records say together, and the figures of it."""

from __future__ import annotations

from itertools import count

import pytest

from mlops_steps.delivery.phases import Phase
from mlops_steps.delivery.record import Approval, Build, Bundle, ReleaseRecord, Stage
from mlops_steps.delivery.recorded_changes import Recorded, recorded
from mlops_steps.delivery.unit import Outcome, Previous, Unit
from mlops_steps.insight.delivery_figures import Commit, Figures, figures, in_words
from mlops_steps.insight.history import PastChange, Update, changes

DAY = 86_400.0
START = 1_000 * DAY


def past(*steps: str, records: tuple[Recorded, ...] = ()) -> list[PastChange]:
    """An update a day of a minute each: ``a``, or ``a!`` for one that failed."""
    updates = [
        Update("P", START + day * DAY, START + day * DAY + 60, not step.endswith("!"), step.rstrip("!"), "ops")
        for day, step in zip(count(), steps, strict=False)
    ]
    return changes(reversed(updates), records)


@pytest.mark.parametrize(
    ("steps", "what"),
    [
        (("a", "b", "c"), ["released", "released", "released"]),
        (("a", "a"), ["released", "updated again"]),
        (("a", "b", "a"), ["released", "released", "rolled back"]),
        (("a", "b", "a", "b"), ["released", "released", "rolled back", "released again"]),
        (("a", "b", "a", "c", "b"), ["released", "released", "rolled back", "released", "rolled back"]),
        (("a", "b!", "a"), ["released", "failed", "updated again"]),
        (("a!", "a"), ["failed", "released"]),
    ],
)
def test_each_change_is_called_what_it_is(steps: tuple[str, ...], what: list[str]) -> None:
    assert [change.what for change in past(*steps)] == what


def test_what_no_record_tells_of_was_made_by_hand_as_far_back_as_records_go() -> None:
    at = START + 2 * DAY
    record = Recorded("P", "c", at - 10, at + 90, restore=False, who="jane", build="churn #3", commit="c0ffee")
    found = past("a", "b", "c", "d", records=(record,))
    assert [change.source for change in found] == ["not known", "not known", "pipeline", "by hand"]
    assert (found[2].who, found[2].build, found[2].commit) == ("jane", "churn #3", "c0ffee")
    assert (found[3].who, found[3].before) == ("ops", "c")
    assert found[3].as_release("prod").note == "by hand"


def shared(at: float, **shares: float) -> Update:
    return Update("P", START + at, START + at + 1, True, None, shares=tuple(shares.items()))


def test_a_canary_is_one_change_and_what_answers_alone_after_it_says_how_it_ended() -> None:
    updates = [
        Update("P", START, START + 1, True, "a"),
        *(shared(10 + step, a=1 - step / 10, b=step / 10) for step in (1, 2, 3)),
        Update("P", START + 20, START + 21, True, "b"),
        shared(30, b=0.9, c=0.1),
        Update("P", START + 40, START + 41, True, "b"),
        # Only compared: no user had an answer of it.
        shared(50, b=1.0, d=0.0),
        Update("P", START + 60, START + 61, True, "b"),
    ]
    restore = Recorded("P", "b", START + 59, START + 62, restore=True, why="only compared")
    found = changes(updates, [restore])
    assert [(one.version, one.what) for one in found] == [
        ("a", "released"),
        ("b", "canary"),
        ("b", "released"),
        ("c", "canary"),
        ("b", "rolled back"),
        ("b", "updated again"),
    ]
    assert found[1].ended - found[1].began == 3
    counted = figures({"P": found}, {}, START, START + DAY)
    assert (counted.deployments, counted.failed, counted.attempts) == (2, 1, 3)
    assert counted.time_to_restore == 10


def test_clocks_may_differ_and_a_later_click_is_no_part_of_the_record() -> None:
    record = Recorded("P", "a", START + 50, START + 90, restore=False)
    updates = [Update("P", START + at, START + at, True, version) for at, version in ((0, "a"), (70, "b"), (140, "a"))]
    assert [change.source for change in changes(updates, [record])] == ["pipeline", "by hand", "by hand"]


def test_a_record_tells_of_its_release_and_of_its_restore() -> None:
    restore = Outcome(result="passed", started="2026-01-31T12:05:00Z", ended="2026-01-31T12:06:00Z")
    deploy = Outcome(result="passed", started="2026-01-31T12:00:00Z", ended="2026-01-31T12:01:00Z")
    unit = Unit(infra="i", deployment="d", version="b2", previous=Previous(version="b1"), phase=Phase.RESTORED)
    unit.deploy, unit.restore, unit.why = deploy, restore, "no rows"
    record = ReleaseRecord(
        project="P",
        bundle=Bundle(id="b2", sha256="a" * 64, size=1),
        project_commit="4f2c1aa",
        build=Build(number="7", job="churn"),
        stages={"prod": Stage(units={"i": unit}, approval=Approval(by="jane", bundle="b2"))},
    )
    released, back = recorded(record, "prod")
    assert (released.version, released.who, released.build, released.commit) == ("b2", "jane", "churn #7", "4f2c1aa")
    assert released.ended - released.began == 60
    assert (back.version, back.restore, back.why) == ("b1", True, "no rows")
    assert recorded(record, "test") == []


def reckoned(*steps: str, commits: tuple[Commit, ...] = (), since: float = START) -> Figures:
    found = past(*steps)
    return figures({"P": found}, {"P": commits}, since, START + 14 * DAY)


def test_frequency_counts_what_went_live() -> None:
    found = reckoned("a", "b", "a", "b", "b", "c!")
    assert (found.deployments, found.deployments_per_week) == (3, 1.5)
    assert found.not_known == 3


def test_a_release_that_was_rolled_back_has_failed_and_the_same_one_released_again_has_not() -> None:
    found = reckoned("a", "b", "a", "b")
    assert (found.failed, found.attempts, found.change_failure_rate) == (1, 3, 0.3333)
    assert (found.time_to_restore, found.restored) == (DAY, 1)


def test_an_update_that_failed_and_was_tried_again_is_one_attempt() -> None:
    assert (reckoned("a", "b!", "b!", "b").failed, reckoned("a", "b!", "b").attempts) == (0, 2)


def test_an_update_that_failed_is_restored_by_what_is_made_live_next() -> None:
    found = reckoned("a", "b!", "a")
    assert (found.failed, found.attempts, found.time_to_restore) == (1, 2, DAY)
    assert reckoned("a", "b!").time_to_restore is None


def test_what_lies_before_counts_only_for_what_comes_after() -> None:
    found = reckoned("a", "b", "a", "b", since=START + 1.5 * DAY)
    assert (found.deployments, found.attempts, found.failed) == (1, 1, 0)


def test_lead_time_is_that_of_each_commit_that_is_live_for_the_first_time() -> None:
    commits = tuple(Commit(f"c{number}", START - 5 * DAY + number * DAY) for number in range(5, -1, -1))
    tagged = [
        PastChange("P", START + day * DAY, START + day * DAY, version, None, what, "pipeline", commit=commit)
        for day, version, what, commit in (
            (0, "a", "released", "c1"),
            (1, "b", "released", "c3"),
            (2, "a", "rolled back", "c1"),
            (3, "b", "released again", "c3"),
            (4, "c", "released", "c4"),
        )
    ]
    found = figures({"P": tagged}, {"P": commits}, START, START + 14 * DAY)
    # c1 after 4 days; c2 after 4 and c3 after 3; c4 after 5. The second time of c3 is no change.
    assert (found.lead_time, found.lead_time_commits) == (4 * DAY, 4)


def test_figures_that_rest_on_too_little_say_so() -> None:
    found = reckoned("a", "b")
    assert "change failure rate rests on 2" in found.too_little
    assert "lead time rests on nothing" in found.too_little
    text = "\n".join(in_words("P", found))
    assert "lead time for changes  not known" in text
    assert "too little to go by: deployment frequency rests on 2; " in text
    assert reckoned(*"abcdefgh").too_little == ("lead time rests on nothing", "time to restore rests on nothing")


def test_projects_are_counted_together_and_told_apart_by_their_own_history() -> None:
    found = figures({"P": past("a", "b"), "Q": past("b", "a")}, {}, START, START + 14 * DAY)
    assert (found.deployments, found.failed) == (4, 0)
