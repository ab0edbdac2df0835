"""plan: exactly what a release would do, and a release that is held to it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.front_door.conftest import Workspace, set_stage_variable


def planned(workspace: Workspace, *options: str) -> dict[str, Any]:
    workspace.ok("plan", "--stage", "prod", *options)
    name = options[1] if options else "reports/plan-prod.json"
    found: dict[str, Any] = json.loads((workspace.folder / name).read_text())
    return found


def add_scenario(workspace: Workspace, name: str) -> None:
    definition = {"params": {"steps": [], "triggers": [], "reporters": []}}
    workspace.client("design").get_project(workspace.project).create_scenario(name, "step_based", definition)


def test_a_plan_says_what_the_release_does_and_is_empty_after_it(workspace: Workspace) -> None:
    result = workspace.run("plan", "--stage", "prod")
    assert result.code == 1
    assert "there is no bundle to release" in result.err

    add_scenario(workspace, "OLD_ONE")
    first = workspace.tested(1, rate="0.1")
    before = workspace.sandbox.nodes["auto-prod"].dir, workspace.record
    result = workspace.ok("plan", "--stage", "prod")
    assert f"auto-prod: create deployment {workspace.project}-on-auto-prod with bundle {first}" in result.out
    assert "if that fails: nothing was live: the deployment is disabled" in result.out
    assert "  then smoke test TEST_SMOKE on auto-prod\n" in result.out
    assert workspace.live() is None
    assert result.case("plan-prod", "plan").find("system-out") is not None
    assert workspace.record["bundle"] == before[1]["bundle"]
    assert workspace.record["stages"]["prod"]["units"] == {}

    workspace.ok("release", "--stage", "prod", "--plan", "reports/plan-prod.json")
    assert workspace.live() == first
    plan = planned(workspace)
    assert plan["empty"] is True
    assert [unit["action"] for unit in plan["release"]["units"]] == ["none"]
    assert "nothing to do" in workspace.ok("plan", "--stage", "prod").out

    workspace.client("design").get_project(workspace.project).get_scenario("OLD_ONE").delete()
    second = workspace.tested(2, rate="0.2")
    plan = planned(workspace, "--out", "plan.json")
    assert plan["empty"] is False
    assert "will be live" not in workspace.ok("plan", "--stage", "prod").err  # the plan says it
    assert plan["release"]["version"] == second
    assert plan["release"]["sha256"] == workspace.record["bundle"]["sha256"]
    assert plan["release"]["waves"] == [["auto-prod"]]
    assert plan["release"]["units"] == [
        {
            "infra": "auto-prod",
            "deployment": f"{workspace.project}-on-auto-prod",
            "action": "update",
            "live": first,
            "named": first,
            "enabled": True,
            "before": first,
        }
    ]
    changes = {(one["what"], one["kind"], one["name"]) for one in plan["consequences"]["changes"]}
    assert ("changed", "variables", "of the project") in changes
    assert ("removed", "scenario", "OLD_ONE") in changes
    assert plan["consequences"]["commits"]
    out = workspace.ok("plan", "--stage", "prod").out
    assert f"bundle {first} → bundle {second}" in out
    assert f"if that fails: back to bundle {first}" in out
    assert "disappears: scenario OLD_ONE" in out
    assert "approval: required, of anybody (automation: approval, default)" in out
    # Made again, it is the same plan.
    assert planned(workspace)["sha256"] == plan["sha256"]


def test_a_release_by_a_plan_refuses_what_has_changed_since(workspace: Workspace) -> None:
    first = workspace.released(1, rate="0.1")
    set_stage_variable(workspace)
    workspace.tested(2, rate="0.2")
    path = workspace.folder / "reports/plan-prod.json"
    plan = planned(workspace)

    # The settings.
    workspace.configure(release={"smoke_timeout": "31s"})
    result = workspace.run("release", "--stage", "prod", "--plan", str(path))
    assert result.code == 1
    assert "release.smoke_timeout was 30.0, and is 31.0 now; prod is untouched" in result.err
    assert result.case("release-prod", "plan").find("failure") is not None
    workspace.configure()

    # The file itself.
    path.write_text(path.read_text().replace('"enabled": true', '"enabled": false'))
    result = workspace.run("release", "--stage", "prod", "--plan", str(path))
    assert result.code == 2
    assert "the plan was changed after it was made" in result.err
    assert workspace.run("release", "--stage", "prod", "--plan", "none.json").code == 2
    assert workspace.run("release", "--stage", "test", "--plan", "mlops.yml").code == 2

    # What is live: a bundle of somebody else.
    assert planned(workspace)["sha256"] == plan["sha256"]
    record = (workspace.folder / ".mlops/release.json").read_text()
    third = workspace.released(3, rate="0.3")
    newer = (workspace.folder / ".mlops/release.json").read_text()
    (workspace.folder / ".mlops/release.json").write_text(record)
    result = workspace.run("release", "--stage", "prod", "--plan", str(path))
    assert result.code == 1
    assert f"bundle {first} was live on auto-prod when it was made, and bundle {third} is now" in result.err
    assert workspace.live() == third

    # The bundle.
    (workspace.folder / ".mlops/release.json").write_text(newer)
    fourth = workspace.tested(4, rate="0.4")
    result = workspace.run("release", "--stage", "prod", "--plan", str(path))
    assert result.code == 1
    assert f"the release record has bundle {fourth}" in result.err
    assert workspace.live() == third


def test_an_approval_after_a_plan_is_of_the_plan(workspace: Workspace) -> None:
    first = workspace.released(1)
    bundle = workspace.tested(2, rate="0.2")
    plan = planned(workspace)
    workspace.ok("approve", "--stage", "prod", "--by", "jane")
    approval = workspace.record["stages"]["prod"]["approval"]
    assert (approval["bundle"], approval["plan"]) == (bundle, plan["sha256"])

    # Held to it without being told so.
    workspace.configure(release={"rollback": "off"})
    result = workspace.run("release", "--stage", "prod")
    assert result.code == 1
    assert f"plan {plan['sha256'][:12]} does not hold any more: release.rollback was auto, and is off now" in result.err
    assert workspace.live() == first

    # Another plan is not approved by that.
    other = planned(workspace, "--out", "other.json")
    assert other["sha256"] != plan["sha256"]
    result = workspace.run("approve", "--stage", "prod")
    assert result.code == 1
    assert f"what jane approved was plan {plan['sha256'][:12]}, not plan {other['sha256'][:12]}" in result.err
    result = workspace.run("release", "--stage", "prod", "--plan", "other.json")
    assert result.code == 1
    assert f"but plan {plan['sha256'][:12]} was approved for prod" in result.err
    result = workspace.run("approve", "--stage", "prod", "--by", "jane", "--sha256", plan["sha256"])
    assert f"what jane approved was not plan {other['sha256'][:12]}" in result.err

    workspace.ok("approve", "--stage", "prod", "--by", "jane", "--sha256", other["sha256"])
    workspace.ok("release", "--stage", "prod")
    assert workspace.live() == bundle


@pytest.mark.parametrize("now", ["freeze"])
def test_a_freeze_stands_in_the_plan(workspace: Workspace, now: str) -> None:
    workspace.tested(1)
    freeze = {"name": now, "hours": "00:00-24:00", "timezone": "UTC"}
    workspace.configure(policy={"freezes": [freeze]})
    plan = planned(workspace)
    assert len(plan["refused"]) == 1
    assert f"freeze {now}" in plan["refused"][0]
    assert plan["release"]["policy"]["policy.freezes"]
