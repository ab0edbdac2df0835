"""release, through the front door: exit code, report, record, and what the nodes themselves say is live."""

from __future__ import annotations

import json
import signal
import time
from pathlib import Path

import pytest

from mlops_steps.sandbox.site import Sandbox
from tests.front_door.conftest import Workspace, set_stage_variable
from tests.records import pending, unit


@pytest.fixture
def released(workspace: Workspace) -> tuple[Workspace, str]:
    """A workspace whose first bundle is live on production."""
    bundle = workspace.released(1)
    set_stage_variable(workspace)
    return workspace, bundle


def assert_rolled_back(workspace: Workspace, bundle: str) -> None:
    """The old bundle is live and healthy, and nothing is pending."""
    assert workspace.live() == bundle
    assert workspace.health() == "HEALTHY"
    assert unit(workspace.record, "prod")["phase"] == "restored"
    assert unit(workspace.record, "prod")["restore"]["result"] == "passed"


def test_the_first_release_says_that_there_is_nothing_to_return_to(workspace: Workspace) -> None:
    bundle = workspace.tested(1)
    result = workspace.ok("release", "--stage", "prod")
    assert "there is nothing to return to" in result.err
    assert workspace.live() == bundle
    assert workspace.health() == "HEALTHY"
    cases = [case.get("name") for case in result.report("release-prod").iter("testcase")]
    assert cases == ["gate", "archive", "DSS version", "variable stage", "deploy", "smoke-test"]
    assert len(workspace.runs("auto-prod", "TEST_SMOKE")) == 1


def test_released_again_it_does_nothing(released: tuple[Workspace, str]) -> None:
    workspace, _ = released
    runs = len(workspace.runs("auto-prod", "TEST_SMOKE"))
    result = workspace.ok("release", "--stage", "prod")
    assert "nothing to do" in result.err
    assert "will be live" not in result.err
    assert "nothing is live" not in result.err
    assert len(workspace.runs("auto-prod", "TEST_SMOKE")) == runs


def test_a_second_release_replaces_the_first(released: tuple[Workspace, str]) -> None:
    workspace, first = released
    second = workspace.released(2)
    assert second != first
    assert workspace.live() == second
    assert unit(workspace.record, "prod")["previous"]["version"] == first


def test_when_the_smoke_test_fails_the_previous_bundle_is_live_again(released: tuple[Workspace, str]) -> None:
    workspace, first = released
    second = workspace.tested(2, smoke="fail")
    result = workspace.run("release", "--stage", "prod")
    assert result.code == 4
    assert_rolled_back(workspace, first)
    assert result.err.count("\nrolled back: ") == 1
    assert f"bundle {first} on auto-prod (HEALTHY)" in result.err
    failure = result.case("release-prod", "smoke-test").find("failure")
    assert failure is not None
    assert "TEST_SMOKE" in (failure.get("message") or "")
    assert "the smoke test was told to fail" in (failure.text or "") + (failure.get("message") or "")
    assert result.case("release-prod", "rollback").find("failure") is None
    assert result.case("release-prod", "smoke-test after rollback").find("failure") is None
    properties = result.properties("release-prod")
    assert properties["bundle"] == second
    assert first in properties["live"]


def test_when_the_smoke_test_hangs_the_previous_bundle_is_live_again(released: tuple[Workspace, str]) -> None:
    workspace, first = released
    workspace.tested(2, smoke="hang")
    workspace.configure(release={"smoke_timeout": "3s"})
    start = time.monotonic()
    result = workspace.run("release", "--stage", "prod")
    assert result.code == 4
    assert "TIMED_OUT" in result.err
    assert time.monotonic() - start < 45
    assert_rolled_back(workspace, first)
    assert workspace.runs("auto-prod", "TEST_SMOKE")[0]["result"]["outcome"] == "SUCCESS"


def test_when_the_update_fails_the_previous_bundle_stays_live(
    released: tuple[Workspace, str], steps_sandbox: Sandbox
) -> None:
    workspace, first = released
    name = f"only-{workspace.project}".lower()
    for node in ("design", "auto-test"):
        path = steps_sandbox.nodes[node].config_dir / "connections.json"
        connections = json.loads(path.read_text())
        connections[name] = {**connections["filesystem_managed"], "name": name}
        path.write_text(json.dumps(connections))
    project = workspace.client("design").get_project(workspace.project)
    project.create_dataset("elsewhere", "Filesystem", params={"connection": name, "path": "/x"})
    workspace.configure(compare={"at_release": "off"})
    workspace.tested(2)
    result = workspace.run("release", "--stage", "prod")
    assert result.code == 4
    assert name in result.err
    assert_rolled_back(workspace, first)
    assert result.case("release-prod", "deploy").find("failure") is not None


def test_when_the_first_release_fails_what_was_created_is_disabled(workspace: Workspace) -> None:
    workspace.variables(smoke="fail")
    workspace.ok("package", BUILD_NUMBER="1")
    workspace.ok("deploy", "--stage", "test")
    workspace.ok("test", "--stage", "test")
    # The project must know that it is on production before it is there: the smoke test reads a global variable too.
    path = workspace.sandbox.nodes["auto-prod"].config_dir / "variables.json"
    before = path.read_text()
    path.write_text(json.dumps({"stage": "prod"}))
    try:
        result = workspace.run("release", "--stage", "prod")
    finally:
        path.write_text(before)
    assert result.code == 4
    assert "is disabled" in result.err
    deployer = workspace.client("design").get_projectdeployer()
    settings = deployer.get_deployment(f"{workspace.project}-on-auto-prod").get_settings().get_raw()
    assert settings["enabled"] is False
    assert not pending(workspace.record, "prod")


