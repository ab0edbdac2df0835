"""What was rolled back is not released again, nor is another version of its commit, unless somebody gives a reason."""

from __future__ import annotations

import json
import shutil
import signal

import pytest

from tests.front_door.api_workspace import ApiWorkspace, api
from tests.front_door.conftest import Workspace, set_stage_variable
from tests.front_door.test_api_release import on_prod
from tests.front_door.test_api_release import released as service_released

__all__ = ["api"]


def rolled_back(workspace: Workspace) -> tuple[str, str]:
    """A bundle is live, and another one failed its smoke test; returns both."""
    first = workspace.released(1)
    set_stage_variable(workspace)
    second = workspace.tested(2, smoke="fail")
    assert workspace.run("release", "--stage", "prod").code == 4
    return first, second


def heal(workspace: Workspace) -> None:
    """Production is as it should be: the same bundle would pass now."""
    project = workspace.client("auto-prod").get_project(workspace.project)
    variables = project.get_variables()
    variables["local"] = {}
    project.set_variables(variables)


def tags(workspace: Workspace) -> list[str]:
    deployer = workspace.client("design").get_projectdeployer()
    found: list[str] = deployer.get_project(workspace.project).get_settings().get_raw()["tags"]
    return found


def lose_the_record(workspace: Workspace) -> None:
    """Another agent has only what was archived before the release."""
    record = workspace.record
    record["stages"].pop("prod", None)
    record.get("api_stages", {}).pop("prod", None)
    (workspace.folder / ".mlops" / "release.json").write_text(json.dumps(record))


@pytest.mark.parametrize("record", ["kept", "lost"])
def test_a_bundle_that_was_rolled_back_is_refused_until_it_is_forced(workspace: Workspace, record: str) -> None:
    first, second = rolled_back(workspace)
    heal(workspace)
    if record == "lost":
        lose_the_record(workspace)
    refused = workspace.run("release", "--stage", "prod")
    assert refused.code == 1, refused.err
    assert f"bundle {second} is quarantined: {second} was rolled back on auto-prod at " in refused.err
    assert "its smoke test" in refused.err or "TEST_SMOKE" in refused.err
    assert "--force 'why'" in refused.err
    assert refused.case("release-prod", "quarantine").find("failure") is not None
    assert workspace.live() == first
    planned = workspace.ok("plan", "--stage", "prod")
    assert f"refused now: bundle {second} is quarantined" in planned.out
    dry = workspace.run("release", "--stage", "prod", "--dry-run")
    assert dry.code == 1, dry.err
    forced = workspace.ok("release", "--stage", "prod", "--force", "the node was broken")
    assert workspace.live() == second
    noted = workspace.record["stages"]["prod"]["forced"]
    assert noted["reason"] == "the node was broken"
    assert noted["by"]
    assert second in noted["quarantine"]
    properties = forced.properties("release-prod")
    assert properties["forced_because"] == "the node was broken"
    assert properties["forced_by"] == noted["by"]
    assert second in properties["quarantine"]
    # It has proved itself, so nothing is left.
    assert tags(workspace) == []
    assert workspace.record["stages"]["prod"]["quarantined"] is None


def test_what_is_not_at_fault_may_be_released_again(workspace: Workspace) -> None:
    first = workspace.released(1, rate="0.1")
    second = workspace.released(2, rate="0.2")
    workspace.ok("rollback", "--stage", "prod", "--allow-again")
    assert workspace.live() == first
    assert workspace.record["stages"]["prod"]["quarantined"] is None
    workspace.ok("deploy", "--stage", "test")
    workspace.ok("test", "--stage", "test")
    workspace.ok("release", "--stage", "prod")
    assert workspace.live() == second


def test_another_bundle_of_the_same_commit_is_refused_and_one_of_another_is_not(workspace: Workspace) -> None:
    _, second = rolled_back(workspace)
    heal(workspace)
    shutil.rmtree(workspace.folder / ".mlops")
    for step in (("package",), ("deploy", "--stage", "test"), ("test", "--stage", "test")):
        workspace.ok(*step, BUILD_NUMBER="3")
    third = workspace.record["bundle"]["id"]
    refused = workspace.run("release", "--stage", "prod")
    assert refused.code == 1, refused.err
    assert f"{second} was rolled back" in refused.err
    assert f"bundle {third} is of the same commit" in refused.err
    fourth = workspace.released(4, note="another commit")
    assert workspace.live() == fourth
    assert len(tags(workspace)) == 1


