"""What nodes measure for gates: an answer that says nothing is never taken for a good one."""

from __future__ import annotations

import json
from typing import Any

import pytest
import requests
from dataikuapi import DSSClient

from mlops_steps.config.gates import ProjectStandardsGate
from mlops_steps.dss import data_quality, evaluations, govern, project_standards
from mlops_steps.dss.data_quality import RuleResult
from mlops_steps.dss.http import HttpLimits, NodeSession
from mlops_steps.dss.project_standards import CheckRun
from mlops_steps.dss.session import Dss
from mlops_steps.errors import NodeError
from mlops_steps.gates.model import GateVerdict
from mlops_steps.gates.project_standards import _check
from mlops_steps.system.waiting import Deadline

DONE = {"hasResult": True, "alive": False, "jobId": "j"}


class Answers(NodeSession):
    """Answers by the end of the path; a list is one answer after the other."""

    def __init__(self, answers: dict[str, Any]) -> None:
        super().__init__(HttpLimits(1, 1, 0, 0))
        self.answers = answers

    def request(self, method: str, url: str, **kwargs: Any) -> requests.Response:  # type: ignore[override]
        end = max((end for end in self.answers if url.rstrip("/").endswith(end)), key=len)
        answer = self.answers[end]
        if isinstance(answer, list) and answer and isinstance(answer[0], list):
            answer = answer.pop(0)
        response = requests.Response()
        response.status_code, response.url = 200, url
        response._content = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
        return response


def node(answers: dict[str, Any]) -> Dss:
    session = Answers(answers)
    client = DSSClient("http://127.0.0.1:9", api_key="k" * 32)
    client._session = session
    return Dss("test", "http://127.0.0.1:9", client, session)


def result(rule: str, outcome: str, date: int) -> dict[str, Any]:
    return {"id": rule, "name": rule, "outcome": outcome, "message": "m", "computeDate": date}


def test_a_result_from_before_is_not_taken_for_one_of_now() -> None:
    rules = [{"id": name, "displayName": name} for name in ("new", "old", "never")]
    off = {"id": "off", "displayName": "off", "enabled": False}
    before = [result("new", "ERROR", 1), result("old", "OK", 1)]
    after = [result("new", "Warning", 2), result("old", "OK", 1), result("off", "ERROR", 2)]
    answers = {
        "/rules": {"checks": [*rules, off]},
        "/last-rules-result": [before, after],
        "/compute-rules": {"jobId": "j"},
        "/futures/j": DONE,
    }
    assert data_quality.compute(node(answers), "P", "D", Deadline(5)) == [
        RuleResult("new", "WARNING", "m"),
        RuleResult("old", "", "the node has not computed it"),
        RuleResult("never", "", "the node has not computed it"),
    ]


def test_a_computation_that_was_aborted_is_an_error() -> None:
    answers = {
        "/rules": {"checks": [{"id": "a"}]},
        "/last-rules-result": [[], []],
        "/compute-rules": {"jobId": "j"},
        "/futures/j": {**DONE, "aborted": True},
    }
    with pytest.raises(NodeError, match="it was aborted on the node"):
        data_quality.compute(node(answers), "P", "D", Deadline(5))


@pytest.mark.parametrize("column", [{"ksTestPvalue": "NaN"}, {"chiSquareTestPvalue": 7}, {}, {"ksTestPvalue": None}])
def test_drift_that_is_no_number_is_an_error(column: dict[str, Any]) -> None:
    drift = {
        "univariateDriftResult": {"columns": {"a": {"populationStabilityIndex": 0.1, **column}}},
        "driftModelResult": {"referenceSampleSize": 1000, "currentSampleSize": 900},
    }
    answers = {"/computeDrift": {"jobId": "j"}, "/futures/j": {**DONE, "result": drift}}
    with pytest.raises(NodeError, match="does not have the form of DSS"):
        evaluations.drift(node(answers), "P", evaluations.Evaluation("S", "E", None), None, Deadline(5))


def test_drift_is_read_with_rows_and_importances() -> None:
    column = {"populationStabilityIndex": 0.1, "ksTestPvalue": 0.4}
    chart = {"columns": ["a"], "columnDriftScores": [1.0], "columnImportanceScores": [0.7]}
    drift = {
        "univariateDriftResult": {"columns": {"a": column}},
        "driftModelResult": {"referenceSampleSize": 1000, "currentSampleSize": 900, "driftVersusImportance": chart},
        "predictionDriftResult": {"populationStabilityIndex": 0.2, "chiSquareTestPvalue": 0.3},
    }
    answers = {"/computeDrift": {"jobId": "j"}, "/futures/j": {**DONE, "result": drift}}
    found = evaluations.drift(node(answers), "P", evaluations.Evaluation("S", "E", None), None, Deadline(5))
    assert (found.rows, found.importances) == ((1000, 900), {"a": 0.7})
    assert found.columns["a"] == evaluations.ColumnDrift(0.1, 0.4, "Kolmogorov-Smirnov")
    assert found.prediction == evaluations.ColumnDrift(0.2, 0.3, "chi-squared")


@pytest.mark.parametrize(
    ("status", "severity", "verdict"),
    [
        ("RUN_SUCCESS", 0, GateVerdict.PASSED),
        ("RUN_SUCCESS", 2, GateVerdict.PASSED),
        ("RUN_SUCCESS", 3, GateVerdict.FAILED),
        ("RUN_SUCCESS", 5, GateVerdict.FAILED),
        ("RUN_SUCCESS", 6, GateVerdict.UNMEASURED),
        ("RUN_SUCCESS", None, GateVerdict.UNMEASURED),
        ("RUN_ERROR", None, GateVerdict.UNMEASURED),
        ("", 0, GateVerdict.UNMEASURED),
        ("NOT_APPLICABLE", None, GateVerdict.SKIPPED),
    ],
)
def test_a_check_without_a_severity_does_not_pass(status: str, severity: int | None, verdict: GateVerdict) -> None:
    gate = ProjectStandardsGate(gate="project_standards", name="standards")
    assert _check(gate, CheckRun("c", "Check", status, severity, "m"), unique=True).verdict is verdict


@pytest.mark.parametrize("severity", [True, "3", 2.5, None])
def test_a_severity_that_is_no_whole_number_is_none(severity: Any) -> None:
    run = {"check": {"name": "n"}, "result": {"status": "RUN_SUCCESS", "severity": severity}}
    answers = {"/project-standards-report": {"bundleChecksRunInfo": {"c": run}}}
    (found,) = project_standards.report_of(node(answers), "P", "B") or []
    assert found.severity is None


def test_a_bundle_is_as_approved_as_all_items_that_govern_it() -> None:
    items = [{"artifact": {"id": f"ar.{n}", "fields": {"governed_by": f"ar.1{n}"}}} for n in (1, 2)]
    answers = {
        "/artifacts/search": {"uiArtifacts": items},
        "/ar.11/signoffs": [{"signoffId": {"stepId": "review"}, "status": "APPROVED"}],
        "/ar.12/signoffs": [{"signoffId": {"stepId": "review"}, "status": "REJECTED"}],
    }
    found = govern.sign_offs_of(node(answers), "P", "B")
    assert [one.status for one in found.sign_offs] == ["APPROVED", "REJECTED"]
    nothing = govern.sign_offs_of(node({"/artifacts/search": {"uiArtifacts": []}}), "P", "B")
    assert (nothing.known, nothing.governed, nothing.sign_offs) == (False, False, [])
