"""How scenario runs, and the reports that DSS has for them, become test cases."""

from __future__ import annotations

import io

import pytest

from mlops_steps.config import TestSettings
from mlops_steps.dss.scenarios import ScenarioInfo, ScenarioOutcome, ScenarioResult
from mlops_steps.errors import NodeError
from mlops_steps.report.model import Outcome, Report
from mlops_steps.system.console import Console
from mlops_steps.trials.scenario_cases import add_cases, choose, missing
from mlops_steps.trials.scenario_runs import Ran

PRESENT = [
    ScenarioInfo("NIGHTLY", "Nightly build"),
    ScenarioInfo("QUALITY", "Quality", marked_as_test=True),
    ScenarioInfo("TEST_DATA", "Data"),
    ScenarioInfo("test_small", "Small letters"),
]


def cases_of(*reports: str, outcome: ScenarioResult = "SUCCESS", warning: str = "pass") -> tuple[Report, str]:
    """The report of a run with these reports of DSS, and what the console said."""
    report = Report("DKU_CHURN", "test", "uat")
    said = io.StringIO()
    run = ScenarioOutcome("TEST_DATA", outcome, "2026-11-23-08-00-01-123", 2.5, "why", "the log", [])
    run.reports.extend(text.encode() for text in reports)
    add_cases(report, Ran("TEST_DATA", run), warning, "128-4f2c1aa", Console(said))
    return report, said.getvalue()


def inner(report: Report) -> list[tuple[str, str, Outcome]]:
    prefix = "DKU_CHURN.test.uat.TEST_DATA"
    assert all(case.classname.startswith(prefix) for case in report.cases[1:])
    return [(case.classname.removeprefix(prefix), case.name, case.outcome) for case in report.cases[1:]]


def suite(*cases: str) -> str:
    return f'<testsuites><testsuite name="Test: data">{"".join(cases)}</testsuite></testsuites>'


@pytest.mark.parametrize(
    ("settings", "chosen"),
    [
        ({}, ["QUALITY", "TEST_DATA"]),
        ({"marked": False}, ["TEST_DATA"]),
        ({"scenarios": ["*"]}, ["NIGHTLY", "QUALITY", "TEST_DATA", "test_small"]),
        ({"scenarios": ["NIGHT??"], "marked": False}, ["NIGHTLY"]),
        ({"scenarios": ["NIGHTLY", "NONE"], "marked": False}, ["NIGHTLY"]),
        ({"scenarios": [], "marked": False}, []),
    ],
)
def test_scenarios_are_chosen_by_patterns_and_by_their_mark(settings: dict[str, object], chosen: list[str]) -> None:
    assert choose(TestSettings.model_validate(settings), PRESENT) == chosen


def test_only_a_plain_id_can_be_missing() -> None:
    settings = TestSettings(scenarios=["NONE", "NO*", "N?NE", "[N]ONE", "NIGHTLY"])
    assert missing(settings, PRESENT) == ["NONE"]


@pytest.mark.parametrize(
    ("outcome", "warning", "expected"),
    [
        ("SUCCESS", "pass", Outcome.PASSED),
        ("WARNING", "pass", Outcome.PASSED),
        ("WARNING", "fail", Outcome.FAILURE),
        ("FAILED", "pass", Outcome.FAILURE),
        ("TIMED_OUT", "pass", Outcome.FAILURE),
        ("ABORTED", "pass", Outcome.ERROR),
        ("NOT_STARTED", "pass", Outcome.ERROR),
    ],
)
def test_each_outcome_of_a_scenario_has_its_meaning(outcome: ScenarioResult, warning: str, expected: Outcome) -> None:
    case = cases_of(outcome=outcome, warning=warning)[0].cases[0]
    assert (case.name, case.classname, case.outcome) == ("TEST_DATA", "DKU_CHURN.test.uat", expected)
    assert case.seconds == 2.5
    assert "the log" in case.stdout
    if expected is Outcome.PASSED:
        # What a warning says is not lost where warnings pass.
        assert case.stdout.startswith(f"{outcome}: why")
        assert case.message == ""
    else:
        assert case.message == f"{outcome}: why"
        assert "run 2026-11-23-08-00-01-123 of scenario TEST_DATA" in case.details


def test_a_scenario_that_the_node_did_not_run_is_an_error_with_its_reason() -> None:
    report = Report("DKU_CHURN", "test", "uat")
    error = NodeError("node 'uat': cannot run scenario TEST_DATA: refused", next_step="check the key")
    add_cases(report, Ran("TEST_DATA", error=error), "pass", "128-4f2c1aa", Console(io.StringIO()))
    assert (report.cases[0].outcome, report.cases[0].message) == (Outcome.ERROR, error.message)
    assert "check the key" in report.cases[0].details


def test_inner_cases_lie_below_the_scenario_without_repeating_it() -> None:
    report, _ = cases_of(
        suite(
            '<testcase classname="DKU_CHURN.TEST_DATA" name="Check the data"/>',
            '<testcase classname="tests.test_model" name="test_auc"><failure message="0.7"/></testcase>',
        )
    )
    assert inner(report) == [
        ("", "Check the data", Outcome.PASSED),
        (".tests.test_model", "test_auc", Outcome.FAILURE),
    ]


def test_what_two_reports_of_a_run_both_have_is_taken_once_and_what_one_has_twice_is_kept() -> None:
    auc = '<testcase classname="tests.test_model" name="test_auc"/>'
    step = '<testcase classname="DKU_CHURN.TEST_DATA" name="step"/>'
    report, _ = cases_of(suite(step, step, auc), suite(auc, '<testcase classname="tests.test_model" name="test_new"/>'))
    assert [name for _, name, _ in inner(report)] == ["step", "step", "test_auc", "test_new"]


def test_a_case_for_the_scenario_as_a_whole_is_left_out_unless_it_says_otherwise() -> None:
    whole = '<testcase classname="DKU_CHURN.TEST_DATA" name="TEST_DATA"/>'
    failed = whole.replace("/>", '><failure message="x"/></testcase>')
    assert inner(cases_of(suite(whole))[0]) == []
    assert inner(cases_of(suite(failed))[0]) == [("", "TEST_DATA", Outcome.FAILURE)]


def test_ids_that_change_from_build_to_build_are_not_in_the_names() -> None:
    report, _ = cases_of(
        suite('<testcase classname="run.2026-11-23-08-00-01-123.data" name="rows of 128-4f2c1aa: 2026"/>')
    )
    assert inner(report) == [(".run.data", "rows of : 2026", Outcome.PASSED)]


def test_a_report_that_cannot_be_read_is_said_and_the_outcome_stands() -> None:
    report, said = cases_of("<html>busy</html>", suite('<testcase name="a" classname="c"/>'))
    assert report.cases[0].outcome is Outcome.PASSED
    assert "the test report of scenario TEST_DATA is not JUnit XML" in report.cases[0].stderr
    assert "warning: the test report of scenario TEST_DATA is not JUnit XML" in said
    assert inner(report) == [(".c", "a", Outcome.PASSED)]
