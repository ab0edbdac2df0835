"""What applies to a project: by criticality, by its own file, by what its organisation requires."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import pytest

from mlops_steps.config import Settings, load
from mlops_steps.config.gates import KINDS
from mlops_steps.config.policy import GateKind
from mlops_steps.errors import ConfigError
from mlops_steps.policy.effective import Policy, resolve

PROJECT = """\
project: CHURN
nodes: {design: {url: "https://d.example.com"}}
"""


def settings(folder: Path, text: str = "", *, library: str = "", **environment: str) -> Settings:
    path = folder / "mlops.yml"
    path.write_text(PROJECT + text)
    return load(path, {"MLOPS_LIBRARY_POLICY": library, **environment})


def policy(folder: Path, text: str = "", *, library: str = "", **environment: str) -> Policy:
    return resolve(settings(folder, text, library=library, **environment))


def refused(folder: Path, text: str, library: str, **environment: str) -> list[str]:
    with pytest.raises(ConfigError) as raised:
        policy(folder, text, library=library, **environment)
    return [line.replace(f"{folder}/", "") for line in (raised.value.message, *raised.value.details)]


def test_without_any_word_it_is_as_before(tmp_path: Path) -> None:
    found = policy(tmp_path)
    assert not found.in_force
    assert (found.automation, found.min_scenarios, found.soak, found.freezes) == ("approval", 1, 0.0, [])
    assert (found.approvers, found.required_gates, found.may_force) == ([], [], ["*"])
    assert {line.why for line in found.lines} == {"default"}


def test_criticality_sets_the_defaults_and_each_can_be_set_by_itself(tmp_path: Path) -> None:
    found = policy(tmp_path, "criticality: high\npolicy:\n  soak: 0\n  min_scenarios: 1\n")
    assert (found.soak, found.min_scenarios) == (0.0, 1)
    assert (found.separation_of_duties, found.required_gates) == (True, ["metric", "champion", "data_quality"])
    assert str(found.line("soak")) == f"policy.soak: 0 ({tmp_path}/mlops.yml:5)"
    assert found.line("required_gates").why == f"criticality high, {tmp_path}/mlops.yml:3"
    assert policy(tmp_path, "criticality: low\n").automation == "full"
    assert policy(tmp_path, "criticality: low\nautomation: manual\n").automation == "manual"


def test_the_stricter_of_default_and_minimum_applies(tmp_path: Path) -> None:
    library = "policy:\n  soak: 10m\n  min_scenarios: 5\n  may_force: [jane]\n  required_gates: [governance]\n"
    found = policy(tmp_path, "criticality: high\n", library=library)
    assert (found.soak, found.min_scenarios, found.may_force) == (3600.0, 5, [])
    assert found.line("min_scenarios").why == "policy.yml of the Jenkins library:3"
    assert set(found.required_gates) == {"governance", "metric", "champion", "data_quality"}
    assert "policy.yml of the Jenkins library:5; criticality high" in found.line("required_gates").why


def test_a_criticality_of_the_organisation_brings_its_defaults_as_minimums(tmp_path: Path) -> None:
    library = "criticality: high\npolicy:\n  soak: 5m\n"
    found = policy(tmp_path, library=library)
    assert (found.line("criticality").value, found.separation_of_duties) == ("high", True)
    # Of the organisation's own keys, each goes before its criticality; the project's default is as high all the same.
    assert policy(tmp_path, "policy:\n  soak: 5m\n", library=library).soak == 300.0
    assert refused(tmp_path, "policy:\n  separation_of_duties: false\n", library) == [
        "mlops.yml:4: policy.separation_of_duties: false is less than true, which criticality high, policy.yml of the "
        "Jenkins library:1 requires"
    ]


LEAST = """\
criticality: medium
automation: approval
policy:
  approvers: [jane, "group:managers"]
  separation_of_duties: true
  required_gates: [champion]
  min_scenarios: 2
  soak: 1h
  may_force: [jane]
  canary: true
  service_tests: true
