"""validate against a node that answers as no healthy one does; and the parts of a project that the sandbox has not."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mlops_steps.config import Settings, load
from mlops_steps.errors import CheckFailed, DeadlineExceeded, MlopsError, NodeError
from mlops_steps.report.model import Case, Outcome, Report
from mlops_steps.steps import validate
from mlops_steps.steps.context import Context
from mlops_steps.system.console import Console
from tests.front_door.fake_node import KEY, FakeNode, Refusing, project_p, recipe


@pytest.fixture(scope="module")
def running() -> Iterator[FakeNode]:
    node = FakeNode()
    yield node
    node.close()


@pytest.fixture
def node(running: FakeNode) -> FakeNode:
    running.answers = project_p()
    return running


def settings_for(node: FakeNode, tmp_path: Path, more: str = "") -> Settings:
    path = tmp_path / "mlops.yml"
    path.write_text(
        f"project: P\nnodes: {{design: {{url: '{node.url}'}}}}\nhttp: {{retries: 0, read_timeout: 5s}}\n{more}",
        encoding="utf-8",
    )
    return load(path, {"MLOPS_DESIGN_API_KEY": KEY})


def run(node: FakeNode, tmp_path: Path, more: str = "") -> tuple[dict[str, Case], MlopsError | None, str]:
    """The cases by name, the error, and what was printed."""
    report, out = Report("P", "validate"), io.StringIO()
    error = None
    try:
        validate.run(Context(settings_for(node, tmp_path, more), report, Console(out, live=False)))
    except MlopsError as raised:
        error = raised
    return {case.name: case for case in report.cases}, error, out.getvalue()


def test_a_good_project_passes_rule_by_rule_and_object_by_object(node: FakeNode, tmp_path: Path) -> None:
    cases, error, out = run(node, tmp_path)
    assert error is None
    assert {name: case.outcome for name, case in cases.items()} == dict.fromkeys(
        [
            "read project P",
            "test-scenario project P",
            "smoke-scenario scenario TEST_SMOKE",
            "python-parses recipe compute",
            "python-parses library python/util.py",
            "max-lines recipe compute",
            "max-lines library python/util.py",
            "max-logical-lines recipe compute",
            "max-logical-lines library python/util.py",
            "max-complexity recipe compute",
            "max-complexity library python/util.py",
            "no-credentials recipe compute",
            "no-credentials library python/util.py",
            "code-env-exists code environment py_churn (PYTHON)",
            "flow-complete raw",
            "flow-complete OTHER.rates",
            "flow-complete model",
        ],
        Outcome.PASSED,
    )
    assert "16 checks passed" in out


def test_what_does_not_hold_is_a_failure_and_the_step_fails(node: FakeNode, tmp_path: Path) -> None:
    node.answers["/projects/P/recipes/compute"] = recipe('password = "hunter2x"\npwd = "hunter2y"\ndef f(:\n')
    node.answers["/projects/P/scenarios"] = []
    cases, error, out = run(node, tmp_path)
    assert isinstance(error, CheckFailed)
    assert error.message == "4 of 10 checks failed (2 skipped)"
    assert error.is_reported
    failed = {name for name, case in cases.items() if case.outcome is Outcome.FAILURE}
    assert failed == {
        "test-scenario project P",
        "smoke-scenario scenario TEST_SMOKE",
        "python-parses recipe compute",
        "no-credentials recipe compute",
    }
    assert cases["max-complexity recipe compute"].outcome is Outcome.SKIPPED
    everything = out + str(cases) + str(error.lines())
    assert "hunter2" not in everything
    assert "failed: no-credentials recipe compute: line 1: Secret Keyword; line 2: Secret Keyword" in out


def test_a_warning_passes_and_carries_its_text(node: FakeNode, tmp_path: Path) -> None:
    more = "validate: {limits: {lines: 1}, severity: {max-lines: warning}}"
    node.answers["/projects/P/recipes/compute"] = recipe("x = 1\ny = 2\n")
    cases, error, out = run(node, tmp_path, more)
    assert error is None
    case = cases["max-lines recipe compute"]
    assert case.outcome is Outcome.PASSED
    assert case.stdout.startswith("warning: 2 lines; the limit is 1")
    assert "warning: max-lines recipe compute: 2 lines; the limit is 1" in out
    assert "(1 warning)" in out


def test_an_exception_shows_its_reason_and_one_that_matches_nothing_is_warned_of(
    node: FakeNode, tmp_path: Path
) -> None:
    more = (
        "validate:\n  limits: {lines: 1}\n  exceptions:\n"
        "  - {rule: max-lines, object: 'recipe comp*', reason: kept as it was delivered}\n"
        "  - {rule: max-lines, object: 'recipe gone', reason: none}\n"
    )
    node.answers["/projects/P/recipes/compute"] = recipe("x = 1\ny = 2\n")
    cases, error, out = run(node, tmp_path, more)
    assert error is None
    case = cases["max-lines recipe compute"]
    assert (case.outcome, case.message) == (Outcome.SKIPPED, "exception: kept as it was delivered")
    assert (
        "mlops.yml:8: validate.exceptions.1: the exception of rule max-lines for 'recipe gone' matches nothing" in out
    )


def test_marked_scenarios_count_as_tests_unless_told_otherwise(node: FakeNode, tmp_path: Path) -> None:
    assert run(node, tmp_path, "test: {scenarios: [NONE_*]}")[1] is None
    assert run(node, tmp_path, "test: {scenarios: [NONE_*], marked: false}")[1] is not None


@pytest.mark.parametrize("status", [401, 403])
def test_what_the_key_may_not_see_is_skipped_not_failed(node: FakeNode, tmp_path: Path, status: int) -> None:
    for path in ("/admin/code-envs", "/projects/OTHER/datasets", "/projects/P/settings"):
        node.answers[path] = Refusing(status)
    cases, error, _ = run(node, tmp_path)
    assert error is None
    skipped = {name: case.message for name, case in cases.items() if case.outcome is Outcome.SKIPPED}
    assert skipped == {
        "code-env-exists code environment py_churn (PYTHON)": "this key may not list the code environments",
        "flow-complete OTHER.rates": "this key may not see project OTHER",
    }


def test_a_project_that_is_gone_leaves_its_datasets_missing(node: FakeNode, tmp_path: Path) -> None:
    for path in list(node.answers):
        if path.startswith("/projects/OTHER"):
            del node.answers[path]
    cases, error, _ = run(node, tmp_path)
    assert isinstance(error, CheckFailed)
    assert "OTHER.rates does not exist; needed by recipe compute" in cases["flow-complete OTHER.rates"].message


def test_rarer_objects_of_the_flow_are_looked_up_when_they_are_needed(node: FakeNode, tmp_path: Path) -> None:
    node.answers["/projects/P/datasets"] = []
    assert run(node, tmp_path)[1] is not None
    node.answers["/projects/P/streamingendpoints"] = [{"projectKey": "P", "id": "raw"}]
    assert run(node, tmp_path)[1] is None
    del node.answers["/projects/P/streamingendpoints"]
    node.answers["/projects/P/evaluationstores"] = [{"projectKey": "P", "id": "raw", "mesFlavor": "TABULAR"}]
    assert run(node, tmp_path)[1] is None


def test_code_environments_are_found_wherever_they_are_named(node: FakeNode, tmp_path: Path) -> None:
    step = {"type": "custom_python", "params": {"envSelection": {"envMode": "EXPLICIT_ENV", "envName": "of_step"}}}
    node.answers["/projects/P/scenarios/TEST_SMOKE"] = {"type": "step_based", "params": {"steps": [step]}}
    codes = {
        "python": {"mode": "EXPLICIT_ENV", "envName": "py_churn"},
        "r": {"mode": "EXPLICIT_ENV", "envName": "of_r"},
    }
    node.answers["/projects/P/settings"] = {"settings": {"codeEnvs": codes}}
    cases, error, _ = run(node, tmp_path)
    assert isinstance(error, CheckFailed)
    assert cases["code-env-exists code environment py_churn (PYTHON)"].outcome is Outcome.PASSED
    assert "named by scenario TEST_SMOKE" in cases["code-env-exists code environment of_step (PYTHON)"].details
    assert "named by project P" in cases["code-env-exists code environment of_r (R)"].details


def test_names_with_odd_characters_do_not_lead_requests_astray(node: FakeNode, tmp_path: Path) -> None:
    name = "a/../../OTHER?x=1#é"
    node.answers["/projects/P/recipes"] = [{"projectKey": "P", "name": name, "type": "python"}]
    node.answers[f"/projects/P/recipes/{name}"] = recipe("x = 1\n")
    cases, error, _ = run(node, tmp_path)
    assert error is None
    assert f"python-parses recipe {name}" in cases
    node.answers["/projects/P/recipes"] = [{"projectKey": "P", "name": "..", "type": "python"}]
    assert isinstance(run(node, tmp_path)[1], NodeError)


def test_an_error_of_a_team_s_rule_is_a_case_and_fails_the_step(node: FakeNode, tmp_path: Path) -> None:
    (tmp_path / "ours.py").write_text("def check(project, settings):\n    return 1 / 0\n", encoding="utf-8")
    cases, error, _ = run(node, tmp_path, "validate: {rules: ['ours.py:check']}")
    assert isinstance(error, CheckFailed)
    assert error.message == "1 of 17 checks failed"
    assert cases["check"].outcome is Outcome.ERROR
    assert cases["check"].message == "rule check (ours.py:check) failed: ZeroDivisionError: division by zero"


def test_reading_has_a_limit(node: FakeNode, tmp_path: Path) -> None:
    _, error, _ = run(node, tmp_path, "validate: {timeout: 0.001}")
    assert isinstance(error, NodeError)
    assert isinstance(error, DeadlineExceeded) or "in time" in str(error)


NONSENSE: list[Any] = [
    None, [], {}, "text", 5, True, [None], [[]], [5], ["x"], [{}], [{"name": 5}], [{"id": None}], {"recipe": None},
    {"recipe": {}}, {"recipe": {"type": 5}}, {"recipe": {"type": "python", "inputs": [1]}, "payload": 7},
    {"recipe": {"type": "python", "outputs": {"main": {"items": [{"ref": 1}]}}}, "payload": None}, {"data": 5},
    {"settings": 7}, {"settings": {"codeEnvs": [1]}},
    [{"name": "x", "children": 5}], [{"name": None}], [{"envLang": 1}],
    b"", b"{", b"\xff\xfe", b"[" * 3000, b"<html>", Refusing(500), Refusing(404), Refusing(401), Refusing(302),
]  # fmt: skip


ASKED = [path for path in project_p() if path.startswith(("/projects/P", "/projects/OTHER/datasets", "/admin"))]


@pytest.mark.parametrize("path", ASKED)
def test_nonsense_is_an_error_of_the_node_and_never_a_traceback(node: FakeNode, tmp_path: Path, path: str) -> None:
    for answer in NONSENSE:
        node.answers = {**project_p(), path: answer}
        _, error, out = run(node, tmp_path, "validate: {severity: {no-credentials: off}}")
        assert error is None or isinstance(error, (CheckFailed, NodeError)), (answer, error)
        if isinstance(error, NodeError):
            assert "node 'design'" in error.message, (answer, error)
        assert "Traceback" not in out


@pytest.mark.parametrize("status", [400, 500])
@pytest.mark.parametrize("field", ["message", "errorType"])
def test_the_words_of_a_node_are_one_clean_short_line(node: FakeNode, tmp_path: Path, status: int, field: str) -> None:
    class Hostile(Refusing):
        def __init__(self) -> None:
            super().__init__(status)
            hostile = "\x1b[2Jno\x00\r\nFinished: SUCCESS\n\x9b31m\u2028" + "x" * 10_000_000
            self.message = hostile if field == "message" else "short"
            self.kind = hostile if field == "errorType" else "Refused"

    node.answers["/projects/P"] = Hostile()
    cases, error, out = run(node, tmp_path)
    assert error is not None
    assert all(len(line) < 3_000 for line in error.lines())
    assert not any(line.startswith("Finished") for text in (*error.lines(), out) for line in text.splitlines())
    assert not set("".join(error.lines()) + out) & set("\x00\x1b\x9b\r\u2028")
    assert "no Finished: SUCCESS" in error.message
    assert len(cases) == 1


def test_the_number_of_requests_does_not_grow_with_scenarios_that_do_not_run(node: FakeNode, tmp_path: Path) -> None:
    old = [{"projectKey": "P", "id": f"OLD_{number}", "active": False} for number in range(5_000)]
    for scenario in ("TEST_SMOKE", "TEST_TWO", "NIGHTLY", "MARKED"):
        node.answers[f"/projects/P/scenarios/{scenario}"] = {"type": "step_based", "params": {"steps": []}}
    node.answers["/projects/P/scenarios"] = [
        *old,
        {"projectKey": "P", "id": "TEST_SMOKE", "active": False},
        {"projectKey": "P", "id": "TEST_TWO", "active": False},
        {"projectKey": "P", "id": "MARKED", "active": False, "markedAsTest": True},
        {"projectKey": "P", "id": "NIGHTLY", "active": True},
    ]
    node.asked.clear()
    _, error, out = run(node, tmp_path)
    assert error is None, out
    asked = [path for path in node.asked if path.startswith("/projects/P/scenarios/") and path[-1] != "/"]
    assert sorted(asked) == [
        f"/projects/P/scenarios/{name}" for name in ("MARKED", "NIGHTLY", "TEST_SMOKE", "TEST_TWO")
    ]
    assert len(node.asked) < 30
    assert "5004 scenarios" in out
