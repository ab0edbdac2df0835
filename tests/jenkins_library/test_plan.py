"""An approval of a plan in the harness: what is asked, and that the release on another agent is held to it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence

import pytest

from mlops_steps.sandbox.session import running
from mlops_steps.system.console import Console
from tests.jenkins_library.conftest import Build, Scenario
from tests.jenkins_library.test_pipeline import Jobs
from tests.support.forks import forks

CHANGED_SINCE = r"""
node('a1') {
    checkout scm
    mlopsPackage()
    mlopsDeploy(stage: 'test')
    mlopsTest(stage: 'test')
    mlopsPlan(stage: 'prod')
}
mlopsApprove(stage: 'prod')
node('a2') {
    checkout scm
    sh '''sed -i 's/"smoke_timeout": "30s"/"smoke_timeout": "31s"/' mlops.yml'''
    mlopsRelease(stage: 'prod')
}
"""

pytestmark = pytest.mark.timeout(900)


@pytest.fixture(scope="module")
def jobs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Jobs]:
    folder = tmp_path_factory.mktemp("jobs")
    with running(None, None, Console(quiet=True)) as sandbox, forks(folder / "bin") as forked:
        yield Jobs(folder, sandbox, forked)


@pytest.fixture(scope="module")
def ran(builds: Callable[[Sequence[Scenario]], dict[str, Build]], jobs: Jobs) -> dict[str, Build]:
    jobs.project("PLANNED", released=True)
    jobs.projects["PLANNED"].workspace.variables(rate="0.2")
    whole = "mlopsPipeline(skip: ['doctor', 'validate'])"
    jobs.add("planned", "PLANNED", whole, agents=["a1", "a2"], answers=[{"by": "jane"}])
    jobs.add("changed since", "PLANNED", CHANGED_SINCE, agents=["a1", "a2"], answers=[{"by": "jane"}], number=3)
    return builds(jobs.scenarios)


def test_the_question_is_about_the_plan_and_the_release_does_it(ran: dict[str, Build], jobs: Jobs) -> None:
    build, project = ran["planned"], jobs.projects["PLANNED"]
    assert build.result == "SUCCESS", build.log
    plan = json.loads(build.artifact("reports/plan-prod.json"))
    bundle = plan["release"]["version"]
    (asked,) = build.inputs
    details = asked["details"].splitlines()
    assert details[0] == f"plan {plan['sha256'][:12]}: bundle {bundle} of project PLANNED to prod"
    assert any(f"bundle {project.first} → bundle {bundle}" in line for line in details)
    approval = build.record["stages"]["prod"]["approval"]
    assert (approval["by"], approval["plan"]) == ("jane", plan["sha256"])
    assert build.tests("mlops-release-prod")["plan"] == "passed"
    assert project.workspace.runs("auto-prod", "TEST_SMOKE")
    assert build.statuses["Plan"] == "SUCCESS"


def test_a_release_that_would_do_something_else_is_refused(ran: dict[str, Build], jobs: Jobs) -> None:
    build, before = ran["changed since"], ran["planned"]
    assert build.result == "FAILURE"
    assert "does not hold any more: release.smoke_timeout was 30.0, and is 31.0 now; prod is untouched" in build.error
    assert jobs.projects["PLANNED"].workspace.live() == before.record["bundle"]["id"]
    assert build.tests("mlops-release-prod")["plan"] == "failure"
