"""Runs Jenkinsfiles and vars/ in the harness, many builds in one JVM."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
HARNESS = Path(__file__).with_name("harness")
STUB = Path(__file__).with_name("stub")
LIMIT = 1400


@dataclass
class Build:
    """What came of a build in the harness."""

    data: dict[str, Any]
    root: Path
    number: int

    def __getattr__(self, name: str) -> Any:
        try:
            return self.data[name]
        except KeyError:
            raise AttributeError(name) from None

    @property
    def statuses(self) -> dict[str, str]:
        return {stage["name"]: stage["status"] for stage in self.data["stages"]}

    def tests(self, report: str) -> dict[str, str]:
        """Outcomes by name of the test cases that Jenkins took from a report."""
        return {case["name"]: case["status"] for case in self.data["junit"] if report in case["file"]}

    def artifact(self, name: str) -> str:
        return (self.root / f"artifacts-{self.number}" / name).read_text()

    @property
    def record(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.artifact(".mlops/release.json"))
        return found


@dataclass
class Scenario:
    """A build to be run. ``root`` is the folder of the job: workspaces, artifacts, logs."""

    name: str
    script: str
    root: Path
    settings: dict[str, Any] = field(default_factory=dict)


def run_builds(scenarios: Sequence[Scenario], folder: Path) -> dict[str, Build]:
    """Runs the builds one after another in one JVM; outcomes by the name of the scenario."""
    assert shutil.which("groovy"), "the Debian package groovy is needed: tools/debian-packages groovy ant"
    given = [{"name": one.name, "script": one.script, "root": str(one.root), **one.settings} for one in scenarios]
    (folder / "scenarios.json").write_text(json.dumps(given))
    ended = subprocess.run(
        [
            "groovy",
            "-cp",
            str(HARNESS),
            str(HARNESS / "main.groovy"),
            str(ROOT),
            str(folder / "scenarios.json"),
            str(folder / "outcomes.json"),
        ],
        env={**os.environ, "JAVA_HOME": java_home(), "JAVA_OPTS": "-XX:TieredStopAtLevel=1 -Xshare:auto"},
        capture_output=True,
        text=True,
        timeout=LIMIT,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    outcomes = json.loads((folder / "outcomes.json").read_text())
    return {
        one.name: Build(outcome, one.root, one.settings.get("number", 1))
        for one, outcome in zip(scenarios, outcomes, strict=True)
    }


def java_home() -> str:
    """The folder of the Java runtime, which Debian's groovy wants to be told."""
    if os.environ.get("JAVA_HOME"):
        return os.environ["JAVA_HOME"]
    java = shutil.which("java")
    assert java, "Java is needed; the Debian package groovy brings it"
    return str(Path(java).resolve().parents[1])


def base_environment(home: Path, *first: Path) -> dict[str, str]:
    """The environment of an agent: little, and with the commands in these folders first."""
    home.mkdir(parents=True, exist_ok=True)
    path = [*map(str, first), str(Path(sys.executable).parent), "/usr/local/bin", "/usr/bin", "/bin"]
    kept = {name: value for name, value in os.environ.items() if name.startswith("COVERAGE") or name == "NO_PROXY"}
    return {**kept, "PATH": os.pathsep.join(path), "HOME": str(home), "LANG": "C.UTF-8"}


@pytest.fixture(scope="module")
def builds(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Sequence[Scenario]], dict[str, Build]]:
    def run(scenarios: Sequence[Scenario]) -> dict[str, Build]:
        return run_builds(scenarios, tmp_path_factory.mktemp("harness"))

    return run
