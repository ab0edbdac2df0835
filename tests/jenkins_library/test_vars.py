"""What must hold for every file in vars/."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from mlops_steps import __version__
from mlops_steps.commands.groovy.request import OF_THE_LIBRARY
from mlops_steps.steps.registry import STEPS
from tests.jenkins_library.conftest import ROOT

VARS = sorted((ROOT / "vars").glob("*.groovy"))
#: Steps that wrap a command, by the name of the command.
WRAPPING = {step.groovy_name: step.name for step in STEPS.values() if step.in_library}
#: Steps that do something else, with their parameters.
OWN = {
    "mlopsApprove": "stage approvers time unit message",
    "mlopsFleet": "file agent approvers time unit setup step",
    "mlopsPipeline": "agent skip test release approvers time unit setup step",
    "mlopsSetup": "source wheels repository revision library requirements sha256 python",
    "mlopsStep": "",
    "mlopsUnits": "",
}
#: Not meant to be called from a Jenkinsfile.
INTERNAL = ("mlopsStep", "mlopsUnits")
LONGEST_WRAPPER = 5  # lines


def help_of(name: str) -> str:
    return (ROOT / "vars" / f"{name}.txt").read_text()


def documented(name: str) -> dict[str, str]:
    """Parameters of the help with what it says of their type and default."""
    section = help_of(name).partition("\nParameters\n")[2].partition("\n\n")[0]
    return dict(re.findall(r"^  (\w+): (.+)$", section, re.MULTILINE))


def test_there_is_a_step_for_every_command_and_nothing_else() -> None:
    assert {path.stem for path in VARS} == {*WRAPPING, *OWN}


@pytest.mark.parametrize("path", VARS, ids=lambda path: path.stem)
def test_it_has_a_help_that_jenkins_shows_well(path: Path) -> None:
    text = help_of(path.stem)
    assert text.startswith(f"{path.stem}: ")
    # The default formatter of Jenkins shows tags as they stand.
    assert not re.search(r"</?(p|pre|code|ul|li|b|h\d|br|dl|dt|dd)\b", text)
    assert all(len(line) <= 120 for line in text.splitlines())
    if path.stem not in INTERNAL:
        example = text.partition("\nExample\n")[2]
        assert f"{path.stem}(" in example
        assert all("default" in told or "required" in told for told in documented(path.stem).values())


@pytest.mark.parametrize(("name", "step"), WRAPPING.items())
def test_its_parameters_are_the_options_of_the_command(name: str, step: str) -> None:
    options = {option.parameter: option for option in STEPS[step].all_options}
    assert set(documented(name)) == {*options, *OF_THE_LIBRARY}
    required = {parameter for parameter, option in options.items() if option.required}
    assert {parameter for parameter, told in documented(name).items() if "required" in told} == required


@pytest.mark.parametrize(("name", "parameters"), [item for item in OWN.items() if item[1]])
def test_its_parameters_are_those_of_its_code(name: str, parameters: str) -> None:
    assert set(documented(name)) == set(parameters.split())
    code = (ROOT / "vars" / f"{name}.groovy").read_text()
    if name == "mlopsSetup":
        code = (ROOT / "resources/mlops-steps/bootstrap.py").read_text()
        code = code.partition("PARAMETERS = (")[2].partition(")")[0]
    for parameter in parameters.split():
        assert re.search(rf"['\"]{parameter}['\"]|\b{parameter}:", code), parameter


@pytest.mark.parametrize(("name", "step"), WRAPPING.items())
def test_it_is_a_few_lines_over_the_internal_step(name: str, step: str) -> None:
    code = (ROOT / "vars" / f"{name}.groovy").read_text()
    assert f"mlopsStep('{step}', parameters)" in code
    assert len(code.splitlines()) <= LONGEST_WRAPPER


@pytest.mark.parametrize("path", VARS, ids=lambda path: path.stem)
def test_no_secret_and_no_value_is_spliced_into_a_script(path: Path) -> None:
    code = path.read_text()
    for interpolated in re.findall(r"\"(?:[^\"\\]|\\.)*\$(?:[^\"\\]|\\.)*\"", code):
        assert not re.search(r"api_?key|secret|token|password", interpolated, re.IGNORECASE), interpolated
    for call in re.findall(r"\bsh[( ].*", code):
        # One place runs scripts, and what it runs is constant.
        assert path.stem == "mlopsStep", call
        assert "script: script" in call
    for script in re.findall(r"lines\((.*)", code):
        assert script.startswith(("'''#!/bin/sh", "String script", "libraryResource('mlops-steps/bootstrap.sh')")), (
            script
        )


def test_the_library_and_the_package_are_of_one_version() -> None:
    assert f"return '{__version__}'" in (ROOT / "vars/mlopsStep.groovy").read_text()


def test_the_readme_example_of_the_shortest_form_is_one_that_exists() -> None:
    example = help_of("mlopsPipeline").partition("\nExample\n")[2]
    assert "@Library('mlops-steps') _" in example
    assert set(re.findall(r"(\w+):", example)) <= set(OWN["mlopsPipeline"].split())


def test_the_example_for_configuration_as_code_has_the_names_that_the_steps_expect() -> None:
    example = yaml.safe_load((ROOT / "resources/mlops-steps/configuration-as-code.yaml").read_text())
    (library,) = example["unclassified"]["globalLibraries"]["libraries"]
    assert (library["name"], library["defaultVersion"]) == ("mlops-steps", f"v{__version__}")
    (domain,) = example["credentials"]["system"]["domainCredentials"]
    found = {one["string"]["id"]: one["string"]["secret"] for one in domain["credentials"]}
    assert found == {f"mlops-{node}": f"${{MLOPS_{node.upper()}_API_KEY}}" for node in ("design", "test", "prod")}


def test_the_documentation_has_every_step() -> None:
    text = (ROOT / "docs/jenkins.md").read_text()
    for path in VARS:
        if path.stem not in INTERNAL:
            assert f"| `{path.stem}` |" in text


@pytest.mark.parametrize("name", ["Jenkinsfile.example", "vars/mlopsPipeline.groovy"])
def test_two_builds_of_one_job_wait_for_each_other_and_no_question_holds_an_executor(name: str) -> None:
    text = (ROOT / name).read_text()
    assert re.search(r"(?m)^ +disableConcurrentBuilds\(\)$", text)
    assert re.search(r"(?m)^ +agent none$", text)


def test_the_readme_leads_to_the_pages_about_jenkins() -> None:
    text = (ROOT / "README.md").read_text()
    for name in ("jenkins", "jenkins-command", "game-day"):
        assert f"| [docs/{name}.md](docs/{name}.md) |" in text
        assert (ROOT / f"docs/{name}.md").is_file()
