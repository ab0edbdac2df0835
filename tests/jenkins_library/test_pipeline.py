"""Whole pipelines in the harness, against the sandbox: what Jenkins would show, and what the nodes say is live."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dataikuapi
import pytest

from mlops_steps.sandbox.content import queries_of_service
from mlops_steps.sandbox.services.projects.model import Project as ServiceProject
from mlops_steps.sandbox.session import running
from mlops_steps.sandbox.site import Sandbox
from mlops_steps.system.console import Console
from tests.front_door.conftest import Workspace, create_project, set_stage_variable
from tests.jenkins_library.conftest import ROOT, Build, Scenario, base_environment
from tests.records import pending, unit
from tests.sandbox import api_service
from tests.support.forks import forks

SERVICE = {"stages": {"dev": {"infra": "api-dev"}, "prod": {"infra": "api-prod"}}, "health_timeout": "30s"}
HOSTILE = "x'\"$(touch pwned)`touch pwned`\n; touch pwned #é"

STEP_BY_STEP = """
node {
    checkout scm
    mlopsPackage()
    mlopsDeploy(stage: 'test')
    mlopsTest(stage: 'test')
    mlopsRelease(stage: 'prod')
}
echo 'went on'
"""
RELEASE_ALONE = "node { checkout scm\nmlopsRelease(stage: 'prod') }"
ANOTHER_BUNDLE = """
void tested(String id) {
    mlopsPackage(bundleId: id)
    mlopsDeploy(stage: 'test')
    mlopsTest(stage: 'test')
}
node { checkout scm
       tested('one') }
mlopsApprove(stage: 'prod')
node { tested('two')
       mlopsRelease(stage: 'prod') }