def test_a_bundle_whose_tests_failed_is_refused(workspace: Workspace) -> None:
    workspace.variables(test="fail")
    workspace.ok("package", BUILD_NUMBER="1")
    workspace.ok("deploy", "--stage", "test")
    assert workspace.run("test", "--stage", "test").code == 1
    result = workspace.run("release", "--stage", "prod")
    assert result.code == 1
    assert "has not passed its tests on stage test" in result.err
    assert workspace.live() is None
    assert result.case("release-prod", "gate").find("failure") is not None


def test_a_bundle_that_was_replaced_on_the_deployer_is_refused(workspace: Workspace, tmp_path: Path) -> None:
    bundle = workspace.tested(1)
    design = workspace.client("design")
    project = design.get_project(workspace.project)
    deployer = design.get_projectdeployer()
    workspace.variables(replaced="yes")
    # Another archive under the same id, as somebody with rights on the deployer could bring it there.
    project.delete_exported_bundle(bundle)
    project.export_bundle(bundle)
    archive = tmp_path / "other.zip"
    project.download_exported_bundle_archive_to_file(bundle, str(archive))
    deployment = deployer.get_deployment(f"{workspace.project}-on-auto-test")
    deployment.get_settings().get_raw()
    _replace_published(workspace, bundle, archive)
    result = workspace.run("release", "--stage", "prod")
    assert result.code == 1
    assert "is not the one that was tested" in result.err
    assert workspace.live() is None


def _replace_published(workspace: Workspace, bundle: str, archive: Path) -> None:
    folder = workspace.sandbox.nodes["design"].dir / "deployer"
    found = [path for path in folder.rglob(f"{bundle}*.zip") if workspace.project in str(path)]
    assert len(found) == 1, found
    found[0].write_bytes(archive.read_bytes())


def test_a_dry_run_changes_nothing(workspace: Workspace) -> None:
    bundle = workspace.tested(1)
    result = workspace.ok("release", "--stage", "prod", "--dry-run")
    assert f"will be live: bundle {bundle}" in result.err
    assert "dry run: nothing was changed" in result.err
    assert workspace.live() is None
    assert workspace.client("design").get_projectdeployer().list_deployments(as_objects=False) is not None
    assert "prod" not in workspace.record["stages"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_during_the_smoke_test_restores_and_ends_with_its_code(
    released: tuple[Workspace, str], number: signal.Signals
) -> None:
    workspace, first = released
    workspace.tested(2, smoke="hang")
    runs = len(workspace.runs("auto-prod", "TEST_SMOKE"))
    process = workspace.start("release", "--stage", "prod")
    deadline = time.monotonic() + 60
    while len(workspace.runs("auto-prod", "TEST_SMOKE")) == runs:
        assert time.monotonic() < deadline
        assert process.poll() is None, process.communicate()
        time.sleep(0.1)
    process.send_signal(number)
    time.sleep(0.5)
    process.send_signal(signal.SIGTERM)  # Jenkins sends a second one
    result = workspace.finish(process)
    assert result.code == 128 + number, result.err
    assert_rolled_back(workspace, first)
    assert first in result.properties("release-prod")["live"]


def test_after_a_kill_recover_restores_and_a_second_recover_has_nothing_to_do(
    released: tuple[Workspace, str],
) -> None:
    workspace, first = released
    workspace.tested(2, smoke="hang")
    runs = len(workspace.runs("auto-prod", "TEST_SMOKE"))
    process = workspace.start("release", "--stage", "prod")
    deadline = time.monotonic() + 60
    while len(workspace.runs("auto-prod", "TEST_SMOKE")) == runs:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert workspace.live() != first
    assert unit(workspace.record, "prod")["phase"] == "verifying"
    result = workspace.ok("recover", "--stage", "prod")
    assert_rolled_back(workspace, first)
    assert "recovered" in result.err
    again = workspace.ok("recover", "--stage", "prod")
    assert "nothing is pending" in again.err


def test_rollback_goes_to_the_bundle_before_and_to_a_chosen_one(released: tuple[Workspace, str]) -> None:
    workspace, first = released
    second = workspace.released(2)
    workspace.ok("rollback", "--stage", "prod")
    assert workspace.live() == first
    workspace.ok("rollback", "--stage", "prod", "--to", second)
    assert workspace.live() == second
    (workspace.folder / ".mlops" / "release.json").unlink()
    workspace.ok("rollback", "--stage", "prod")  # by the deployer's history
    assert workspace.live() == first
    unknown = workspace.run("rollback", "--stage", "prod", "--to", "nowhere")
    assert unknown.code == 1
    assert second in unknown.err
    assert workspace.live() == first


def test_status_tells_what_is_live_where(released: tuple[Workspace, str]) -> None:
    workspace, first = released
    rows = json.loads(workspace.ok("status", "--json").out)
    assert [(row["stage"], row["bundle"], row["health"]) for row in rows] == [
        ("test", first, "HEALTHY"),
        ("prod", first, "HEALTHY"),
    ]
    assert rows[1]["tested"] == "passed on test"
    assert rows[1]["build"] == "1"
    table = workspace.ok("status").out
    assert first in table
    assert "HEALTHY" in table


def test_the_names_of_the_tests_are_the_same_in_two_builds(released: tuple[Workspace, str]) -> None:
    workspace, _ = released

    def names() -> dict[str, list[tuple[str | None, str | None]]]:
        found = {}
        for step in ("package", "deploy-test", "test-test", "release-prod"):
            suite = workspace.ok("status").report(step)
            found[step] = [(case.get("classname"), case.get("name")) for case in suite.iter("testcase")]
        return found

    before = names()
    workspace.released(2)
    assert names() == before
