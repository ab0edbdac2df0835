"""A running sandbox with a tiny project, and workspaces in which the real command is run against it.

The project's scenarios do what its variables say, so that a bundle is good, or bad in one particular way, by its
variables alone.
"""

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dataikuapi
import pytest

from mlops_steps.sandbox.site import Sandbox
from mlops_steps.sandbox.specs import infra_specs
from tests.support.commands import Started

KEY = "TINY"

SMOKE = """
import time
import dataiku
variables = dataiku.get_custom_variables()
mode = variables.get("smoke", "pass") if variables.get("stage") == "prod" else "pass"
print("smoke test, mode", mode)
if mode == "hang":
    time.sleep(600)
if mode == "fail":
    raise RuntimeError("the smoke test was told to fail")
"""

TEST = """
import dataiku
if dataiku.get_custom_variables().get("test", "pass") == "fail":
    raise RuntimeError("the test was told to fail")
"""


@dataclass
class Result:
    """What a command has left."""

    code: int
    out: str
    err: str
    reports: Path

    def report(self, name: str) -> ElementTree.Element:
        root = ElementTree.parse(self.reports / f"mlops-{name}.xml").getroot()
        suite = root if root.tag == "testsuite" else root.find("testsuite")
        assert suite is not None
        return suite

    def case(self, report: str, name: str) -> ElementTree.Element:
        found = [case for case in self.report(report).iter("testcase") if case.get("name") == name]
        assert len(found) == 1, [case.get("name") for case in self.report(report).iter("testcase")]
        return found[0]

    def properties(self, report: str) -> dict[str, str]:
        return {item.get("name", ""): item.get("value", "") for item in self.report(report).iter("property")}


