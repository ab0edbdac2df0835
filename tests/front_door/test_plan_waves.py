"""plan, and compare, of a stage of several infrastructures."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mlops_steps.sandbox.site import Sandbox
from tests.front_door.many import ManyWorkspace, new_workspace

WAVES = (("eu",), ("us", "ap"))


@pytest.fixture
def workspace(many_sandbox: Sandbox, tmp_path: Path) -> ManyWorkspace:
    found = new_workspace(many_sandbox, tmp_path)
    found.many(WAVES, rollout={"soak": "1s"})
    return found


def test_the_plan_has_a_unit_for_each_and_the_release_is_held_to_it(workspace: ManyWorkspace) -> None:
    first = workspace.tested(1)
    out = workspace.ok("plan", "--stage", "prod").out
    assert "wave 1: 1 infrastructures" in out
    assert "wave 2 (after 1s): 2 infrastructures" in out
    for place in workspace.places:
        assert f"auto-{place}: create deployment {workspace.project}-on-auto-{place} with bundle {first}" in out
    plan = json.loads((workspace.folder / "reports/plan-prod.json").read_text())
    assert plan["release"]["waves"] == [["auto-eu"], ["auto-us", "auto-ap"]]

    # What is in the way on one is found beforehand, and on which.
    workspace.ok("compare")
    classes = {case.get("classname") for case in workspace.run("compare").report("compare").iter("testcase")}
    assert {f"{workspace.project}.compare.prod.{place}" for place in workspace.places} <= classes

    workspace.many(WAVES, rollout={"soak": "2s"})
    result = workspace.run("release", "--stage", "prod", "--plan", "reports/plan-prod.json")
    assert result.code == 1
    assert "nodes.prod.rollout.soak was 1.0, and is 2.0 now" in result.err
    assert set(workspace.all_live().values()) == {None}

    workspace.many(WAVES, rollout={"soak": "1s"})
    workspace.ok("release", "--stage", "prod", "--plan", "reports/plan-prod.json")
    assert set(workspace.all_live().values()) == {first}
    assert "nothing to do" in workspace.ok("plan", "--stage", "prod").out
    plan = json.loads((workspace.folder / "reports/plan-prod.json").read_text())
    assert plan["empty"] is True
