"""Fleets in the harness, against the sandbox: several projects released together, some of which fail."""

from __future__ import annotations

import json
import subprocess
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from mlops_steps.sandbox.session import running
from mlops_steps.sandbox.site import Sandbox
from mlops_steps.system.console import Console
from tests.front_door.conftest import Workspace, create_project, set_stage_variable
from tests.jenkins_library.conftest import Build, Scenario, base_environment
from tests.support.forks import forks

pytestmark = pytest.mark.timeout(900)


class Fleet:
    """A repository with a fleet.yml, and a folder for each of its projects."""

    def __init__(self, folder: Path, sandbox: Sandbox, forked: Path) -> None:
        self.folder, self.sandbox, self.forked = folder, sandbox, forked
        self.workspaces: dict[str, Workspace] = {}
        self.first: dict[str, str] = {}
        folder.mkdir()

    def project(self, name: str, *, automation: str = "full", released: bool = False, **variables: str) -> None:
        key = f"FLEET_{name.upper()}"
        create_project(self.sandbox, key)
        folder = self.folder / name
        folder.mkdir()
        workspace = Workspace(folder, self.sandbox, key)
        if released:
            self.first[name] = workspace.released(1)
            set_stage_variable(workspace)
        workspace.configure()
        settings = json.loads((folder / "mlops.yml").read_text())
        (folder / "mlops.yml").write_text(json.dumps({**settings, "automation": automation}))
        workspace.variables(**variables)
        self.workspaces[name] = workspace

    def commit(self, document: dict[str, Any]) -> None:
        (self.folder / "fleet.yml").write_text(json.dumps(document))
        git = ["git", "-C", str(self.folder), "-c", "user.name=test", "-c", "user.email=test@example.com"]
        names = [f"{name}/mlops.yml" for name in self.workspaces]
        for command in (["init", "-q"], ["add", "fleet.yml", *names], ["commit", "-q", "-m", "Fleet"]):
            subprocess.run([*git, *command], check=True)

    def scenario(self, name: str, **settings: Any) -> Scenario:
        variables = self.sandbox.environment("NONE")
        keys = {name: value for name, value in variables.items() if name.endswith("_API_KEY")}
        environment = {name: value for name, value in variables.items() if name not in keys}
        credentials = {f"mlops-{key.removeprefix('MLOPS_').removesuffix('_API_KEY').lower()}": value
                       for key, value in keys.items()}  # fmt: skip
        return Scenario(
            name,
            "mlopsFleet()",
            self.folder.with_name(f"job-{name}"),
            {
                "env": {**base_environment(self.folder.with_name("home"), self.forked), **environment},
                "credentials": credentials,
                "source": str(self.folder),
                "number": 5,
                "agents": [f"a{number}" for number in range(30)],
                **settings,
            },
        )


@pytest.fixture(scope="module")
def fleets(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Fleet]]:
    folder = tmp_path_factory.mktemp("fleets")
    with running(None, None, Console(quiet=True)) as sandbox, forks(folder / "bin") as forked:
        four = Fleet(folder / "four", sandbox, forked)
        four.project("alpha")
        four.project("beta", released=True, smoke="fail")
        four.project("gamma", automation="approval")
        four.project("delta", automation="approval")
        four.project("late")
        four.commit(
            {
                "at_once": 2,
                "projects": {
                    "alpha": None,
                    "beta": None,
                    "gamma": None,
                    "delta": {"after": ["alpha"]},
                    "late": {"after": ["beta"]},
                },
            }
        )
        train = Fleet(folder / "train", sandbox, forked)
        train.project("up", released=True)
        train.project("down", released=True, smoke="fail")
        train.project("other")
        train.project("wrong", automation="ful")
        train.commit(
            {
                "at_once": 1,
                "on_failure": "continue",
                "projects": {"up": None, "down": None, "other": None, "wrong": {}},
                "trains": {"pair": ["up", "down"]},
            }
        )
        yield {"four": four, "train": train}


@pytest.fixture(scope="module")
def ran(builds: Callable[[Sequence[Scenario]], dict[str, Build]], fleets: dict[str, Fleet]) -> dict[str, Build]:
    return builds([fleets["four"].scenario("four", answers=[{"by": "jane"}]), fleets["train"].scenario("train")])


def cases(build: Build) -> dict[str, str]:
    return build.tests("mlops-fleet")