"""


@pytest.mark.parametrize(
    ("text", "said", "line"),
    [
        ("criticality: low\n", "criticality: low is less than medium", 1),
        ("automation: full\n", "automation: full is less than approval", 2),
        ("policy: {approvers: []}\n", "approvers: anybody is less than jane, group:managers", 4),
        ("policy: {approvers: [jane, joe]}\n", "approvers: jane, joe is less than jane, group:managers", 4),
        ("policy: {separation_of_duties: false}\n", "separation_of_duties: false is less than true", 5),
        ("policy: {required_gates: [metric]}\n", "required_gates: metric is less than champion", 6),
        ("policy: {min_scenarios: 1}\n", "min_scenarios: 1 is less than 2", 7),
        ("policy: {soak: 59m}\n", "soak: 59m is less than 1h", 8),
        ("policy: {may_force: ['*']}\n", "may_force: anybody is less than jane", 9),
        ("policy: {canary: false}\n", "canary: false is less than true", 10),
        ("policy: {service_tests: false}\n", "service_tests: false is less than true", 11),
        ("policy: {may_force: [joe]}\n", "may_force: joe is less than jane", 9),
    ],
)
def test_each_key_can_be_tightened_only(tmp_path: Path, text: str, said: str, line: int) -> None:
    (found,) = refused(tmp_path, text, LEAST)
    assert found.startswith("mlops.yml:3: ")
    assert said in found
    assert found.endswith(f"which policy.yml of the Jenkins library:{line} requires")


def test_tighter_is_as_the_project_says(tmp_path: Path) -> None:
    tighter = (
        "criticality: high\nautomation: manual\npolicy:\n  approvers: [jane]\n  required_gates: [drift, champion]\n"
        "  min_scenarios: 3\n  soak: 2h\n  may_force: []\n"
    )
    found = policy(tmp_path, tighter, library=LEAST)
    assert (found.approvers, found.required_gates, found.may_force) == (["jane"], ["drift", "champion"], [])
    assert (found.automation, found.min_scenarios, found.soak) == ("manual", 3, 7200.0)


def test_freezes_add_up(tmp_path: Path) -> None:
    theirs = "policy:\n  freezes:\n    - {name: weekend, days: [sat, sun], timezone: UTC}\n"
    for ours in ("policy: {freezes: []}\n", theirs.replace("weekend", "ours").replace("sat, sun", "mon")):
        found = policy(tmp_path, ours, library=theirs)
        assert "weekend" in [freeze.name for freeze in found.freezes]
    assert [freeze.name for freeze in found.freezes] == ["weekend", "ours"]


def test_all_files_of_an_organisation_count(tmp_path: Path) -> None:
    other = tmp_path / "policy.yml"
    other.write_text("policy:\n  approvers: [jane, jack]\n  soak: 30m\n")
    found = policy(tmp_path, library=LEAST, MLOPS_POLICY=str(other))
    assert (found.approvers, found.soak) == (["jane"], 3600.0)
    assert refused(tmp_path, "policy: {approvers: [jack]}\n", LEAST, MLOPS_POLICY=str(other))
    other.write_text("policy:\n  approvers: [jack]\n")
    (found_line,) = refused(tmp_path, "", LEAST, MLOPS_POLICY=str(other))
    assert found_line.startswith("nobody may approve a release: ")


@pytest.mark.parametrize(
    ("library", "said"),
    [
        ("policy: {soaks: 1h}\n", "policy.yml of the Jenkins library:1: policy.soaks: unknown key; did you mean soak?"),
        ("criticality: extreme\n", "policy.yml of the Jenkins library:1: criticality: must be one of low, medium"),
        ("- a list\n", "policy.yml of the Jenkins library:1: must be a mapping"),
        ("url: https://example.com/policy.yml\n", "url and sha256 go together"),
    ],
)
def test_a_file_that_cannot_be_read_may_require_anything(tmp_path: Path, library: str, said: str) -> None:
    assert said in refused(tmp_path, "", library)[0]


def test_a_file_that_is_missing_is_an_error(tmp_path: Path) -> None:
    assert "no such file" in refused(tmp_path, "", "", MLOPS_POLICY=str(tmp_path / "none.yml"))[0]
    (found,) = refused(tmp_path, "", "", MLOPS_POLICY="https://example.com/policy.yml")
    assert "a URL needs its checksum" in found


def test_the_kinds_of_gates_are_those_that_there_are() -> None:
    assert set(get_args(GateKind)) == set(KINDS)
