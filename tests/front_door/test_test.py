"""The step `test` against a sandbox: scenarios, DSS's own reports, the record, and what goes wrong."""

from __future__ import annotations

import re
import shutil
import signal
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from lxml import etree

from mlops_steps.sandbox.faults.board import NodeFaults
from mlops_steps.sandbox.site import Sandbox
from tests.front_door.conftest import Result, Workspace, create_project

SCHEMA = etree.XMLSchema(etree.parse(Path(__file__).parents[1] / "report" / "junit.xsd"))

# Cases of the step that are no tests.
NO_TESTS = ("active bundle", "scenarios", "active bundle after the tests")

SLEEP = "import time\ntime.sleep(600)\n"
LIBRARY_TESTS = """
import pytest

def test_good():
    print("said by a test")

def test_bad():
    assert 0.71 >= 0.8, "the model is too weak"

@pytest.mark.skip(reason="later")
def test_later():
    pass
"""


def add_scenario(workspace: Workspace, name: str, script: str, *, marked: bool = True, **params: Any) -> None:
    step = {"id": "s1", "name": "the step", "type": "custom_python", "params": {"script": script, **params}}
    add_steps(workspace, name, [step], marked=marked)


def add_steps(workspace: Workspace, name: str, steps: list[dict[str, Any]], *, marked: bool = True) -> None:
    definition = {"params": {"steps": steps, "triggers": [], "reporters": []}, "markedAsTest": marked}
    workspace.client("design").get_project(workspace.project).create_scenario(name, "step_based", definition)


def deployed(workspace: Workspace, build: int = 1) -> str:
    """Packages the project and deploys it to the test stage; returns the bundle's id."""
    workspace.ok("package", BUILD_NUMBER=str(build))
    workspace.ok("deploy", "--stage", "test")
    bundle: str = workspace.record["bundle"]["id"]
    return bundle


def scenario(workspace: Workspace, name: str) -> Any:
    return workspace.client("auto-test").get_project(workspace.project).get_scenario(name)


def wait_until_running(workspace: Workspace, name: str) -> None:
    for _ in range(600):
        if scenario(workspace, name).get_status().running:
            return
        time.sleep(0.1)
    pytest.fail(f"{name} did not start")


def wait_until_ended(workspace: Workspace, name: str) -> str:
    """The outcome of the scenario's last run; the node may need a moment after an abort."""
    for _ in range(200):
        ended = workspace.runs("auto-test", name)[0].get("result")
        if ended:
            return str(ended["outcome"])
        time.sleep(0.1)
    pytest.fail(f"{name} did not end")


def outcomes(result: Result, stage: str = "test") -> dict[str, str]:
    """Name → failure, error, skipped or passed, of the cases in the suite's own class and below."""
    suite = result.report(f"test-{stage}")
    prefix = f"{suite.get('name')}"
    found = {}
    for case in suite.iter("testcase"):
        below = case.get("classname", "").removeprefix(prefix).strip(".")
        kind = next((child.tag for child in case if child.tag in ("failure", "error", "skipped")), "passed")
        found[".".join(filter(None, [below, case.get("name")]))] = kind
    return found


def message(result: Result, name: str) -> str:
    case = result.case("test-test", name)
    return next(child.get("message", "") for child in case if child.tag in ("failure", "error"))


@dataclass
class Snapshot(Result):
    """A result with the release record as it was then. Its reports are copies, which later runs leave alone."""

    record: dict[str, Any]