"""
#: The builds in which each command is started as on an agent; in the others it is forked, which takes milliseconds.
REALLY_STARTED = ("aborted",)
FAILING_VALIDATION = "node { checkout scm\nmlopsValidate(%s)\nmlopsPackage() }"


@dataclass
class Project:
    """A project on the sandbox, with the repository that holds its mlops.yml."""

    workspace: Workspace
    source: Path
    first: str | None = None


class Jobs:
    """The scenarios of this module, with what they need on the nodes."""

    def __init__(self, folder: Path, sandbox: Sandbox, forked: Path) -> None:
        self.folder = folder
        self.forked = forked
        self.sandbox = sandbox
        self.projects: dict[str, Project] = {}
        self.scenarios: list[Scenario] = []

    def project(
        self,
        key: str,
        *,
        released: bool = False,
        automation: str = "approval",
        files: dict[str, str] | None = None,
        **sections: Any,
    ) -> Project:
        folder = self.folder / key
        folder.mkdir()
        if key != "DKU_CHURN":
            create_project(self.sandbox, key)
        workspace = Workspace(folder, self.sandbox, key)
        made = Project(workspace, folder)
        if released:
            made.first = workspace.released(1)
            set_stage_variable(workspace)
        workspace.configure(**sections)
        settings = json.loads((folder / "mlops.yml").read_text())
        (folder / "mlops.yml").write_text(json.dumps({**settings, "automation": automation}))
        git = ["git", "-C", str(folder), "-c", "user.name=test", "-c", "user.email=test@example.com"]
        for name, content in (files or {}).items():
            (folder / name).write_text(content)
        subprocess.run([*git, "init", "-q"], check=True)
        subprocess.run([*git, "add", "mlops.yml", *(files or {})], check=True)
        subprocess.run([*git, "commit", "-q", "-m", "Configuration"], check=True)
        self.projects[key] = made
        return made

    def service(self, key: str) -> None:
        """Gives the project a model and an API service of its name."""
        project = ServiceProject.load(self.sandbox.nodes["design"], key)
        api_service.put_model(project, "m1")
        api_service.put_service(self.projects[key].workspace.client("design"), project, key.lower())

    def serving(self, service: str, infra: str) -> set[str]:
        """The versions that the API nodes themselves say are mapped."""
        found: set[str] = set()
        for node in self.sandbox.api_infrastructures()[infra][0]:
            generations = dataikuapi.APINodeAdminClient(node.url, node.api_key).service(service).list_generations()
            found.update(item["generation"] for item in generations if item["mapped"])
        return found

    def add(self, name: str, key: str, script: str, **settings: Any) -> None:
        variables = self.sandbox.environment(key)
        keys = {name: value for name, value in variables.items() if name.endswith("_API_KEY")}
        environment = {name: value for name, value in variables.items() if name not in keys}
        credentials = {
            f"mlops-{name.removeprefix('MLOPS_').removesuffix('_API_KEY').lower()}": value
            for name, value in keys.items()
        }
        first = () if name in REALLY_STARTED else (self.forked,)
        self.scenarios.append(
            Scenario(
                name,
                script,
                self.folder / f"job-{name.replace(' ', '-')}",
                {
                    "env": {**base_environment(self.folder / "home", *first), **environment},
                    "credentials": credentials,
                    "source": str(self.projects[key].source),
                    "number": 2,
                    **settings,
                },
            )
        )


# The first test waits for all pipelines, which train real models: minutes on a busy machine.
pytestmark = pytest.mark.timeout(1500)


@pytest.fixture(scope="module")
def jobs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Jobs]:
    folder = tmp_path_factory.mktemp("jobs")
    with running(None, None, Console(quiet=True)) as sandbox, forks(folder / "bin") as forked:
        yield Jobs(folder, sandbox, forked)


@pytest.fixture(scope="module")
def ran(builds: Callable[[Sequence[Scenario]], dict[str, Build]], jobs: Jobs) -> dict[str, Build]:
    churn = {"service": "churn", **SERVICE, "test": {"queries": "churn.queries.yml"}}
    # It trains real models.
    limits = {"timeout": "10m"}
    jobs.project("DKU_CHURN", files={"churn.queries.yml": queries_of_service()}, api=churn, test=limits)
    jobs.add(
        "example",
        "DKU_CHURN",
        (ROOT / "Jenkinsfile.example").read_text(),
        agents=["a1", "a2"],
        answers=[{"by": "jane"}],
        number=7,
    )
    restarted = {"restartOf": "example", "agents": ["a2"]}
    jobs.add("release alone restarted", "DKU_CHURN", RELEASE_ALONE, number=8, **restarted)
    jobs.add(
        "example restarted",
        "DKU_CHURN",
        (ROOT / "Jenkinsfile.example").read_text(),
        number=9,
        restartFrom="Release",
        answers=[{"by": "joe"}],
        **restarted,
    )
    jobs.project("SWAPPED", released=True)
    jobs.add("another bundle", "SWAPPED", ANOTHER_BUNDLE, answers=[{"by": "jane"}])
    jobs.project("UNFIT", release={"smoke_scenario": "TEST_NOPE"})
    jobs.add("validation stops", "UNFIT", FAILING_VALIDATION % "")
    jobs.add("validation marks", "UNFIT", FAILING_VALIDATION % "failing: 'unstable'")
    jobs.add("hostile stage", "UNFIT", "node { checkout scm\nmlopsDeploy(stage: params.X) }", params={"X": HOSTILE})
    jobs.add("hostile id", "UNFIT", "node { checkout scm\nmlopsPackage(bundleId: params.X) }", params={"X": HOSTILE})
    jobs.add("misspelt", "UNFIT", "node { checkout scm\nmlopsDeploy(stgae: 'test') }")
    jobs.add("no credential", "UNFIT", "node { checkout scm\nmlopsStatus() }", credentials={"mlops-design": "x" * 20})
    jobs.add("no configuration", "UNFIT", "node { mlopsDoctor() }", env=base_environment(jobs.folder / "home"))

    bad = jobs.project("BAD", released=True, automation="full")
    bad.workspace.variables(smoke="fail")
    jobs.add("rolled back", "BAD", "mlopsPipeline(skip: ['doctor', 'validate'])", agents=["a1", "a2"])
    look = "node { checkout scm\nmlopsStatus()\nmlopsSmokeTest(stage: 'prod')\nmlopsRecover(stage: 'prod') }"
    jobs.add("looked at", "BAD", look, number=3)

    jobs.project("ALONE", nodes={"design": {}}, api={"service": "alone", **SERVICE})
    jobs.service("ALONE")
    alone = "mlopsPipeline(skip: ['doctor', 'validate'])"
    jobs.add("service alone", "ALONE", alone, agents=["a1", "a2"], answers=[{"by": "jane"}])
    jobs.add("service unapproved", "ALONE", "node { checkout scm\nmlopsApiRelease(stage: 'prod') }", number=3)
    jobs.project("BOTH", automation="full", api={"service": "both", **SERVICE})
    jobs.service("BOTH")
    jobs.add("bundle and service", "BOTH", alone)
    jobs.add("without the service", "BOTH", alone.replace("['doctor'", "['service', 'release', 'doctor'"), number=3)

    slow = jobs.project("SLOW", released=True, automation="full")
    slow.workspace.variables(smoke="hang")
    at_the_smoke_test = "^smoke test TEST_SMOKE on auto-prod"
    jobs.add("aborted", "SLOW", STEP_BY_STEP, abortAt=at_the_smoke_test, grace=0.3)

    jobs.project("ASKED", released=True)
    jobs.add("nobody asked", "ASKED", STEP_BY_STEP)
    jobs.add(
        "dry run", "ASKED", "mlopsPipeline(skip: ['doctor'])", number=3, params={"DRY_RUN": True, "VALIDATE": False}
    )
    without = "mlopsPipeline(skip: ['doctor', 'validate', 'test', 'release'])"
    jobs.add("never released", "ASKED", without, number=5, params={"DRY_RUN": True})
    jobs.add("misspelt pipeline", "ASKED", "mlopsPipeline(skpi: ['doctor'])", number=4)
    return builds(jobs.scenarios)


def test_the_example_is_green_from_end_to_end_on_two_agents(ran: dict[str, Build], jobs: Jobs) -> None:
    build = ran["example"]
    assert build.result == "SUCCESS", build.log
    assert set(build.statuses.values()) == {"SUCCESS"}
    assert len(build.statuses) == 14
    bundle, version = build.record["bundle"]["id"], build.record["package"]["version"]
    assert jobs.projects["DKU_CHURN"].workspace.live() == bundle
    assert jobs.serving("churn", "api-prod") == jobs.serving("churn", "api-dev") == {version}
    assert build.description == (
        f"DKU_CHURN, bundle {bundle} | test: live, tests passed | prod: live, smoke test passed | "
        f"version {version} of API service churn | dev: live, tests passed | prod: live, smoke test passed"
    )
    (asked,) = build.inputs
    what = f"bundle {bundle} and version {version} of API service churn"
    assert (asked["held"], asked["message"]) == (False, f"Release {what} of project DKU_CHURN to prod?")
    details = asked["details"].splitlines()
    plan = build.record["stages"]["prod"]["plan"]
    assert details[0] == f"plan {plan['sha256'][:12]}: bundle {bundle} of project DKU_CHURN to prod"
    assert details[1] == f"  auto-prod: create deployment DKU_CHURN-on-auto-prod with bundle {bundle}"
    service = build.record["api_stages"]["prod"]["plan"]
    assert service["lines"][0].startswith(
        f"plan {service['sha256'][:12]}: version {version} of project DKU_CHURN to prod"
    )
    assert details == [*plan["lines"], *service["lines"]]


def test_one_answer_is_for_the_bundle_and_the_service(ran: dict[str, Build]) -> None:
    record = ran["example"].record
    bundle, service = (record[name]["prod"]["approval"] for name in ("stages", "api_stages"))
    assert (service["by"], service["bundle"]) == ("jane", record["package"]["version"])
    assert (bundle["sha256"], service["sha256"]) == (record["bundle"]["sha256"], record["package"]["sha256"])
    assert ran["example"].tests("mlops-api-approve-prod") == {"approval": "passed"}


def test_the_queries_of_the_example_are_test_cases(ran: dict[str, Build]) -> None:
    found = ran["example"].tests("mlops-api-test-dev")
    assert found["satisfied customer stays"] == found["a probability above one is refused"] == "passed"
    assert set(found.values()) == {"passed"}


def test_a_service_goes_to_production_alone(ran: dict[str, Build], jobs: Jobs) -> None:
    build = ran["service alone"]
    assert build.result == "SUCCESS", build.log
    version = build.record["package"]["version"]
    assert build.record["bundle"] is None
    assert jobs.serving("alone", "api-prod") == {version}
    assert {"mlopsPackage", "mlopsDeploy", "mlopsTest", "mlopsRelease"}.isdisjoint(build.called)
    (asked,) = build.inputs
    assert asked["message"] == f"Release version {version} of API service alone of project ALONE to prod?"
    assert build.record["api_stages"]["prod"]["approval"]["by"] == "jane"
    assert build.description == (
        f"ALONE | version {version} of API service alone | dev: live, tests passed | prod: live, smoke test passed"
    )
    assert build.statuses["Test the API service on dev"] == "SUCCESS"


def test_a_service_that_nobody_has_approved_is_not_released(ran: dict[str, Build]) -> None:
    build = ran["service unapproved"]
    assert build.result == "FAILURE"
    assert build.tests("mlops-api-approve-prod") == {"approval": "failure"}


def test_a_service_goes_along_with_the_bundle(ran: dict[str, Build], jobs: Jobs) -> None:
    build = ran["bundle and service"]
    assert build.result == "SUCCESS", build.log
    assert build.inputs == []
    assert jobs.projects["BOTH"].workspace.live() == build.record["bundle"]["id"]
    assert jobs.serving("both", "api-prod") == {build.record["package"]["version"]}
    called = [name for name in build.called if name.startswith("mlops")]
    order = ["mlopsPackage", "mlopsApiPackage", "mlopsTest", "mlopsApiTest", "mlopsPlan", "mlopsApiPlan"]
    order += ["mlopsRelease", "mlopsApiRelease"]
    assert [name for name in called if name in order] == order


def test_a_job_may_leave_the_service_out(ran: dict[str, Build]) -> None:
    build = ran["without the service"]
    assert build.result == "SUCCESS", build.log
    assert not any(name.startswith("mlopsApi") for name in build.called)
    assert "mlopsPackage" in build.called


def test_the_console_leaves_to_the_test_results_what_they_have(ran: dict[str, Build]) -> None:
    log = ran["example"].log.splitlines()
    assert "3 nodes, 21 checks: all is well" in log
    assert not [line for line in log if line.startswith(("ok ", "skipped ", "report: ", "statement: "))]


def test_every_check_of_every_step_shows_as_a_test_once(ran: dict[str, Build]) -> None:
    cases = [(case["classname"], case["name"]) for case in ran["example"].junit]
    assert len(cases) == len(set(cases))
    classes = {".".join(classname.split(".")[:3]) for classname, _ in cases}
    assert classes >= {
        "DKU_CHURN.doctor",
        "DKU_CHURN.package",
        "DKU_CHURN.deploy.test",
        "DKU_CHURN.test.test",
        "DKU_CHURN.plan.prod",
        "DKU_CHURN.approve.prod",
        "DKU_CHURN.release.prod",
        "DKU_CHURN.api-package",
        "DKU_CHURN.api-deploy.dev",
        "DKU_CHURN.api-test.dev",
        "DKU_CHURN.api-approve.prod",
        "DKU_CHURN.api-release.prod",
    }
    assert {case["status"] for case in ran["example"].junit} <= {"passed", "skipped"}


def test_record_checksum_and_page_are_archived(ran: dict[str, Build]) -> None:
    build = ran["example"]
    assert build.artifacts == [
        ".mlops/bundle.sha256",
        ".mlops/release.json",
        ".mlops/statements/DKU_CHURN/package.intoto.json",
        ".mlops/statements/DKU_CHURN/release-prod.intoto.json",
        ".mlops/statements/DKU_CHURN/test-test.intoto.json",
        "reports/html/index.html",
        "reports/html/page.css",
        "reports/mlops-api-approve-prod.xml",
        "reports/mlops-api-deploy-dev.xml",
        "reports/mlops-api-package.xml",
        "reports/mlops-api-plan-prod.xml",
        "reports/mlops-api-release-prod.xml",
        "reports/mlops-api-test-dev.xml",
        "reports/mlops-approve-prod.xml",
        "reports/mlops-deploy-test.xml",
        "reports/mlops-doctor.xml",
        "reports/mlops-package.xml",
        "reports/mlops-plan-prod.xml",
        "reports/mlops-release-prod.xml",
        "reports/mlops-test-test.xml",
        "reports/mlops-validate.xml",
        "reports/plan-api-prod.json",
        "reports/plan-prod.json",
    ]
    bundle = build.record["bundle"]
    assert build.artifact(".mlops/bundle.sha256") == f"{bundle['sha256']}  {bundle['id']}.zip\n"
    page = build.artifact("reports/html/index.html")
    assert f"Bundle {bundle['id']} has been live on prod since" in page
    assert ">test on test</a>" in page
    assert ">release on prod</a>" in page


def test_who_approved_stands_in_the_record(ran: dict[str, Build]) -> None:
    approval = ran["example"].record["stages"]["prod"]["approval"]
    assert (approval["by"], approval["bundle"]) == ("jane", ran["example"].record["bundle"]["id"])
    assert approval["build"] == "http://jenkins.example.com/job/churn/7/"


def test_an_approval_has_the_archive_and_the_time_of_the_answer(ran: dict[str, Build]) -> None:
    record = ran["example"].record
    approval = record["stages"]["prod"]["approval"]
    assert approval["sha256"] == record["bundle"]["sha256"]
    unit = record["stages"]["prod"]["units"]["auto-prod"]
    assert record["bundle"]["created"] <= approval["at"] <= unit["deploy"]["started"]


def test_what_was_approved_is_one_archive_and_not_the_next_one_of_the_build(ran: dict[str, Build], jobs: Jobs) -> None:
    build = ran["another bundle"]
    assert build.result == "FAILURE"
    assert "nobody has approved the release of bundle two to prod in this build" in build.error
    assert "what jane approved was another archive" in build.error
    assert jobs.projects["SWAPPED"].workspace.live() == jobs.projects["SWAPPED"].first


def test_an_approval_of_another_build_does_not_count_after_a_restart(ran: dict[str, Build]) -> None:
    build = ran["release alone restarted"]
    assert build.result == "FAILURE"
    assert "jane approved it in http://jenkins.example.com/job/churn/7/" in build.error


def test_a_restarted_build_asks_again_and_its_own_approver_is_noted(ran: dict[str, Build]) -> None:
    build = ran["example restarted"]
    assert build.result == "SUCCESS", build.log
    approval = build.record["stages"]["prod"]["approval"]
    assert (approval["by"], approval["build"]) == ("joe", "http://jenkins.example.com/job/churn/9/")


def test_without_an_approval_nothing_is_released(ran: dict[str, Build], jobs: Jobs) -> None:
    build = ran["nobody asked"]
    assert build.result == "FAILURE"
    assert "nobody has approved the release of bundle" in build.error
    assert build.tests("mlops-approve-prod") == {"approval": "failure"}
    project = jobs.projects["ASKED"]
    assert project.workspace.live() == project.first


def test_a_failing_validation_stops_the_pipeline(ran: dict[str, Build]) -> None:
    build = ran["validation stops"]
    assert build.result == "FAILURE"
    assert build.error.startswith("mlops-steps validate: a check failed: ")
    assert "failure" in build.tests("mlops-validate").values()
    assert build.called.count("mlopsPackage") == 0


def test_a_failing_validation_may_mark_the_build_and_go_on(ran: dict[str, Build]) -> None:
    build = ran["validation marks"]
    assert build.result == "UNSTABLE"
    assert set(build.tests("mlops-package").values()) == {"passed"}


def test_a_failing_smoke_test_is_rolled_back_and_told_as_that(ran: dict[str, Build], jobs: Jobs) -> None:
    build, project = ran["rolled back"], jobs.projects["BAD"]
    assert build.result == "FAILURE", build.log
    assert project.workspace.live() == project.first
    assert build.error.startswith("mlops-steps release: ROLLED BACK: prod: bundle ")
    assert build.description.startswith(f"ROLLED BACK | BAD, bundle {build.record['bundle']['id']} | test: live")
    assert f"prod: {project.first} (restored)" in build.description
    assert f"live now: bundle {project.first} on auto-prod (HEALTHY)" in build.description
    assert build.statuses["Release"] == "FAILURE"
    assert build.statuses["Doctor"] == "SKIPPED"
    tests = build.tests("mlops-release-prod")
    assert tests["smoke-test"] == "failure"
    assert tests["rollback"] == "passed"


def test_a_dry_run_of_the_pipeline_asks_nobody_and_changes_nothing(ran: dict[str, Build], jobs: Jobs) -> None:
    build, project = ran["dry run"], jobs.projects["ASKED"]
    assert build.result == "SUCCESS", build.log
    assert build.inputs == []
    assert "dry run: nothing was changed" in build.log
    assert project.workspace.live() == project.first
    assert (build.statuses["Validate"], build.statuses["Approve"]) == ("SKIPPED", "SKIPPED")
    assert build.statuses["Test on test"] == "SUCCESS"


def test_a_pipeline_that_skips_the_release_makes_no_dry_run_of_it(ran: dict[str, Build]) -> None:
    build = ran["never released"]
    assert build.result == "SUCCESS", build.log
    assert (build.statuses["Package"], build.statuses["Release"]) == ("SUCCESS", "SKIPPED")


def test_the_pipeline_refuses_a_parameter_that_it_does_not_have(ran: dict[str, Build]) -> None:
    build = ran["misspelt pipeline"]
    assert build.result == "FAILURE"
    assert build.error.startswith("mlopsPipeline: unknown parameter skpi; there are agent, skip, ")
    assert "Package" not in build.statuses


def test_a_later_build_looks_at_what_is_live(ran: dict[str, Build]) -> None:
    build = ran["looked at"]
    assert build.result == "SUCCESS", build.log
    assert build.tests("mlops-status") == {"test": "passed", "prod": "passed"}
    assert build.tests("mlops-smoke-test-prod") == {"smoke-test": "passed"}
    assert build.tests("mlops-recover-prod") == {"recover": "passed"}
    assert "nothing is pending on prod" in build.log


def test_an_abort_in_the_middle_of_a_release_ends_with_production_restored(ran: dict[str, Build], jobs: Jobs) -> None:
    build, project = ran["aborted"], jobs.projects["SLOW"]
    assert build.result == "ABORTED", build.log
    assert "After 0.3s process did not stop" in build.log
    assert "went on" not in build.log
    assert project.workspace.live() == project.first
    assert project.workspace.health() == "HEALTHY"
    assert not pending(build.record, "prod")
    assert unit(build.record, "prod")["restore"]["result"] == "passed"
    assert set(build.tests("mlops-recover-prod").values()) == {"passed"}
    assert build.tests("mlops-release-prod")["rollback"] == "passed"
    assert f"prod: {project.first} (restored)" in build.description


@pytest.mark.parametrize("name", ["hostile stage", "hostile id"])
def test_a_hostile_value_is_a_value_and_nothing_else(ran: dict[str, Build], name: str) -> None:
    build = ran[name]
    assert build.result == "FAILURE"
    assert "wrong usage or configuration" in build.error
    assert not list(build.root.rglob("pwned"))
    assert build.junit


def test_a_misspelt_parameter_is_told_with_the_nearest_one(ran: dict[str, Build]) -> None:
    assert ran["misspelt"].error == (
        "mlops-steps deploy: wrong usage or configuration: deploy: unknown parameter 'stgae'; did you mean stage?"
    )


def test_a_missing_credential_is_told_with_its_id(ran: dict[str, Build]) -> None:
    build = ran["no credential"]
    assert build.result == "FAILURE"
    assert "Could not find credentials entry with ID 'mlops-test'" in build.error
    assert "create it as a Secret text" in build.log
    assert build.tests("mlops-status") == {"status": "error"}


def test_without_a_configuration_there_is_a_report_too(ran: dict[str, Build]) -> None:
    build = ran["no configuration"]
    assert build.result == "FAILURE"
    assert "project: is missing" in build.error
    assert build.tests("mlops-doctor") == {"doctor": "error"}


def test_no_key_is_in_any_log_report_or_record(ran: dict[str, Build], jobs: Jobs) -> None:
    keys = [node.api_key for node in jobs.sandbox.nodes.values()]
    looked = 0
    for build in ran.values():
        for path in build.root.rglob("*"):
            if path.is_file() and ".git" not in path.parts:
                content = path.read_text(errors="replace")
                assert not [key for key in keys if key in content], path
                looked += 1
    assert looked > 50
