"""``mlops-steps jenkins lint``: the controller's validator, or Groovy."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.jenkins.conftest import Command
from tests.jenkins.fake_controller import Answer, FakeController

GOOD = "@Library('mlops-steps') _\npipeline {\n  agent any\n  stages { stage('é') { steps { echo 'hi' } } }\n}\n"
needs_groovy = pytest.mark.skipif(shutil.which("groovy") is None, reason="Groovy is not installed")


@pytest.fixture
def jenkinsfile(tmp_path: Path) -> Path:
    path = tmp_path / "Jenkinsfile"
    path.write_text(GOOD, "utf-8")
    return path


def test_the_controller_is_asked_when_there_is_one(
    controller: FakeController, jenkins: Command, jenkinsfile: Path
) -> None:
    result = jenkins("lint", "Jenkinsfile")

    assert result.exit_code == 0, result.stderr
    assert result.stderr == "Jenkinsfile: nothing wrong, says Jenkins 2.479.3\n"
    assert controller.posts == ["/pipeline-model-converter/validateJenkinsfile"]
    assert b"%C3%A9" in controller.bodies[0]


def test_the_validators_findings_are_listed(controller: FakeController, jenkins: Command, jenkinsfile: Path) -> None:
    controller.findings = [
        {"error": ["Missing required section \"agent\" @ line 2, column 1.", "Unknown stage section \"stepz\""]},
        {"error": "one more"},
    ]  # fmt: skip

    result = jenkins("lint", "Jenkinsfile")

    assert result.exit_code == 1
    assert result.stderr.splitlines() == [
        "check failed: Jenkinsfile: Jenkins 2.479.3 finds 3 errors",
        '  Missing required section "agent" @ line 2, column 1.',
        '  Unknown stage section "stepz"',
        "  one more",
    ]


def test_a_pipeline_that_the_library_brings_is_no_error(
    controller: FakeController, jenkins: Command, jenkinsfile: Path
) -> None:
    controller.findings = [
        {"error": "Jenkinsfile content 'mlopsPipeline(project: 1)' did not contain the 'pipeline' step"}
    ]

    result = jenkins("lint", "Jenkinsfile")

    assert result.exit_code == 0
    assert "without a pipeline block of its own" in result.stderr


def test_a_controller_without_the_validator_names_the_plugin(
    controller: FakeController, jenkins: Command, jenkinsfile: Path
) -> None:
    controller.before.append(lambda method, path: Answer(404, b"", "text/html") if method == "POST" else None)

    result = jenkins("lint", "Jenkinsfile")

    assert result.exit_code == 3
    assert "plugin pipeline-model-definition is missing or not active" in result.stderr


@needs_groovy
def test_offline_groovy_says_whether_it_parses(jenkins: Command, jenkinsfile: Path) -> None:
    result = jenkins("lint", "Jenkinsfile")

    assert result.exit_code == 0, result.stderr
    assert "Jenkinsfile: parses, says Groovy 2.4." in result.stderr


@needs_groovy
def test_offline_groovy_says_where_it_does_not_parse(
    controller: FakeController, jenkins: Command, jenkinsfile: Path
) -> None:
    jenkinsfile.write_text(GOOD.removesuffix("}\n"))

    result = jenkins("lint", "--offline", "Jenkinsfile")

    assert result.exit_code == 1
    assert "finds an error" in result.stderr
    assert "expecting '}', found '' @ line 5, column 1." in result.stderr
    assert controller.posts == []


def test_the_url_alone_as_every_build_has_it_is_no_controller(
    jenkins: Command, jenkinsfile: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JENKINS_URL", "https://jenkins.example.com")
    monkeypatch.setenv("PATH", "")

    result = jenkins("lint", "Jenkinsfile")

    assert result.exit_code == 2
    assert "JENKINS_URL is set, but no token" in result.stderr
    assert "neither a Jenkins controller nor Groovy is at hand" in result.stderr


def test_a_groovy_that_does_not_work_is_told_from_a_bad_file(
    jenkins: Command, jenkinsfile: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = tmp_path / "bin" / "groovy"
    fake.parent.mkdir()
    fake.write_text('#!/bin/sh\necho "no java: ${JENKINS_API_TOKEN:-no token}" >&2\nexit 1\n')
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", str(fake.parent))
    monkeypatch.setenv("JENKINS_API_TOKEN", "a-token-of-no-use-to-groovy")

    result = jenkins("lint", "Jenkinsfile")

    assert result.exit_code == 3
    assert "does not work here\n  no java: no token\n" in result.stderr


def test_a_file_that_is_not_there_is_said(jenkins: Command) -> None:
    result = jenkins("lint", "Jenkinsfile")

    assert result.exit_code == 2
    assert "Jenkinsfile cannot be read: No such file or directory" in result.stderr