@pytest.fixture(scope="module")
def many(steps_sandbox: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    """A deployed project with a scenario for each way to end. Tests that share it set the configuration they need."""
    create_project(steps_sandbox, "MANY")
    workspace = Workspace(tmp_path_factory.mktemp("many"), steps_sandbox, "MANY")
    add_scenario(workspace, "TEST_FAILS", "print('before')\nraise RuntimeError('the data is stale')")
    add_scenario(workspace, "TEST_WARNS", "raise RuntimeError('a bit stale')", proceedOnFailure=True)
    add_scenario(workspace, "TEST_ABORTED", SLEEP)
    add_scenario(workspace, "TEST_BUSY", SLEEP)
    add_scenario(workspace, "MARKED", "print('marked as test')")
    add_scenario(workspace, "NIGHTLY", SLEEP, marked=False)
    for letter in "ABC":
        add_scenario(workspace, f"SLEEP_{letter}", "import time\ntime.sleep(1)", marked=False)
    library = workspace.client("design").get_project("MANY").get_library()
    library.add_file("python/tests/test_model.py").write(LIBRARY_TESTS)
    pytest_step = {"id": "py", "name": "unit tests", "type": "python_unit_test"}
    add_steps(workspace, "TEST_LIBRARY", [{**pytest_step, "params": {"pytestSelector": "python/tests"}}])
    deployed(workspace)
    yield workspace
    scenario(workspace, "TEST_BUSY").abort()


@pytest.fixture(scope="module")
def tested(many: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Snapshot:
    """The result of one run of all of them, side by side."""
    many.configure()
    scenario(many, "TEST_BUSY").run()
    wait_until_running(many, "TEST_BUSY")

    def abort() -> None:
        wait_until_running(many, "TEST_ABORTED")
        scenario(many, "TEST_ABORTED").abort()

    somebody = threading.Thread(target=abort)
    somebody.start()
    result = many.run("test", "--stage", "test")
    somebody.join()
    copies = tmp_path_factory.mktemp("tested") / "reports"
    shutil.copytree(result.reports, copies)
    return Snapshot(result.code, result.out, result.err, copies, many.record)


class TestOutcomes:
    def test_each_way_to_end_is_a_case_of_its_own(self, tested: Snapshot) -> None:
        found = outcomes(tested)
        assert {name: found.get(name) for name in found if "." not in name} == {
            "active bundle": "passed",
            "active bundle after the tests": "passed",
            "scenarios": "passed",
            "MARKED": "passed",
            "TEST_ABORTED": "error",
            "TEST_BUSY": "error",
            "TEST_FAILS": "failure",
            "TEST_LIBRARY": "failure",
            "TEST_ONE": "passed",
            "TEST_SMOKE": "passed",
            "TEST_WARNS": "passed",
        }

    def test_the_messages_say_why(self, tested: Snapshot) -> None:
        assert message(tested, "TEST_FAILS").startswith("FAILED: ")
        assert "the data is stale" in message(tested, "TEST_FAILS")
        assert message(tested, "TEST_ABORTED").startswith("ABORTED")
        assert message(tested, "TEST_BUSY").startswith("NOT_STARTED: the node cancelled the trigger")

    def test_the_log_of_a_run_is_its_output(self, tested: Snapshot) -> None:
        failed = tested.case("test-test", "TEST_FAILS")
        assert "before" in (failed.findtext("system-out") or "")
        assert "The log ends with:" in (failed.findtext("failure") or "")
        assert "smoke test, mode pass" in (tested.case("test-test", "TEST_SMOKE").findtext("system-out") or "")

    def test_the_tests_of_a_pytest_step_are_cases_below_the_scenario(self, tested: Snapshot) -> None:
        found = outcomes(tested)
        below = {name: kind for name, kind in found.items() if name.startswith("TEST_LIBRARY.")}
        ends = {name.rpartition(".")[2]: kind for name, kind in below.items()}
        assert (ends["test_good"], ends["test_bad"], ends["test_later"]) == ("passed", "failure", "skipped")
        classes = {case.get("classname") for case in tested.report("test-test").iter("testcase")}
        assert any(re.fullmatch(r"MANY\.test\.test\.TEST_LIBRARY\..*test_model", str(name)) for name in classes), (
            classes
        )
        assert "the model is too weak" in (message(tested, "test_bad"))

    def test_the_step_says_how_many_failed(self, tested: Snapshot) -> None:
        assert tested.code == 1
        found = [kind for name, kind in outcomes(tested).items() if name not in NO_TESTS]
        failed = sum(kind in ("failure", "error") for kind in found)
        assert f"check failed: {failed} of {len(found)} tests failed on test" in tested.err
        assert "Traceback" not in tested.err.split("The log ends with")[0]

    def test_the_report_is_valid_and_has_the_properties_of_the_release(self, tested: Snapshot, many: Workspace) -> None:
        SCHEMA.assertValid(etree.parse(tested.reports / "mlops-test-test.xml"))
        properties = tested.properties("test-test")
        assert properties["bundle"] == tested.record["bundle"]["id"]
        assert properties["infrastructure"] == "auto-test"
        assert properties["deployment"] == "MANY-on-auto-test"
        assert properties["automation_node"] == many.sandbox.nodes["auto-test"].url

    def test_the_page_has_every_step_and_what_failed(self, tested: Snapshot) -> None:
        page = (tested.reports / "html" / "index.html").read_text()
        assert "test on test: TEST_FAILS" in page
        assert [word for word in ("package", "deploy on test", "test on test") if f">{word}</a>" not in page] == []
        assert "was stopped by test on test: " in page
        assert (tested.reports / "html" / "page.css").exists()

    def test_the_record_says_that_the_tests_failed(self, tested: Snapshot) -> None:
        test = tested.record["stages"]["test"]["test"]
        assert (test["result"], test["bundle"]) == ("failed", tested.record["bundle"]["id"])
        assert "tests failed on test" in test["message"]
        assert test["ended"] >= test["started"]

    def test_no_key_is_in_the_report_or_the_output(self, tested: Snapshot, many: Workspace) -> None:
        texts = [tested.out, tested.err, *(path.read_text() for path in tested.reports.iterdir() if path.is_file())]
        for node in many.sandbox.nodes.values():
            assert not any(node.api_key in text for text in texts)


def test_a_scenario_beyond_its_limit_is_aborted_on_the_node(many: Workspace) -> None:
    many.configure(test={"scenarios": ["NIGHTLY"], "marked": False, "timeout": "2s"})
    result = many.run("test", "--stage", "test")
    assert result.code == 1
    assert outcomes(result)["NIGHTLY"] == "failure"
    assert message(result, "NIGHTLY") == "TIMED_OUT: timed out after 2s; aborted on the node"
    assert wait_until_ended(many, "NIGHTLY") == "ABORTED"


def test_a_warning_fails_where_the_configuration_says_so(many: Workspace) -> None:
    many.configure(test={"scenarios": ["TEST_WARNS"], "marked": False, "warning": "fail"})
    result = many.run("test", "--stage", "test")
    assert result.code == 1
    assert outcomes(result)["TEST_WARNS"] == "failure"
    assert message(result, "TEST_WARNS").startswith("WARNING")


def test_a_scenario_that_is_named_and_not_there_is_an_error_with_the_nearest_name(many: Workspace) -> None:
    many.configure(test={"scenarios": ["TEST_ONE", "TEST_OEN"], "marked": False})
    result = many.run("test", "--stage", "test")
    assert result.code == 1
    assert (outcomes(result)["TEST_ONE"], outcomes(result)["TEST_OEN"]) == ("passed", "error")
    assert "did you mean TEST_ONE?" in message(result, "TEST_OEN")


def test_without_any_test_scenario_the_check_fails(many: Workspace) -> None:
    many.configure(test={"scenarios": ["QUALITY_*"], "marked": False})
    result = many.run("test", "--stage", "test")
    assert result.code == 1
    assert "has no test scenario" in result.err
    assert "NIGHTLY" in result.err  # what there is
    assert many.record["stages"]["test"]["test"]["result"] == "failed"


def test_when_all_pass_the_record_says_so_and_names_are_the_same_in_every_build(workspace: Workspace) -> None:
    first = deployed(workspace, 1)
    result = workspace.ok("test", "--stage", "test")
    assert f"tested: bundle {first} on test: " in result.err
    names = outcomes(result)
    assert names["active bundle after the tests"] == "passed"
    test = workspace.record["stages"]["test"]["test"]
    assert (test["result"], test["bundle"]) == ("passed", first)
    second = deployed(workspace, 2)
    assert "test" not in {name for name, value in workspace.record["stages"]["test"].items() if value}
    assert outcomes(workspace.ok("test", "--stage", "test")) == names
    assert workspace.record["stages"]["test"]["test"]["bundle"] == second


def test_another_bundle_than_the_records_is_not_tested(workspace: Workspace) -> None:
    first = deployed(workspace, 1)
    workspace.ok("package", BUILD_NUMBER="2")
    second = workspace.record["bundle"]["id"]
    result = workspace.run("test", "--stage", "test")
    assert result.code == 1
    assert f"bundle {first} is active on auto-test, but the release record is of {second}" in result.err
    assert "mlops-steps deploy --stage test" in result.err
    assert outcomes(result) == {"active bundle": "failure"}
    assert workspace.runs("auto-test", "TEST_ONE") == []


def test_where_nothing_is_deployed_it_says_what_to_do(workspace: Workspace) -> None:
    result = workspace.run("test", "--stage", "test")
    assert result.code == 1
    assert "no bundle of project" in result.err
    assert "mlops-steps deploy --stage test" in result.err


def test_without_a_record_what_is_active_is_tested(many: Workspace) -> None:
    record = many.folder / ".mlops" / "release.json"
    many.configure(test={"scenarios": ["TEST_ONE"], "marked": False})
    before = record.read_text()
    record.unlink()
    try:
        result = many.ok("test", "--stage", "test")
        test = many.record["stages"]["test"]["test"]
    finally:
        record.write_text(before)
    assert result.properties("test-test")["bundle"] == test["bundle"] == many.live("auto-test")


def test_scenarios_run_side_by_side_up_to_the_limit(many: Workspace) -> None:
    many.configure(test={"scenarios": ["SLEEP_*"], "marked": False, "parallel": 2})
    many.ok("test", "--stage", "test")
    runs = [many.runs("auto-test", f"SLEEP_{letter}")[0] for letter in "ABC"]
    moments = [(run["start"], 1) for run in runs] + [(run["end"], -1) for run in runs]
    at_once = [sum(change for _, change in sorted(moments)[: index + 1]) for index in range(len(moments))]
    assert max(at_once) == 2


def test_all_scenarios_together_have_a_limit(many: Workspace) -> None:
    limits = {"scenarios": ["NIGHTLY", "SLEEP_A"], "marked": False, "parallel": 1, "total_timeout": "2s"}
    many.configure(test=limits)
    before = many.runs("auto-test", "SLEEP_A")
    result = many.run("test", "--stage", "test")
    assert result.code == 1
    assert (outcomes(result)["NIGHTLY"], outcomes(result)["SLEEP_A"]) == ("failure", "error")
    assert "all scenarios together have had their 2s" in message(result, "SLEEP_A")
    assert len(many.runs("auto-test", "SLEEP_A")) == len(before)


def test_an_interrupted_step_aborts_what_runs_and_reports(workspace: Workspace) -> None:
    add_scenario(workspace, "TEST_HANGS", SLEEP)
    deployed(workspace)
    process = workspace.start("test", "--stage", "test")
    wait_until_running(workspace, "TEST_HANGS")
    process.send_signal(signal.SIGTERM)
    result = workspace.finish(process, timeout=30)
    assert result.code == 143
    assert wait_until_ended(workspace, "TEST_HANGS") == "ABORTED"
    assert outcomes(result).get("TEST_HANGS") == "error", result.err
    assert workspace.record["stages"]["test"]["test"]["result"] == "error"


def test_a_bundle_that_is_replaced_meanwhile_is_not_tested(workspace: Workspace) -> None:
    add_scenario(workspace, "TEST_WAITS", "import time\ntime.sleep(4)")
    first = deployed(workspace, 1)
    workspace.ok("package", BUILD_NUMBER="2")
    second = workspace.record["bundle"]["id"]
    workspace.ok("deploy", "--stage", "test", "--bundle", first)
    (workspace.folder / ".mlops" / "release.json").unlink()
    process = workspace.start("test", "--stage", "test")
    wait_until_running(workspace, "TEST_WAITS")
    deployer = workspace.client("design").get_projectdeployer()
    deployment = deployer.get_deployment(f"{workspace.project}-on-auto-test")
    settings = deployment.get_settings()
    settings.get_raw()["bundleId"] = second
    settings.save()
    deployment.start_update().wait_for_result()
    result = workspace.finish(process)
    assert result.code == 1
    assert f"bundle {first} was replaced by {second} while it was tested" in result.err
    assert outcomes(result)["active bundle after the tests"] == "failure"
    assert workspace.record["stages"]["test"]["test"]["result"] == "failed"


def test_a_node_that_cannot_be_reached_ends_the_step_with_its_name(many: Workspace) -> None:
    result = many.run("test", "--stage", "test", MLOPS_TEST_URL="http://127.0.0.1:9")
    assert result.code == 3
    assert "node 'test'" in result.err
    assert outcomes(result) == {"active bundle": "error"}


class TestNode:
    """What the node does wrong when it is asked to run scenarios."""

    @pytest.fixture
    def faults(self, many: Workspace) -> Iterator[NodeFaults]:
        board = many.sandbox.nodes["auto-test"].faults
        board.clear_requests()
        many.configure(test={"scenarios": ["SLEEP_A", "TEST_ONE"], "marked": False, "parallel": 1, "pytest": "checks"})
        (many.folder / "checks").mkdir()
        yield board
        (many.folder / "checks").rmdir()
        board.clear()

    def test_a_refusal_is_told_apart_from_a_failure(self, many: Workspace, faults: NodeFaults) -> None:
        faults.add("error", operation="run scenario", status=403, count=1)
        result = many.run("test", "--stage", "test")
        assert result.code == 3
        assert "1 of 2 scenarios could not be run" in result.err
        assert (outcomes(result)["SLEEP_A"], outcomes(result)["TEST_ONE"]) == ("error", "passed")
        assert many.record["stages"]["test"]["test"]["result"] == "error"

    def test_when_it_is_gone_nothing_more_is_asked_of_it(self, many: Workspace, faults: NodeFaults) -> None:
        faults.add("drop", operation="run scenario", act="before", count="for ever")
        result = many.run("test", "--stage", "test")
        asked = [request.path for request in faults.requests() if request.path.endswith("/run")]
        assert result.code == 3
        assert "2 of 2 scenarios could not be run" in result.err
        assert message(result, "TEST_ONE").startswith("not run: node 'test'")
        assert "pytest" not in outcomes(result)
        assert len([path for path in asked if "/MANY/" in path]) == 1