def test_one_of_several_fails_and_the_others_are_released(ran: dict[str, Build], fleets: dict[str, Fleet]) -> None:
    build, fleet = ran["four"], fleets["four"]
    assert build.result == "FAILURE", build.log
    said = "fleet: 3 of 5 released | ROLLED BACK: beta | not begun: late"
    assert build.description == said
    assert build.error == f"mlopsFleet: {said}"
    assert cases(build) == {
        "alpha": "passed",
        "beta": "failure",
        "gamma": "passed",
        "delta": "passed",
        "late": "skipped",
    }
    record = json.loads(build.artifact(".mlops/fleet.json"))
    for name in ("alpha", "gamma", "delta"):
        assert fleet.workspaces[name].live() == record["projects"][name]["version"]
    assert fleet.workspaces["beta"].live() == fleet.first["beta"] == record["projects"]["beta"]["before"]
    assert fleet.workspaces["late"].live() is None
    assert record["projects"]["late"]["message"] == "it comes after beta, which is not released"


def test_one_question_is_for_all_and_each_approval_is_of_a_plan(ran: dict[str, Build]) -> None:
    build = ran["four"]
    (asked,) = build.inputs
    assert (asked["message"], asked["held"]) == ("Release gamma, delta?", False)
    for name in ("gamma", "delta"):
        plan = json.loads(build.artifact(f"{name}/reports/plan-prod.json"))
        assert f"plan {plan['sha256'][:12]}: " in asked["details"]
        record = json.loads(build.artifact(f"{name}/.mlops/release.json"))
        approval = record["stages"]["prod"]["approval"]
        assert (approval["by"], approval["plan"]) == ("jane", plan["sha256"])


def test_no_more_than_the_ceiling_at_once_and_in_order(ran: dict[str, Build]) -> None:
    log = ran["four"].log
    names = [line for line in log.splitlines() if line.startswith("[Pipeline] { (Branch: ")]
    # Three projects of the first level, two at once; then two.
    level = ["[Pipeline] { (Branch: delta)", "[Pipeline] { (Branch: late)"]
    # Those of a level begin side by side: which one says so first is chance.
    assert [sorted(names[at : at + 2]) for at in range(0, len(names), 2)] == [
        ["[Pipeline] { (Branch: prepare 1)", "[Pipeline] { (Branch: prepare 2)"],
        level,
        ["[Pipeline] { (Branch: release 1)", "[Pipeline] { (Branch: release 2)"],
        level,
    ]
    assert log.index("(release alpha)") < log.index("(release delta)")


def test_one_page_leads_to_that_of_each_project(ran: dict[str, Build]) -> None:
    build = ran["four"]
    page = build.artifact("reports/fleet/index.html")
    assert '<a href="../../alpha/reports/html/index.html">alpha</a>' in page
    assert "ROLLED BACK: beta" in page
    assert "alpha/reports/html/index.html" in build.artifacts
    assert ElementTree.fromstring(build.artifact("reports/mlops-fleet.xml")).get("name") is not None


def test_a_train_is_taken_back_in_reverse(ran: dict[str, Build], fleets: dict[str, Fleet]) -> None:
    build, fleet = ran["train"], fleets["train"]
    assert build.result == "FAILURE", build.log
    assert fleet.workspaces["up"].live() == fleet.first["up"]
    assert fleet.workspaces["down"].live() == fleet.first["down"]
    assert cases(build) == {"up": "failure", "down": "failure", "other": "passed", "wrong": "failure"}
    record = json.loads(build.artifact(".mlops/fleet.json"))
    assert record["trains"] == {"pair": {"projects": ["up", "down"], "result": "rolled back"}}
    up = record["projects"]["up"]
    assert (up["result"], up["message"]) == ("taken back", "down failed, so it was taken back")
    assert [step["step"] for step in up["steps"]] == ["package", "deploy", "test", "plan", "release", "rollback"]
    # It is not at fault: it may be released again.
    assert json.loads(build.artifact("up/.mlops/release.json"))["stages"]["prod"]["quarantined"] is None
    assert json.loads(build.artifact("down/.mlops/release.json"))["stages"]["prod"]["quarantined"] is not None
    log = build.log
    assert log.index("(release up)") < log.index("(release down)") < log.index("(take back up)")


def test_a_project_whose_configuration_is_wrong_fails_alone(ran: dict[str, Build], fleets: dict[str, Fleet]) -> None:
    build = ran["train"]
    record = json.loads(build.artifact(".mlops/fleet.json"))
    assert "automation: must be one of full, approval, manual" in record["projects"]["wrong"]["message"]
    assert fleets["train"].workspaces["other"].live() == record["projects"]["other"]["version"]
