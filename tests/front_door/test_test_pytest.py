"""The team's own pytest suite, run by the step `test` against a sandbox."""

from __future__ import annotations

import re
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from mlops_steps.sandbox.site import Sandbox
from tests.front_door.conftest import Result, Workspace, create_project
from tests.front_door.test_test import deployed, message, outcomes
from tests.trials.test_team_tests import left_behind

GOOD = """
import os
import pytest

def test_the_stage_is_the_steps(mlops_stage, mlops_settings):
    assert mlops_stage == "test"
    assert mlops_settings.project == dss_key(mlops_settings)

def dss_key(settings):
    return os.environ["MLOPS_PROJECT"]

def test_the_active_bundle_is_on_the_node(active_bundle, dss_client, dss_project):
    assert active_bundle
    keys = [project["projectKey"] for project in dss_client.list_projects()]
    assert dss_project.project_key in keys

def test_a_scenario_runs(run_scenario):
    outcome = run_scenario("TEST_SMOKE", limit=60)
    assert outcome.passed, outcome.message
    assert "smoke test" in outcome.log

def test_only_the_key_of_this_stage_is_here(mlops_settings):
    from mlops_steps.errors import ConfigError
    assert [name for name in os.environ if name.endswith("_API_KEY")] == ["MLOPS_TEST_API_KEY"]
    mlops_settings.node("test").api_key()
    with pytest.raises(ConfigError):
        mlops_settings.node("prod").api_key()
"""

LEAKY = """
import requests

def test_prints_the_key(dss_client):
    key = dss_client._session.auth.username
    print("key:", key)
    raise RuntimeError(f"with {key} in it")

def test_a_request_fails(dss_client):
    dss_client.get_project("NO_SUCH").get_metadata()

def test_a_request_finds_nobody(dss_client):
    requests.get("http://127.0.0.1:9/", auth=dss_client._session.auth, timeout=2)
"""


@pytest.fixture(scope="module")
def project(steps_sandbox: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A deployed project; the suites of the tests come and go."""
    create_project(steps_sandbox, "TEAM")
    workspace = Workspace(tmp_path_factory.mktemp("team"), steps_sandbox, "TEAM")
    deployed(workspace)
    return workspace


@pytest.fixture
def team(project: Workspace) -> Iterator[Workspace]:
    suite = project.folder / "checks"
    suite.mkdir()
    configure(project)
    yield project
    for path in sorted(suite.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    suite.rmdir()


def configure(workspace: Workspace) -> None:
    scenarios = {"scenarios": ["TEST_ONE"], "marked": False}
    workspace.configure(test={**scenarios, "pytest": "checks"})


def suite(workspace: Workspace, code: str, name: str = "test_churn.py") -> Path:
    path = workspace.folder / "checks" / name
    path.write_text(code)
    return path


def keys_in(result: Result, workspace: Workspace) -> list[str]:
    texts = [result.out, result.err, *(path.read_text() for path in result.reports.iterdir() if path.is_file())]
    return [node.id for node in workspace.sandbox.nodes.values() if any(node.api_key in text for text in texts)]


def test_the_fixtures_lead_to_the_deployed_project(team: Workspace) -> None:
    suite(team, GOOD)
    result = team.ok("test", "--stage", "test")
    found = outcomes(result)
    assert found["pytest"] == "passed"
    assert found["pytest.checks.test_churn.test_a_scenario_runs"] == "passed"
    assert sum(name.startswith("pytest.checks.") for name in found) == 4
    assert "4 passed" in result.err
    assert team.record["stages"]["test"]["test"]["result"] == "passed"


def test_the_example_of_the_documentation_runs(team: Workspace) -> None:
    text = (Path(__file__).parents[2] / "docs" / "testing.md").read_text()
    suite(team, re.search(r"```python\n(.*?)```", text, re.DOTALL)[1])
    result = team.ok("test", "--stage", "test")
    assert outcomes(result)["pytest.checks.test_churn.test_it_runs_twice[TEST_SMOKE]"] == "passed"
    assert "3 passed" in result.err


def test_a_failed_test_fails_the_step(team: Workspace) -> None:
    suite(team, "def test_auc():\n    print('0.71')\n    assert 0.71 >= 0.8\n\ndef test_fine():\n    pass\n")
    result = team.run("test", "--stage", "test")
    assert result.code == 1
    found = outcomes(result)
    assert (found["pytest"], found["pytest.checks.test_churn.test_auc"]) == ("passed", "failure")
    assert "assert 0.71 >= 0.8" in message(result, "test_auc")
    assert "0.71" in (result.case("test-test", "test_auc").findtext("system-out") or "")
    assert "check failed: 1 of " in result.err
    assert "  test_auc: assert 0.71 >= 0.8" in result.err
    assert team.record["stages"]["test"]["test"]["result"] == "failed"


def test_an_interrupted_step_stops_the_suite(team: Workspace) -> None:
    mark = f"left-behind-{team.folder}"
    code = (
        "import pathlib, subprocess, sys, time\n\ndef test_1():\n"
        "    subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)', MARK])\n"
        "    pathlib.Path('begun').touch()\n    time.sleep(600)\n"
    ).replace("MARK", repr(mark))
    suite(team, code)
    process = team.start("test", "--stage", "test")
    begun = team.folder / "begun"
    for _ in range(600):
        if begun.exists():
            break
        time.sleep(0.1)
    process.send_signal(signal.SIGTERM)
    result = team.finish(process, timeout=30)
    begun.unlink()
    assert result.code == 143
    assert outcomes(result)["TEST_ONE"] == "passed"
    assert outcomes(result)["pytest"] == "error"
    assert not left_behind(mark)


def test_no_key_gets_into_the_report_or_the_output(team: Workspace) -> None:
    suite(team, LEAKY)
    result = team.run("test", "--stage", "test")
    assert result.code == 1
    assert "with ******** in it" in message(result, "test_prints_the_key")
    assert "NO_SUCH" in (result.case("test-test", "test_a_request_fails").findtext("failure") or "")
    assert keys_in(result, team) == []
