from __future__ import annotations

import io
import socket
import time
from collections.abc import Iterator
from email.utils import formatdate
from pathlib import Path
from typing import Any

import pytest

from mlops_steps.config import load
from mlops_steps.errors import CheckFailed, ConfigError, MlopsError, NodeError
from mlops_steps.report.model import Case, Outcome, Report
from mlops_steps.steps import doctor
from mlops_steps.steps.context import Context
from mlops_steps.system.console import Console
from tests.front_door.conftest import Workspace
from tests.front_door.fake_node import KEY, FakeNode, Refusing

AUTOMATION = {"nodeId": "a", "nodeName": "a", "nodeType": "AUTOMATION", "dssVersion": "13.1.0"}


@pytest.fixture
def design() -> Iterator[FakeNode]:
    node = FakeNode()
    yield node
    node.close()


@pytest.fixture
def automation() -> Iterator[FakeNode]:
    node = FakeNode(**{"/instance-info": AUTOMATION})
    yield node
    node.close()


def run(
    tmp_path: Path, design: str, test: str, infra: str = "auto-test", project: str = "P", **environ: str
) -> tuple[dict[str, Case], MlopsError | None, str]:
    """The cases by name, the error, and what was printed."""
    path = tmp_path / "mlops.yml"
    path.write_text(
        f"project: {project}\nnodes: {{design: {{url: '{design}'}}, test: {{url: '{test}', infra: {infra}}}}}\n"
        "http: {retries: 0, connect_timeout: 5s, read_timeout: 5s}\n",
        encoding="utf-8",
    )
    settings = load(path, {"MLOPS_DESIGN_API_KEY": KEY, "MLOPS_TEST_API_KEY": KEY, **environ})
    report, out = Report(project, "doctor"), io.StringIO()
    error = None
    try:
        doctor.run(Context(settings, report, Console(out, live=False)))
    except MlopsError as raised:
        error = raised
    return {case.name: case for case in report.cases}, error, out.getvalue()


def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


NAMES = [
    "design reachable",
    "design TLS",
    "design key",
    "design type",
    "design version",
    "design clock",
    "design project",
    "design deployer",
    "test reachable",
    "test TLS",
    "test key",
    "test type",
    "test version",
    "test clock",
    "test infrastructure",
]


def test_when_all_is_well_each_check_is_a_line_and_a_case(
    design: FakeNode, automation: FakeNode, tmp_path: Path
) -> None:
    cases, error, out = run(tmp_path, design.url, automation.url)
    assert error is None
    assert list(cases) == NAMES
    assert [name for name, case in cases.items() if case.outcome is Outcome.SKIPPED] == ["design TLS", "test TLS"]
    assert [name for name in NAMES if not any(name in line for line in out.splitlines())] == []
    assert "all is well" in out
    assert KEY not in out + str(cases)


class TestWhatMayBeWrong:
    """One thing is wrong; its case says so, the others keep their names, and the exit code tells the kind."""

    def check(self, result: tuple[dict[str, Case], MlopsError | None, str], name: str, kind: type, *words: str) -> None:
        cases, error, out = result
        assert list(cases) == NAMES
        failed = [found for found, case in cases.items() if case.outcome in (Outcome.FAILURE, Outcome.ERROR)]
        assert failed == [name]
        assert type(error) is kind
        assert error is not None
        assert error.is_reported
        assert name in error.message
        (line,) = [line for line in out.splitlines() if line.startswith("FAILED")]
        for word in (*words, "next: "):
            assert word in line
            assert word in cases[name].details
        assert KEY not in out + str(cases) + str(error.lines())

    def test_no_connection(self, design: FakeNode, tmp_path: Path) -> None:
        result = run(tmp_path, design.url, f"http://127.0.0.1:{closed_port()}")
        self.check(result, "test reachable", NodeError, "no connection", "check the URL")
        assert result[0]["test infrastructure"].outcome is Outcome.PASSED
        assert result[0]["test key"].outcome is Outcome.SKIPPED

    def test_no_tls(self, design: FakeNode, automation: FakeNode, tmp_path: Path) -> None:
        result = run(tmp_path, design.url, automation.url.replace("http:", "https:"))
        self.check(result, "test TLS", NodeError, "nodes.test.verify")

    @pytest.mark.parametrize("status", [401, 403])
    def test_a_key_that_is_refused(self, design: FakeNode, automation: FakeNode, tmp_path: Path, status: int) -> None:
        automation.answers["/instance-info"] = Refusing(status, "the key is wrong")
        result = run(tmp_path, design.url, automation.url)
        self.check(result, "test key", NodeError, "the key is wrong", "MLOPS_TEST_API_KEY")

    def test_a_key_that_is_missing(self, design: FakeNode, automation: FakeNode, tmp_path: Path) -> None:
        result = run(tmp_path, design.url, automation.url, MLOPS_TEST_API_KEY="")
        self.check(result, "test key", ConfigError, "set MLOPS_TEST_API_KEY, or MLOPS_TEST_API_KEY_FILE")

    @pytest.mark.parametrize(
        "answer",
        [
            Refusing(503),
            Refusing(404),
            Refusing(500),
            b"<html>login</html>",
            b"",
            [],
            5,
            {},
            {"nodeType": 7},
            b"[" * 5000,
        ],
    )
    def test_no_answer_of_dss(self, design: FakeNode, automation: FakeNode, tmp_path: Path, answer: Any) -> None:
        automation.answers["/instance-info"] = answer
        result = run(tmp_path, design.url, automation.url)
        self.check(result, "test reachable", NodeError, "check that DSS runs")

    def test_another_kind_of_node(self, design: FakeNode, tmp_path: Path) -> None:
        result = run(tmp_path, design.url, design.url)
        self.check(result, "test type", CheckFailed, "of type DESIGN, not AUTOMATION")

    @pytest.mark.parametrize(("seconds", "word"), [(-300, "behind"), (300, "ahead of")])
    def test_a_clock_that_is_wrong(
        self, design: FakeNode, automation: FakeNode, tmp_path: Path, seconds: float, word: str
    ) -> None:
        automation.headers["Date"] = formatdate(time.time() + seconds, usegmt=True)
        result = run(tmp_path, design.url, automation.url)
        self.check(result, "test clock", CheckFailed, word)

    def test_no_such_project(self, design: FakeNode, automation: FakeNode, tmp_path: Path) -> None:
        result = run(tmp_path, design.url, automation.url, project="OTHR")
        self.check(result, "design project", CheckFailed, "there is no project OTHR", "did you mean OTHER?")

    def test_no_such_infrastructure(self, design: FakeNode, automation: FakeNode, tmp_path: Path) -> None:
        result = run(tmp_path, design.url, automation.url, infra="auto-tst")
        self.check(result, "test infrastructure", CheckFailed, "did you mean auto-test?")

    def test_no_right_to_deploy(self, design: FakeNode, automation: FakeNode, tmp_path: Path) -> None:
        design.answers["/project-deployer/infras"][1]["canDeploy"] = False
        result = run(tmp_path, design.url, automation.url)
        self.check(result, "test infrastructure", CheckFailed, "the key of node design may not deploy to auto-test")

    @pytest.mark.parametrize("answer", [Refusing(403), None, {}, [5], [{}], [{"infraBasicInfo": {"id": 5}}], "x"])
    def test_a_deployer_that_gives_no_answer(
        self, design: FakeNode, automation: FakeNode, tmp_path: Path, answer: Any
    ) -> None:
        design.answers["/project-deployer/infras"] = answer
        result = run(tmp_path, design.url, automation.url)
        self.check(result, "design deployer", NodeError, "list the infrastructures")
        assert result[0]["test infrastructure"].outcome is Outcome.SKIPPED


