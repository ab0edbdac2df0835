"""`fleet plan` and `fleet report`: the file, the order, and the sum of what Jenkins has noted."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support import commands

NODES = {
    "design": {"url": "http://127.0.0.1:1"},
    "test": {"url": "http://127.0.0.1:1", "infra": "auto-test"},
    "prod": {"url": "http://127.0.0.1:1", "infra": "auto-prod"},
}


def fleet(folder: Path, document: dict[str, Any], **automation: str) -> None:
    for name in document.get("projects", {}):
        (folder / name).mkdir(exist_ok=True)
        mlops = {"project": name.upper(), "nodes": NODES, "automation": automation.get(name, "full")}
        (folder / name / "mlops.yml").write_text(json.dumps(mlops))
    (folder / "fleet.yml").write_text(json.dumps(document))


def planned(folder: Path) -> dict[str, Any]:
    result = commands.run(["fleet", "plan"], folder, {})
    assert result.returncode == 0, result.stderr
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def test_the_plan_has_steps_levels_and_questions(tmp_path: Path) -> None:
    fleet(
        tmp_path,
        {
            "at_once": 3,
            "projects": {"a": {"after": ["c"]}, "b": None, "c": None, "d": {"agent": "linux"}},
            "trains": {"pair": ["b", "c"]},
        },
        c="approval",
        d="manual",
    )
    found = planned(tmp_path)
    assert (found["at_once"], found["on_failure"]) == (3, "continue")
    assert found["levels"] == [
        [
            {"name": "pair", "train": True, "projects": ["b", "c"], "after": []},
            {"name": "d", "train": False, "projects": ["d"], "after": []},
        ],
        [{"name": "a", "train": False, "projects": ["a"], "after": ["b", "c"]}],
    ]
    assert found["questions"] == [{"number": 1, "approvers": "", "projects": ["c"]}]
    a = found["projects"]["a"]
    common = {"config": "a/mlops.yml", "project": "A"}
    assert a["prepare"] == [
        {"step": "package", "parameters": common},
        {"step": "deploy", "parameters": {**common, "stage": "test"}},
        {"step": "test", "parameters": {**common, "stage": "test"}},
        {"step": "plan", "parameters": {**common, "stage": "prod"}},
    ]
    assert a["release"] == [{"step": "release", "parameters": {**common, "stage": "prod"}}]
    assert a["take_back"] == [{"step": "rollback", "parameters": {**common, "stage": "prod", "allowAgain": True}}]
    # What is downstream in a train cannot be planned before what is upstream is live.
    assert [one["step"] for one in found["projects"]["c"]["prepare"]] == ["package", "deploy", "test"]
    assert (found["projects"]["d"]["release"], found["projects"]["d"]["agent"]) == ([], "linux")


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ({"projects": {"a": {"aftr": ["b"]}}}, "fleet.yml:1: projects.a.aftr: unknown key; did you mean after?"),
        ({"projects": {"a": {"after": ["bb"]}, "b": None}}, "no such project: bb; did you mean b?"),
        ({"projects": {"a": {"after": ["b"]}, "b": {"after": ["a"]}}}, "these wait for each other: a, b"),
        ({"projects": {"a": None}, "trains": {"t": ["a"]}}, "a train has two projects or more"),
        ({"projects": {"a": None, "b": None}, "trains": {"t": ["a", "b"], "u": ["b", "a"]}}, "is in train t already"),
        ({"projects": {"a": {"after": ["b"]}, "b": None}, "trains": {"t": ["a", "b"]}}, "stands behind it"),
        ({"projects": {"a": None, "b": {"config": "a/mlops.yml"}}}, "a and b have the same folder of mlops.yml: a"),
        ({"projects": {"a": None}, "at_once": 0}, "at_once: must be greater than or equal to 1"),
        ({}, "projects: is missing"),
    ],
)
def test_a_file_that_is_wrong_says_where(tmp_path: Path, document: dict[str, Any], said: str) -> None:
    fleet(tmp_path, document)
    result = commands.run(["fleet", "plan"], tmp_path, {})
    assert result.returncode == 2
    assert said in result.stderr


def test_a_project_that_is_wrong_has_a_problem_and_the_others_go_on(tmp_path: Path) -> None:
    fleet(tmp_path, {"projects": {"a": None, "b": None, "c": {"stage": "prdo"}}})
    (tmp_path / "a/mlops.yml").unlink()
    found = planned(tmp_path)["projects"]
    assert found["a"]["problem"] == "a/mlops.yml: no such file"
    assert found["b"]["problem"] == ""
    assert "unknown stage 'prdo'; did you mean prod?" in found["c"]["problem"]


@pytest.mark.parametrize(
    ("steps", "skipped", "code", "said"),
    [
        ([("release", "0", "done")], "", 0, "fleet: 1 of 1 released"),
        ([("test", "1", "a check failed")], "", 1, "fleet: 0 of 1 released | failed: a"),
        ([("release", "4", "ROLLED BACK")], "", 4, "fleet: 0 of 1 released | ROLLED BACK: a"),
        ([("release", "5", "PRODUCTION IN DOUBT")], "", 5, "fleet: 0 of 1 released | IN DOUBT: a"),
        ([("release", "", "agent lost")], "", 3, "fleet: 0 of 1 released | interrupted: a"),
        (
            [("release", "0", "done"), ("rollback", "0", "done")],
            "b failed",
            4,
            "fleet: 0 of 1 released | taken back: a",
        ),
        ([("release", "0", "done"), ("rollback", "3", "no")], "b failed", 5, "fleet: 0 of 1 released | IN DOUBT: a"),
        ([("package", "0", "done")], "it comes after b", 1, "fleet: 0 of 1 released | not begun: a"),
        ([], "", 1, "fleet: 0 of 1 released | not begun: a"),
    ],
)
def test_the_exit_code_says_how_the_whole_ended(
    tmp_path: Path, steps: list[tuple[str, str, str]], skipped: str, code: int, said: str
) -> None:
    fleet(tmp_path, {"projects": {"a": None}})
    noted = [{"step": step, "exit": ended, "verdict": verdict, "state": ""} for step, ended, verdict in steps]
    (tmp_path / "results.json").write_text(json.dumps({"projects": {"a": {"steps": noted, "skipped": skipped}}}))
    result = commands.run(["fleet", "report", "--results", "results.json"], tmp_path, {})
    assert result.returncode == code, result.stderr
    assert f"description={said}\n" in result.stdout
    assert (tmp_path / "reports/mlops-fleet.xml").is_file()
    assert said in (tmp_path / "reports/fleet/index.html").read_text()


def test_results_that_are_none_are_an_error(tmp_path: Path) -> None:
    fleet(tmp_path, {"projects": {"a": None}})
    (tmp_path / "results.json").write_text("[]")
    result = commands.run(["fleet", "report", "--results", "results.json"], tmp_path, {})
    assert result.returncode == 2
    assert "not the results of a fleet" in result.stderr