class Workspace:
    """A folder with an mlops.yml, in which commands are run as Jenkins runs them."""

    def __init__(self, folder: Path, sandbox: Sandbox, project: str) -> None:
        self.folder = folder
        self.sandbox = sandbox
        self.project = project
        self._logs = Path(f"{folder}-logs")
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("MLOPS_")},
            **sandbox.environment(project),
        }
        self.configure()

    def configure(self, **sections: Any) -> None:
        """Writes mlops.yml with small limits; ``sections`` replace or add keys of the sections."""
        settings: dict[str, dict[str, Any]] = {
            "http": {"retries": 2, "max_wait": "2s", "read_timeout": "10s"},
            "deploy": {"timeout": "60s", "health_timeout": "3s"},
            "test": {"timeout": "60s"},
            "release": {"timeout": "60s", "smoke_timeout": "30s", "rollback_timeout": "60s"},
        }
        for name, values in sections.items():
            settings[name] = {**settings.get(name, {}), **values}
        document = {"project": self.project, **settings}
        (self.folder / "mlops.yml").write_text(json.dumps(document))  # JSON is YAML

    def start(self, *arguments: str, **environment: str) -> Started:
        """The command, forked from a process that has imported it: see tests/support/commands.py."""
        self._logs.mkdir(exist_ok=True)
        logs = Path(tempfile.mkdtemp(dir=self._logs))
        return Started(arguments, self.folder, {**self.environment, **environment}, logs)

    def start_really(self, *arguments: str, **environment: str) -> subprocess.Popen[str]:
        """The command in an interpreter of its own, for what shows its arguments or its environment."""
        return subprocess.Popen(
            [sys.executable, "-m", "mlops_steps", *arguments],
            cwd=self.folder,
            env={**self.environment, **environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def finish(self, process: Started | subprocess.Popen[str], timeout: float = 120) -> Result:
        try:
            out, err = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            out, err = process.communicate()
            pytest.fail(f"no end after {timeout} s\n{out}\n{err}")
        assert process.returncode is not None
        return Result(process.returncode, out, err, self.folder / "reports")

    def run(self, *arguments: str, **environment: str) -> Result:
        return self.finish(self.start(*arguments, **environment))

    def ok(self, *arguments: str, **environment: str) -> Result:
        result = self.run(*arguments, **environment)
        assert result.code == 0, f"{arguments}: exit code {result.code}\n{result.out}\n{result.err}"
        return result

    @property
    def record(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.folder / ".mlops" / "release.json").read_text())
        return found

    # What the nodes themselves say, over the official client.

    def client(self, node: str) -> dataikuapi.DSSClient:
        found = self.sandbox.nodes[node]
        return dataikuapi.DSSClient(found.url, found.api_key)

    def live(self, node: str = "auto-prod") -> str | None:
        for project in self.client(node).list_projects():
            if project["projectKey"] == self.project:
                bundle: str | None = (project.get("activeBundleState") or {}).get("bundleId")
                return bundle
        return None

    def health(self, infra: str = "auto-prod") -> str:
        deployer = self.client("design").get_projectdeployer()
        status: str = deployer.get_deployment(f"{self.project}-on-{infra}").get_status().get_health()
        return status

    def variables(self, **values: str) -> None:
        """Sets variables of the project on the Design node: the next bundle carries them."""
        project = self.client("design").get_project(self.project)
        variables = project.get_variables()
        variables["standard"] = values
        project.set_variables(variables)

    def runs(self, node: str, scenario: str) -> list[dict[str, Any]]:
        found = self.client(node).get_project(self.project).get_scenario(scenario).get_last_runs(limit=50)
        return [run.get_info() for run in found]

    def forget_quarantines(self) -> None:
        """Takes the notes of what was rolled back from the Project Deployer."""
        settings = self.client("design").get_projectdeployer().get_project(self.project).get_settings()
        settings.get_raw()["tags"] = []
        settings.save()

    def tested(self, build: int, **variables: str) -> str:
        """Packages, deploys to test and tests a bundle; returns its id."""
        self.variables(**variables)
        self.ok("package", BUILD_NUMBER=str(build))
        self.ok("deploy", "--stage", "test")
        self.ok("test", "--stage", "test")
        bundle: str = self.record["bundle"]["id"]
        return bundle

    def released(self, build: int, **variables: str) -> str:
        """Takes a bundle to production; returns its id."""
        bundle = self.tested(build, **variables)
        self.ok("release", "--stage", "prod")
        return bundle


@pytest.fixture(scope="session")
def steps_sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    with Sandbox.open(tmp_path_factory.mktemp("steps") / "nodes") as running:
        yield running


@pytest.fixture(scope="module")
def many_sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    """Production has six infrastructures of one node, and one of three: tests/front_door/many.py."""
    from tests.front_door.many import INFRAS

    with Sandbox.open(tmp_path_factory.mktemp("many") / "nodes", infra_specs(None, INFRAS)) as running:
        yield running


_numbers = itertools.count(1)


def create_project(sandbox: Sandbox, key: str) -> None:
    """Makes the tiny project on the Design node, with the official client."""
    design = sandbox.nodes["design"]
    client = dataikuapi.DSSClient(design.url, design.api_key)
    project = client.create_project(key, f"Tiny project {key}", "admin")
    for name, code in (("TEST_SMOKE", SMOKE), ("TEST_ONE", TEST)):
        steps = [{"id": "s1", "name": "run", "type": "custom_python", "params": {"script": code}}]
        definition = {"params": {"steps": steps, "triggers": [], "reporters": []}, "markedAsTest": True}
        project.create_scenario(name, "step_based", definition)


@pytest.fixture
def workspace(steps_sandbox: Sandbox, tmp_path: Path) -> Workspace:
    """A workspace with a project of its own, so that no test sees what another one did."""
    key = f"{KEY}{next(_numbers)}"
    create_project(steps_sandbox, key)
    return Workspace(tmp_path, steps_sandbox, key)


def set_stage_variable(workspace: Workspace) -> None:
    """Tells the project on production that it is there: a local variable, which bundles do not touch."""
    project = workspace.client("auto-prod").get_project(workspace.project)
    variables = project.get_variables()
    variables["local"] = {"stage": "prod"}
    project.set_variables(variables)
