"""Test scenarios: pytest steps, JUnit and HTML reports, the testing status."""

from __future__ import annotations

from typing import Any

import dataikuapi
import pytest
from dataikuapi.dss.project import DSSProject
from dataikuapi.utils import DataikuException
from defusedxml import ElementTree

from mlops_steps.sandbox.node.node import Node
from mlops_steps.sandbox.node.store import write_json
from mlops_steps.sandbox.services.projects.model import ACTIVE_FILE
from tests.sandbox.conftest import client_of
from tests.sandbox.flows import flow_files, make_project, python_step, scenario

TESTS = """
    import pytest
    from helpers import twice

    def test_twice():
        assert twice(2) == 4

    def test_wrong():
        assert twice(2) == 5

    @pytest.mark.skip(reason="not today")
    def test_skipped():
        pass
"""


def pytest_step(selector: str, identity: str) -> dict[str, Any]:
    step = {"id": identity, "type": "python_unit_test", "name": f"Tests {identity}"}
    return {**step, "params": {"pytestSelector": selector}}


def files() -> dict[str, Any]:
    scenarios = {
        "TEST_GOOD": scenario(pytest_step("python/tests/test_helpers.py::test_twice", "good"), name="Good"),
        "TEST_BAD": scenario(pytest_step("python/tests", "bad"), name="Bad & <ugly>"),
        "TEST_NONE": scenario(pytest_step("python/helpers.py", "none"), name="None"),
        "TEST_LOST": scenario(pytest_step("python/lost", "lost"), name="Lost"),
        "TEST_CODE": scenario(python_step("raise ValueError('bad \\x00 \\x1b[31mcolour')"), name="Code"),
        "NO_TEST": scenario(markedAsTest=False, name="No test"),
    }
    return {
        **flow_files(),
        "project_config/lib/python/helpers.py": "def twice(x):\n    return 2 * x\n",
        "project_config/lib/python/tests/test_helpers.py": TESTS,
        **{f"project_config/scenarios/{name}.json": what for name, what in scenarios.items()},
    }


@pytest.fixture(scope="module")
def project(test_node: Node) -> DSSProject:
    """All scenarios ran once."""
    made = make_project(test_node, "REPORTS", files())
    project = client_of(test_node).get_project("REPORTS")
    fires = [item.to_scenario().run() for item in project.list_scenarios()]
    for fire in fires:
        fire.wait_for_scenario_run().wait_for_completion(no_fail=True)
    assert made.key == "REPORTS"
    return project


def last(project: DSSProject, name: str) -> Any:
    return project.get_scenario(name).get_last_finished_run()


def test_a_pytest_step_runs_the_tests_that_are_chosen(project: DSSProject) -> None:
    run = last(project, "TEST_GOOD")
    assert run.outcome == "SUCCESS", run.get_log()
    suite = ElementTree.fromstring(run.get_step_run_report("good").content).find("testsuite")

    assert suite.get("name") == "TEST_GOOD.Tests good"
    assert [(case.get("classname"), case.get("name")) for case in suite] == [("tests.test_helpers", "test_twice")]


def test_a_failed_test_fails_the_step_and_stands_in_its_report(project: DSSProject) -> None:
    run = last(project, "TEST_BAD")
    assert run.outcome == "FAILED"
    assert run.get_details().first_error_details["message"] == "1 of 3 tests failed: test_wrong"
    suite = ElementTree.fromstring(run.get_step_run_report("bad").content).find("testsuite")

    assert (suite.get("tests"), suite.get("failures"), suite.get("skipped")) == ("3", "1", "1")
    assert "assert 4 == 5" in suite.find("testcase[@name='test_wrong']/failure").text


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("TEST_NONE", "pytest found no test in python/helpers.py"),
        ("TEST_LOST", "step Tests lost: python/lost does not exist in the library of REPORTS"),
    ],
)
def test_a_step_without_tests_fails(project: DSSProject, name: str, message: str) -> None:
    assert last(project, name).get_details().first_error_details["message"] == message


def test_a_step_that_runs_no_pytest_has_no_report(project: DSSProject) -> None:
    with pytest.raises(DataikuException, match="has no report"):
        last(project, "TEST_CODE").get_step_run_report("code")


def test_the_report_of_a_run_holds_its_steps(project: DSSProject) -> None:
    root = ElementTree.fromstring(last(project, "TEST_CODE").get_report().content)
    suite = root.find("testsuite")

    assert (suite.get("name"), suite.get("failures"), suite.get("errors")) == ("Code", "1", "0")
    [case] = suite
    assert (case.get("classname"), case.get("name")) == ("REPORTS.TEST_CODE", "Run code")
    assert case.find("failure").get("type") == "ValueError"
    assert case.find("failure").get("message") == "bad � colour"


def test_a_run_without_steps_still_has_a_case(project: DSSProject) -> None:
    project.create_scenario("empty", "step_based", {"markedAsTest": True, "params": {}})
    run = project.get_scenario("EMPTY").run_and_wait()
    [case] = ElementTree.fromstring(run.get_report().content).find("testsuite")

    assert case.get("name") == "scenario"
    project.get_scenario("EMPTY").delete()


def test_the_report_of_the_last_runs_holds_each_test_scenario(project: DSSProject) -> None:
    suite = ElementTree.fromstring(project.get_last_test_scenario_runs_report().content).find("testsuite")

    assert {case.get("name") for case in suite} == {"Good", "Bad & <ugly>", "None", "Lost", "Code"}
    assert (suite.get("tests"), suite.get("failures")) == ("5", "4")
    page = project.get_last_test_scenario_runs_html_report().text
    assert "<td>Bad &amp; &lt;ugly&gt;</td><td>FAILED</td>" in page


def test_the_testing_status_counts_the_last_outcomes(project: DSSProject) -> None:
    status = project.get_testing_status()

    assert status.nb_total_ran_scenarios == 5
    assert status.nb_scenarios_per_outcome == {"SUCCESS": 1, "FAILED": 4}
    assert status.get_raw()["lastRunEndTime"] > 1_600_000_000_000


def test_runs_count_for_the_bundle_that_was_active(
    auto_test: dataikuapi.DSSClient, test_node: Node, new_key: str
) -> None:
    made = make_project(test_node, new_key, {"project_config/scenarios/TEST_X.json": scenario(name="X")})
    project = auto_test.get_project(new_key)
    for bundle in ("v1", "v2"):
        write_json(made.dir / ACTIVE_FILE, {"bundleId": bundle})
        project.get_scenario("TEST_X").run_and_wait()

    [second, first] = project.get_scenario("TEST_X").get_last_runs()
    assert (first.get_info()["bundleId"], second.get_info()["bundleId"]) == ("v1", "v2")
    assert project.get_testing_status("v1").nb_total_ran_scenarios == 1
    assert project.get_testing_status("v3").nb_total_ran_scenarios == 0
    assert len(ElementTree.fromstring(project.get_last_test_scenario_runs_report("v3").content).find("testsuite")) == 0
