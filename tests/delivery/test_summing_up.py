"""The verdict of the page: one sentence that is true, whatever became of the release."""

from __future__ import annotations

from typing import Any

import pytest

from mlops_steps.config import load
from mlops_steps.delivery import summing_up
from mlops_steps.delivery.phases import Phase
from mlops_steps.delivery.record import Approval, Bundle, ReleaseRecord, Stage
from mlops_steps.delivery.unit import Outcome, Previous, Unit
from mlops_steps.report.html.facts import Facts
from mlops_steps.report.model import Case, Report
from mlops_steps.report.model import Outcome as CaseOutcome

NODES = {
    "MLOPS_PROJECT": "CHURN",
    "MLOPS_DESIGN_URL": "http://127.0.0.1:1",
    "MLOPS_TEST_URL": "http://127.0.0.1:2",
    "MLOPS_TEST_INFRA": "auto-test",
    "MLOPS_PROD_URL": "http://127.0.0.1:3",
    "MLOPS_PROD_INFRA": "auto-prod",
}
AT = "2026-01-31T12:00:00Z"
BEGAN = summing_up.seconds(AT)


def passed(message: str = "") -> Outcome:
    return Outcome(result="passed", bundle="b2", started=AT, ended="2026-01-31T12:00:09Z", message=message)


def record(**unit: Any) -> ReleaseRecord:
    """Of bundle b2, tested on test; ``unit`` is what has happened in production."""
    stages = {"test": Stage(test=passed("12 tests passed"))}
    if unit:
        fields = {"version": "b2", "since": AT, "previous": Previous(version="b1"), **unit}
        change = Unit(infra="auto-prod", deployment="d", **fields)
        approval = Approval(by="jane", bundle="b2", at=AT)
        stages["prod"] = Stage(units={"auto-prod": change}, approval=approval)
    bundle = Bundle(id="b2", sha256="a" * 64, size=1, created=AT, replaces="b1", changes=["Changes since b1:", "- a"])
    return ReleaseRecord(project="CHURN", bundle=bundle, project_commit="4f2c1aa9d21c0", stages=stages)


def report(step: str, stage: str | None = None, *, failed: str = "", begin: float = -60, **properties: str) -> Report:
    found = Report("CHURN", step, stage, started=BEGAN + begin)
    found.set(bundle="b2", took="9", **properties)
    found.add(Case("gate champion", CaseOutcome.FAILURE, failed) if failed else Case("a"))
    return found


def facts(known: ReleaseRecord | None, *reports: Report) -> Facts:
    settings = load(None, NODES, {})
    return summing_up.facts_of(known, settings, reports or (report("test", "test"),))


def sentence(known: ReleaseRecord, *reports: Report) -> tuple[str, str]:
    verdict = facts(known, *reports).verdict
    assert verdict is not None
    return verdict.level, verdict.sentence


def test_a_release_says_since_when_and_how_it_was_tested() -> None:
    live = record(phase=Phase.LIVE, deploy=passed(), smoke_test=passed())
    assert sentence(live) == (
        "good",
        "Bundle b2 has been live on prod since 2026-01-31 12:00 UTC, tested on test (12 tests passed), "
        "smoke test passed.",
    )


def test_what_failed_before_the_release_and_did_not_stop_it_is_said() -> None:
    level, said = sentence(record(phase=Phase.LIVE), report("validate", failed="too long"))
    assert level == "good"
    assert said.endswith("1 check of validate failed before it, and did not stop it.")


def test_what_failed_after_the_release_makes_the_verdict_bad() -> None:
    level, said = sentence(record(phase=Phase.LIVE), report("smoke-test", "prod", failed="no rows", begin=60))
    assert level == "bad"
    assert said.startswith("Bundle b2 has failed in smoke-test on prod: gate champion: no rows. Bundle b2 has been")


@pytest.mark.parametrize(
    ("unit", "level", "said"),
    [
        (
            {"phase": Phase.RESTORED, "why": "no rows."},
            "bad",
            "Bundle b2 is not live on prod: no rows. Live since 2026-01-31 12:00 UTC: bundle b1, verified.",
        ),
        (
            {"phase": Phase.RESTORED, "previous": Previous(version=None)},
            "bad",
            "Bundle b2 is not live on prod. Live since 2026-01-31 12:00 UTC: nothing, verified.",
        ),
        (
            {"phase": Phase.IN_DOUBT, "why": "the node is silent"},
            "doubt",
            "It is in doubt what is live on prod: the node is silent. A person must act.",
        ),
        (
            {"phase": Phase.DEPLOYING},
            "doubt",
            "The change of prod to bundle b2 has not ended (deploying); before it, bundle b1 was live.",
        ),
    ],
)
def test_what_became_of_a_release_that_failed(unit: dict[str, Any], level: str, said: str) -> None:
    assert sentence(record(**unit), report("release", "prod", failed="x")) == (level, said)


def test_the_first_step_that_failed_is_why_a_bundle_was_stopped() -> None:
    failed = report("test", "test", failed="0.06 worse", next="train it again")
    refused = report("release", "prod", failed="not tested", begin=-30)
    found = facts(record(), failed, refused).verdict
    assert found is not None
    assert found.sentence == (
        "Bundle b2 was stopped by test on test: gate champion: 0.06 worse. "
        "Production is untouched: bundle b1 was live when this one was packaged."
    )
    assert found.next_step == "train it again"


def test_before_a_release_it_says_how_far_the_bundle_is() -> None:
    assert sentence(record()) == ("open", "Bundle b2 has passed its tests on test; it is not released.")


def test_the_record_of_another_release_says_nothing() -> None:
    assert facts(record(), Report("CHURN", "validate")) == Facts()
    assert facts(None) == Facts()


def test_the_parts_of_a_release_are_below_its_step() -> None:
    live = record(phase=Phase.LIVE, deploy=passed(), smoke_test=passed())
    found = facts(live, report("release", "prod"))
    assert [(span.name, span.within, span.begin) for span in found.spans] == [
        ("deployment", "release on prod", BEGAN),
        ("smoke test", "release on prod", BEGAN),
    ]
    assert dict(found.lines)["approved by"] == "jane, 2026-01-31 12:00 UTC"
