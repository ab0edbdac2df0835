"""release on its bad days: the faults that the issue of a rollback is about, and what must be true after each."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mlops_steps.sandbox.site import Sandbox
from mlops_steps.version import __version__
from tests.front_door.conftest import Workspace, create_project, set_stage_variable
from tests.records import pending, unit


@pytest.fixture(scope="module")
def shared(steps_sandbox: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> tuple[Workspace, str, str]:
    """One project for all: its first bundle is live on production, the second has passed its tests."""
    create_project(steps_sandbox, "FAULTY")
    workspace = Workspace(tmp_path_factory.mktemp("faults"), steps_sandbox, "FAULTY")
    first = workspace.released(1)
    set_stage_variable(workspace)
    second = workspace.tested(2)
    return workspace, first, second


@pytest.fixture
def ready(shared: tuple[Workspace, str, str]) -> Iterator[tuple[Workspace, str, str]]:
    """The shared workspace with the first bundle live; put in order again at the end, whatever the test has done."""
    workspace, first, second = shared
    record = workspace.folder / ".mlops" / "release.json"
    kept = record.read_text()
    workspace.configure()
    yield workspace, first, second
    for node in workspace.sandbox.nodes.values():
        node.faults.clear()
    if workspace.live() != first or workspace.health() != "HEALTHY":
        workspace.configure()
        workspace.ok("rollback", "--stage", "prod", "--to", first)
    workspace.forget_quarantines()
    record.write_text(kept)


def fault(workspace: Workspace, node: str, kind: str, **settings: Any) -> None:
    workspace.sandbox.nodes[node].faults.add(kind, **settings)


def assert_restored(workspace: Workspace, bundle: str) -> None:
    assert workspace.live() == bundle
    assert workspace.health() == "HEALTHY"
    assert not pending(workspace.record, "prod")


@pytest.mark.parametrize(
    ("node", "kind", "settings", "words"),
    [
        ("auto-prod", "update-fails", {"message": "no room on the node"}, "no room on the node"),
        ("auto-prod", "update-fails", {"act": "after", "message": "after all"}, "after all"),
        ("auto-prod", "update-lies", {}, "OUT_OF_SYNC"),
        ("auto-prod", "health", {"health": "UNHEALTHY", "after": 1, "count": 9}, "UNHEALTHY"),
        ("auto-prod", "health", {"health": "WARNING", "after": 1, "count": 9}, "WARNING"),
        ("auto-prod", "health", {"health": "ERROR", "after": 1, "count": 9}, "ERROR"),
        ("auto-prod", "scenario-ends", {"outcome": "FAILED"}, "FAILED"),
        ("auto-prod", "scenario-ends", {"outcome": "ABORTED"}, "ABORTED"),
        ("auto-prod", "scenario-hangs", {}, "TIMED_OUT"),
        ("design", "future-never-ends", {}, "update of deployment"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_the_previous_bundle_is_live_healthy_and_named_after(
    ready: tuple[Workspace, str, str], node: str, kind: str, settings: dict[str, Any], words: str
) -> None:
    workspace, first, second = ready
    workspace.configure(release={"smoke_timeout": "4s", "timeout": "6s"})
    fault(workspace, node, kind, **settings)
    result = workspace.run("release", "--stage", "prod")
    assert result.code == 4, result.err
    assert_restored(workspace, first)
    suite = result.report("release-prod")
    failed = [
        case.get("name") for case in suite.iter("testcase") if len(case.findall("failure") + case.findall("error"))
    ]
    assert failed == ["smoke-test" if kind.startswith("scenario") else "deploy", "release"]
    assert words in result.err
    assert first in result.properties("release-prod")["live"]
    assert result.properties("release-prod")["bundle"] == second
    assert "Traceback" not in result.err


@pytest.mark.parametrize("operation", ["save settings", "start update", "run scenario"])
def test_a_lost_answer_has_no_second_effect(ready: tuple[Workspace, str, str], operation: str) -> None:
    workspace, _, second = ready
    deployment = workspace.client("design").get_projectdeployer().get_deployment("FAULTY-on-auto-prod")
    updates, runs = len(deployment.list_updates()), len(workspace.runs("auto-prod", "TEST_SMOKE"))
    node = "auto-prod" if operation == "run scenario" else "design"
    fault(workspace, node, "drop", operation=operation)  # it is done, and the answer is lost
    result = workspace.ok("release", "--stage", "prod")
    assert workspace.live() == second
    assert len(deployment.list_updates()) == updates + 1
    assert len(workspace.runs("auto-prod", "TEST_SMOKE")) == runs + 1
    assert "warning: " in result.err


@pytest.mark.parametrize("kind", ["future-lost", "future-without-result"])
def test_when_the_future_is_lost_the_history_tells_how_the_update_ended(
    ready: tuple[Workspace, str, str], kind: str
) -> None:
    workspace, _, second = ready
    fault(workspace, "design", kind)
    result = workspace.run("release", "--stage", "prod")
    assert (result.code, workspace.live()) == (0, second), result.err


def test_a_deployer_that_keeps_no_history_of_updates_will_do(ready: tuple[Workspace, str, str]) -> None:
    workspace, first, second = ready
    fault(workspace, "design", "error", operation="list updates", status=404, count="for ever")
    workspace.ok("release", "--stage", "prod")
    assert workspace.live() == second
    workspace.ok("rollback", "--stage", "prod")
    assert workspace.live() == first


def test_a_trigger_that_is_cancelled_is_fired_again(ready: tuple[Workspace, str, str]) -> None:
    workspace, _, second = ready
    fault(workspace, "auto-prod", "trigger-cancelled")
    workspace.ok("release", "--stage", "prod")
    assert workspace.live() == second


def test_when_the_node_is_gone_it_says_so_loudly_and_recover_puts_it_right(
    ready: tuple[Workspace, str, str],
) -> None:
    workspace, first, second = ready
    workspace.configure(release={"rollback_timeout": "5s", "timeout": "10s"}, http={"retries": 1, "max_wait": "1s"})
    # The node is gone for good as soon as the smoke test is asked for.
    fault(workspace, "auto-prod", "drop", act="before", operation="run scenario", count="for ever")
    fault(workspace, "auto-prod", "update-fails", after=1, count="for ever", message="the node cannot be reached")
    start = time.monotonic()
    result = workspace.run("release", "--stage", "prod")
    assert time.monotonic() - start < 40
    assert result.code == 5, result.err
    assert "PRODUCTION IN DOUBT: prod:" in result.err
    assert "next: run `mlops-steps recover --stage prod`" in result.err
    assert workspace.live() in (first, second)
    assert f"live now: bundle {workspace.live()}" in result.err, "the words must be true"
    assert unit(workspace.record, "prod")["phase"] == "in doubt"
    for node in workspace.sandbox.nodes.values():
        node.faults.clear()
    workspace.configure()
    recovered = workspace.ok("recover", "--stage", "prod")
    assert_restored(workspace, first)
    assert "recovered" in recovered.err


def test_when_the_nodes_cannot_be_asked_it_says_that_it_does_not_know(ready: tuple[Workspace, str, str]) -> None:
    workspace, _, _ = ready
    workspace.configure(release={"rollback_timeout": "4s", "timeout": "5s"}, http={"retries": 0, "max_wait": "1s"})
    fault(workspace, "auto-prod", "error", operation="list projects", after=1, count="for ever")
    result = workspace.run("release", "--stage", "prod")
    assert result.code == 5, result.err
    assert "live now: unknown (" in result.err


def test_nothing_was_changed_when_the_settings_could_not_be_saved(ready: tuple[Workspace, str, str]) -> None:
    workspace, first, _ = ready
    fault(
        workspace,
        "design",
        "error",
        operation="save settings",
        status=403,
        message="no right to deploy",
        count="for ever",
    )
    result = workspace.run("release", "--stage", "prod")
    assert result.code == 3, result.err
    assert "no right to deploy" in result.err
    assert workspace.live() == first
    assert not pending(workspace.record, "prod")
    assert "live now: bundle " + first in result.err


def test_with_rollback_off_a_failed_release_stays_and_is_loud(ready: tuple[Workspace, str, str]) -> None:
    workspace, _, second = ready
    workspace.configure(release={"rollback": "off"})
    fault(workspace, "auto-prod", "scenario-ends", outcome="FAILED")
    result = workspace.run("release", "--stage", "prod")
    assert result.code == 5
    assert "release.rollback is off" in result.err
    assert workspace.live() == second


def test_what_somebody_else_has_deployed_meanwhile_is_not_overwritten(ready: tuple[Workspace, str, str]) -> None:
    workspace, first, second = ready
    third = "somebody-elses"
    project = workspace.client("design").get_project("FAULTY")
    if third not in [item["bundleId"] for item in project.list_exported_bundles()["bundles"]]:
        project.export_bundle(third)
        project.publish_bundle(third)
    workspace.configure(release={"smoke_timeout": "20s"})
    fault(workspace, "auto-prod", "scenario-hangs")
    runs = len(workspace.runs("auto-prod", "TEST_SMOKE"))
    process = workspace.start("release", "--stage", "prod")
    deadline = time.monotonic() + 30
    while len(workspace.runs("auto-prod", "TEST_SMOKE")) == runs:
        assert time.monotonic() < deadline
        assert process.poll() is None, process.communicate()
        time.sleep(0.1)
    deployment = workspace.client("design").get_projectdeployer().get_deployment("FAULTY-on-auto-prod")
    settings = deployment.get_settings()
    settings.bundle_id = third
    settings.save()
    deployment.start_update().wait_for_result()
    workspace.client("auto-prod").get_project("FAULTY").get_scenario("TEST_SMOKE").abort()
    result = workspace.finish(process)
    assert result.code == 5, result.err
    assert "somebody else has set deployment FAULTY-on-auto-prod to bundle somebody-elses" in result.err
    assert workspace.live() == third
    assert first != second


def test_recover_without_a_record_goes_back_by_the_deployers_history(ready: tuple[Workspace, str, str]) -> None:
    workspace, first, second = ready
    fault(workspace, "auto-prod", "update-lies")
    deployment = workspace.client("design").get_projectdeployer().get_deployment("FAULTY-on-auto-prod")
    settings = deployment.get_settings()
    settings.bundle_id = second
    settings.save()
    deployment.start_update().wait_for_result()
    assert workspace.health() == "OUT_OF_SYNC"
    record = workspace.folder / ".mlops" / "release.json"
    kept = record.read_text()
    record.unlink()
    try:
        result = workspace.ok("recover", "--stage", "prod")
        assert "the record does not say how a release that was interrupted ended" in result.err
        assert workspace.live() == first
        assert workspace.health() == "HEALTHY"
    finally:
        record.write_text(kept)


def test_the_record_that_was_archived_before_the_change_restores_on_another_agent(
    ready: tuple[Workspace, str, str], tmp_path: Path
) -> None:
    workspace, first, second = ready
    record = workspace.folder / ".mlops" / "release.json"
    step = json.dumps({"step": "release", "library": __version__, "parameters": {"stage": "prod"}})
    workspace.ok("from-environment", "note", MLOPS_STEP=step)
    archived = record.read_text()
    noted = unit(workspace.record, "prod")
    assert (noted["phase"], noted["version"], noted["previous"]["version"]) == ("noted", second, first)
    assert workspace.live() == first

    # Its agent is lost in the smoke test, and this deployer keeps no history that names the bundle before.
    fault(workspace, "auto-prod", "scenario-hangs")
    process = workspace.start("release", "--stage", "prod")
    while process.poll() is None and workspace.record["stages"]["prod"]["units"]["auto-prod"]["phase"] != "verifying":
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    workspace.finish(process)
    assert workspace.live() == second
    for node in workspace.sandbox.nodes.values():
        node.faults.clear()
    fault(workspace, "design", "error", status=404, operation="list updates", count="for ever")
    fault(workspace, "auto-prod", "health", health="UNHEALTHY", count=2)
    elsewhere = Workspace(tmp_path, workspace.sandbox, workspace.project)
    (tmp_path / ".mlops").mkdir()
    (tmp_path / ".mlops" / "release.json").write_text(archived)
    recovered = elsewhere.ok("recover", "--stage", "prod")
    assert f"restoring {first}" in recovered.err
    assert_restored(elsewhere, first)


def test_what_an_agent_that_is_lost_has_made_live_stands_in_the_record_when_it_is_verified(
    ready: tuple[Workspace, str, str], tmp_path: Path
) -> None:
    workspace, _, second = ready
    step = json.dumps({"step": "release", "library": __version__, "parameters": {"stage": "prod"}})
    workspace.ok("from-environment", "note", MLOPS_STEP=step)
    archived = (workspace.folder / ".mlops" / "release.json").read_text()
    fault(workspace, "auto-prod", "scenario-hangs")
    process = workspace.start("release", "--stage", "prod")
    while process.poll() is None and workspace.record["stages"]["prod"]["units"]["auto-prod"]["phase"] != "verifying":
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    workspace.finish(process)
    for node in workspace.sandbox.nodes.values():
        node.faults.clear()
    elsewhere = Workspace(tmp_path, workspace.sandbox, workspace.project)
    (tmp_path / ".mlops").mkdir()
    (tmp_path / ".mlops" / "release.json").write_text(archived)
    assert f"nothing is pending on prod: bundle {second} " in elsewhere.ok("recover", "--stage", "prod").err
    known = unit(elsewhere.record, "prod")
    assert (known["phase"], known["version"], known["smoke_test"]["result"]) == ("live", second, "passed")
    assert known["deploy"]["result"] == "passed"


def test_a_change_that_was_noted_and_not_begun_leaves_nothing_pending(ready: tuple[Workspace, str, str]) -> None:
    workspace, first, second = ready
    step = json.dumps({"step": "release", "library": __version__, "parameters": {"stage": "prod"}})
    told = workspace.ok("from-environment", "note", MLOPS_STEP=step).out
    assert f"live=Live on prod before the release: bundle {first} " in told
    assert "archive=.mlops/release.json\n" in told
    assert "nothing is pending" in workspace.ok("recover", "--stage", "prod").err
    assert workspace.live() == first
    workspace.ok("release", "--stage", "prod")
    assert workspace.live() == second


def test_smoke_test_and_status_tell_without_changing(ready: tuple[Workspace, str, str]) -> None:
    workspace, first, _ = ready
    assert "SUCCESS" in workspace.ok("smoke-test", "--stage", "prod").err
    fault(workspace, "auto-prod", "scenario-ends", outcome="FAILED")
    failed = workspace.run("smoke-test", "--stage", "prod")
    assert failed.code == 1
    assert f"live now: bundle {first}" in failed.err
    fault(workspace, "auto-prod", "error", operation="list projects", count="for ever")
    status = workspace.run("status", "--json")
    rows = json.loads(status.out)
    assert status.code == 3
    assert rows[0]["problem"] is None
    assert "auto-prod" in rows[1]["infra"]
    assert rows[1]["problem"]


def test_deploy_to_the_release_stage_that_fails_is_in_doubt_and_recover_restores(
    ready: tuple[Workspace, str, str], tmp_path: Path
) -> None:
    workspace, first, _ = ready
    fault(workspace, "auto-prod", "health", health="UNHEALTHY", after=1, count=12)
    result = workspace.run("deploy", "--stage", "prod")
    assert result.code == 5, result.err
    assert "recover --stage prod" in result.err
    for node in workspace.sandbox.nodes.values():
        node.faults.clear()
    workspace.ok("recover", "--stage", "prod")
    assert_restored(workspace, first)


def test_a_full_disk_is_a_clear_error_before_anything_is_changed(ready: tuple[Workspace, str, str]) -> None:
    workspace, first, _ = ready
    folder = workspace.folder / ".mlops"
    kept = (folder / "release.json").read_text()
    (workspace.folder / "kept.json").write_text(kept)
    workspace.configure(http={"retries": 0})
    document = json.loads((workspace.folder / "mlops.yml").read_text())
    # A device that takes no byte: what a full disk does to the write of the record.
    document["record"] = "/dev/full/release.json"
    (workspace.folder / "mlops.yml").write_text(json.dumps(document))
    result = workspace.run("release", "--stage", "prod")
    assert result.code in (1, 2)
    assert "Traceback" not in result.err
    assert workspace.live() == first