def test_a_node_that_is_not_reached_weighs_more_than_a_check_that_fails(design: FakeNode, tmp_path: Path) -> None:
    _, error, _ = run(tmp_path, design.url, f"http://127.0.0.1:{closed_port()}", project="NONE")
    assert isinstance(error, NodeError)
    assert "2 of" in error.message


@pytest.mark.parametrize(
    ("info", "headers", "text", "outcome"),
    [
        ({"dssVersion": "12.6.1"}, {}, "without JUnit reports", Outcome.PASSED),
        ({"dssVersion": "13.0.0"}, {}, "DSS 13.0.0", Outcome.PASSED),
        ({"dssVersion": None}, {"DSS-Version": "13.2.0"}, "DSS 13.2.0", Outcome.PASSED),
        ({"dssVersion": None}, {}, "does not report its version", Outcome.SKIPPED),
    ],
)
def test_the_version_is_told_where_the_node_tells_it(
    design: FakeNode,
    automation: FakeNode,
    tmp_path: Path,
    info: dict[str, Any],
    headers: dict[str, str],
    text: str,
    outcome: Outcome,
) -> None:
    automation.answers["/instance-info"] = {**AUTOMATION, **info}
    automation.headers = headers
    cases, error, out = run(tmp_path, design.url, automation.url)
    assert error is None
    assert cases["test version"].outcome is outcome
    [line] = [line for line in out.splitlines() if "test version" in line]
    assert text in line
    assert ("without JUnit reports" in line) == ("without" in text)
    assert cases["test clock"].outcome is Outcome.SKIPPED  # there is no Date header


def test_nothing_is_changed_and_little_is_asked(design: FakeNode, automation: FakeNode, tmp_path: Path) -> None:
    run(tmp_path, design.url, automation.url)
    assert sorted(design.asked) == ["/instance-info", "/project-deployer/infras", "/projects/P"]
    assert automation.asked == ["/instance-info"]


class TestFrontDoor:
    def test_a_sandbox_is_well(self, workspace: Workspace) -> None:
        result = workspace.ok("doctor")
        assert result.report("doctor").get("failures") == "0"
        assert result.case("doctor", "prod infrastructure").find("skipped") is None
        assert "may deploy" in result.err

    def test_a_wrong_key_is_exit_code_3_and_never_shown(self, workspace: Workspace) -> None:
        result = workspace.run("doctor", MLOPS_PROD_API_KEY="a-wrong-key-123")
        assert result.code == 3
        assert "FAILED  prod key" in result.err
        assert "a-wrong-key" not in result.err + result.out
        assert result.case("doctor", "prod key").find("error") is not None
        assert result.case("doctor", "test infrastructure").find("error") is None

    def test_a_wrong_project_is_exit_code_1(self, workspace: Workspace) -> None:
        result = workspace.run("doctor", "--project", "NOT_THERE")
        assert result.code == 1
        assert "there is no project NOT_THERE" in result.err