def test_a_bundle_that_somebody_has_rolled_back_is_refused_wherever_the_record_is(workspace: Workspace) -> None:
    workspace.released(1)
    second = workspace.released(2, note="two")
    shutil.rmtree(workspace.folder / ".mlops")
    workspace.ok("rollback", "--stage", "prod")
    # Nothing knows the commit of what was rolled back, but its release notes do.
    assert tags(workspace)[0].split("|")[1:3] == [second, ""]
    for step in (("package",), ("deploy", "--stage", "test"), ("test", "--stage", "test")):
        workspace.ok(*step, BUILD_NUMBER="3")
    refused = workspace.run("release", "--stage", "prod")
    assert refused.code == 1, refused.err
    assert "rolled back on purpose" in refused.err
    # A rollback is never stopped, and what it makes live is not quarantined any more.
    workspace.ok("rollback", "--stage", "prod", "--to", second)
    assert workspace.live() == second
    assert second not in "".join(tag.split("|")[1] for tag in tags(workspace))


def test_who_may_force_a_freeze_may_force_this(workspace: Workspace) -> None:
    rolled_back(workspace)
    heal(workspace)
    workspace.configure(policy={"may_force": ["jane"]})
    build = {"BUILD_NUMBER": "2"}

    def started_by(user: str) -> dict[str, str]:
        return {**build, "MLOPS_STARTED_BY": json.dumps({"causes": [{"kind": "UserIdCause", "user": user}]})}

    command = ("release", "--stage", "prod", "--force", "urgent")
    for environment, words in ((build, "it is not known who has started"), (started_by("bob"), "bob may not force it")):
        refused = workspace.run(*command, **environment)
        assert refused.code == 1, refused.err
        assert words in refused.err
    workspace.ok(*command, **started_by("jane"))
    assert workspace.record["stages"]["prod"]["forced"]["by"] == "jane"


def test_a_release_that_a_person_or_a_node_has_ended_is_not_quarantined(workspace: Workspace) -> None:
    workspace.released(1)
    second = workspace.tested(2, note="two")
    faults = workspace.sandbox.nodes["auto-prod"].faults
    try:
        held = faults.add("late", seconds=600, operation="run scenario", count=1)
        process = workspace.start("release", "--stage", "prod")
        while not held.fired:
            assert process.poll() is None
        process.send_signal(signal.SIGTERM)
        assert workspace.finish(process).code == 143
    finally:
        faults.clear()
    workspace.ok("release", "--stage", "prod")
    assert workspace.live() == second


@pytest.mark.parametrize("record", ["kept", "lost"])
def test_a_version_of_a_service_is_refused_as_a_bundle_is(api: ApiWorkspace, record: str) -> None:
    service_released(api, "v1")
    api.deployed("v2")
    api.configure(api={"health_timeout": "2s"})
    with api.fault("update-fails", node="api-prod-2", message="no room"):
        assert api.run("api-release", "--stage", "prod").code == 4
    if record == "lost":
        lose_the_record(api)
    refused = api.run("api-release", "--stage", "prod")
    assert refused.code == 1, refused.err
    assert "version v2 is quarantined: v2 was rolled back on api-prod at " in refused.err
    assert "no room" in refused.err
    assert api.serving("api-prod") == on_prod("v1")
    api.ok("api-release", "--stage", "prod", "--force", "there is room now")
    assert api.serving("api-prod") == on_prod("v2")
    assert api.record["api_stages"]["prod"]["forced"]["reason"] == "there is room now"


@pytest.mark.parametrize("record", ["kept", "lost"])
@pytest.mark.parametrize("then", ["release", "recover"])
def test_a_kill_between_the_failure_and_the_restore_forgets_nothing(
    workspace: Workspace, then: str, record: str
) -> None:
    first = workspace.released(1)
    set_stage_variable(workspace)
    second = workspace.tested(2, smoke="fail")
    archived = workspace.record
    faults = workspace.sandbox.nodes["design"].faults
    try:
        held = faults.add(
            "late", seconds=600, operation="POST /project-deployer/deployments/*/actions/update", after=1, count=1
        )
        process = workspace.start("release", "--stage", "prod")
        while not held.fired:
            assert process.poll() is None
        process.send_signal(signal.SIGKILL)
        process.communicate()
    finally:
        faults.clear()
    if record == "lost":
        (workspace.folder / ".mlops" / "release.json").write_text(json.dumps(archived))
    ended = workspace.run(then, "--stage", "prod")
    assert ended.code == (4 if then == "release" else 0), ended.err
    assert workspace.live() == first
    lose_the_record(workspace)
    refused = workspace.run("release", "--stage", "prod")
    assert refused.code == 1, refused.err
    assert f"bundle {second} is quarantined" in refused.err
