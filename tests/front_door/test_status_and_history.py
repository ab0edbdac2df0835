from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from mlops_steps.delivery import release_notes
from mlops_steps.delivery.evidence import version_before
from mlops_steps.delivery.record import Build
from mlops_steps.delivery.targets.base import LiveBundle as Live
from mlops_steps.delivery.targets.project_deployer import ProjectDeployerTarget
from mlops_steps.dss import updates
from mlops_steps.dss.deployments import Deployment, Health
from mlops_steps.dss.updates import PastUpdate
from mlops_steps.errors import NodeError
from mlops_steps.sandbox.site import Sandbox
from mlops_steps.steps import status
from mlops_steps.steps.status import StageStatus
from tests.front_door.conftest import Workspace, create_project


def past(started: int, status: str, bundle: str | None = None) -> PastUpdate:
    return PastUpdate(started, status, bundle)


def any_target() -> ProjectDeployerTarget:
    target = object.__new__(ProjectDeployerTarget)
    target.deployer = cast(Any, None)
    return target


LIVE = Live("auto-prod", "b3", Deployment("d", "auto-prod", "b3", "P", "P"), Health("UNHEALTHY"))


def before(
    monkeypatch: pytest.MonkeyPatch,
    past: list[PastUpdate],
    details: dict[int, dict[str, Any]],
    verdicts: dict[int, bool] | None = None,
) -> str | None:
    def tell(_deployer: object, _id: str, started: int) -> dict[str, Any]:
        if started not in details:
            raise NodeError("gone")
        return details[started]

    monkeypatch.setattr(updates, "history", lambda *_: past)
    monkeypatch.setattr(updates, "details", tell)
    monkeypatch.setattr(ProjectDeployerTarget, "verdicts", lambda _target: verdicts or {})
    return version_before(any_target(), LIVE, "b3")


def test_the_newest_successful_update_to_another_bundle_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    history = [
        past(4, "SUCCESS", "b3"),
        past(3, "ERROR", "bad"),
        past(2, "SUCCESS", "b2"),
        past(1, "SUCCESS", "b1"),
    ]
    assert before(monkeypatch, history, {}) == "b2"


def test_a_bundle_that_failed_its_smoke_test_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    history = [
        past(4, "SUCCESS", "b3"),
        past(3, "SUCCESS", "bad"),
        past(2, "SUCCESS", "b2"),
        past(1, "SUCCESS", "b1"),
    ]
    assert before(monkeypatch, history, {}, {3: False, 2: True}) == "b2"
    assert before(monkeypatch, history, {}, {2: False}) == "bad"


def test_a_list_without_bundles_is_made_up_for_by_the_details(monkeypatch: pytest.MonkeyPatch) -> None:
    history = [past(5, "SUCCESS"), past(4, "SUCCESS"), past(3, "WARNING"), past(2, "SUCCESS")]
    details: dict[int, dict[str, Any]] = {
        4: {"bundleId": "b3"},
        3: {"settings": {"bundleId": "b2"}},
        2: {"deploymentSettings": {"bundleId": "b1"}},
    }
    assert before(monkeypatch, history, details) == "b2"


def test_no_earlier_bundle_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    assert before(monkeypatch, [past(1, "SUCCESS", "b3"), past(0, "SUCCESS")], {0: {"settings": "odd"}}) is None
    assert version_before(any_target(), Live("auto-prod", None, None, None), "b3") is None


COMMITS = [{"id": "c2" * 10, "message": "second\nmore"}, {"id": "c1" * 10, "message": ""}]


def test_the_notes_list_what_is_new_and_tell_where_the_bundle_comes_from() -> None:
    text = release_notes.write(COMMITS, "c1" * 10, Build(number="7"))
    assert text.splitlines()[:2] == ["Changes since c1c1c1c1:", "- second (c2c2c2c2)"]
    assert release_notes.origin(text) == release_notes.Origin("c2" * 10, "7")


def test_the_notes_of_the_first_bundle_and_of_nothing_new() -> None:
    assert "- (no message) (c1c1c1c1)" in release_notes.write(COMMITS, None, Build())
    assert "- none" in release_notes.write(COMMITS, "c2" * 10, Build())
    assert release_notes.origin("anything\nelse") == release_notes.Origin()


def test_status_in_another_workspace_knows_the_bundle_from_the_nodes(workspace: Workspace) -> None:
    bundle = workspace.released(3)
    (workspace.folder / ".mlops" / "release.json").unlink()
    rows = json.loads(workspace.ok("status", "--json").out)
    assert [row["bundle"] for row in rows] == [bundle, bundle]
    assert [row["build"] for row in rows] == ["3", "3"]
    assert rows[1]["commit"].startswith(bundle.partition("-")[2])
    assert rows[0]["tested"] == "2 SUCCESS"
    assert rows[1]["since"]


@pytest.fixture
def alone(tmp_path: Path) -> Iterator[Workspace]:
    """A workspace with nodes of its own: what a test leaves there, a key say, no other test finds."""
    with Sandbox.open(tmp_path / "nodes") as sandbox:
        create_project(sandbox, "ALONE")
        yield Workspace(tmp_path, sandbox, "ALONE")


def test_status_masks_what_the_nodes_say_and_takes_terminal_escapes_away(alone: Workspace) -> None:
    key = alone.sandbox.nodes["design"].api_key
    escapes = "\x1b]0;title\x07\x1b[31m"
    project = alone.client("design").get_project(alone.project)
    project.export_bundle("odd", release_notes=f"Project commit: {escapes}{key}\nBuild: {escapes}{'7' * 180}{key}")
    project.publish_bundle("odd")
    alone.ok("deploy", "--stage", "test", "--bundle", "odd")
    row = json.loads(alone.ok("status", "--json").out)[0]
    assert row["bundle"] == "odd"
    assert row["commit"] == "********"
    assert row["build"] == "7" * 180 + "********"
    table = alone.ok("status").out
    assert "777********" in table
    assert not any(character in table for character in "\x1b\x07")
    assert not any(key[at : at + 8] in table for at in range(len(key) - 7))


def test_no_text_of_a_status_row_is_longer_than_a_line_can_be() -> None:
    long = "\x1b[31mx\n" * 10_000
    row = StageStatus("prod", "auto-prod", "b", long, "today", long, long, long)
    assert all(len(line) < 1_000 for line in status.table([row]).splitlines())
    assert len(status.table([row]).splitlines()) == 2
    shown = [value for value in status.as_dicts([row])[0].values() if value]
    assert all(len(value) <= 200 and "\x1b" not in value and "\n" not in value for value in shown)


def test_status_before_anything_is_deployed(workspace: Workspace) -> None:
    out = workspace.ok("status").out
    assert out.splitlines()[0].split() == [
        "stage", "infrastructure", "live", "health", "since", "commit", "build", "tested",
    ]  # fmt: skip
    assert all("nothing" in line for line in out.splitlines()[1:])


def test_a_smoke_test_where_nothing_is_live_says_so(workspace: Workspace) -> None:
    result = workspace.run("smoke-test", "--stage", "prod")
    assert result.code == 1
    assert "no bundle of project" in result.err


def test_a_rollback_where_nothing_is_deployed_changes_nothing(workspace: Workspace) -> None:
    result = workspace.run("rollback", "--stage", "prod")
    assert result.code == 1
    assert "has no deployment on auto-prod" in result.err


def test_the_first_stage_cannot_be_released_to(workspace: Workspace) -> None:
    workspace.tested(1)
    result = workspace.run("release", "--stage", "test")
    assert result.code == 2
    assert "test is the first stage" in result.err


def test_release_notes_may_be_off_and_the_id_may_be_chosen(workspace: Workspace) -> None:
    workspace.configure(package={"release_notes": "off"})
    workspace.ok("package", "--bundle-id", "my-own.1")
    assert workspace.record["bundle"]["id"] == "my-own.1"
    wrong = workspace.run("package", "--bundle-id", "../x")
    assert wrong.code == 2


@pytest.mark.parametrize("step", ["status", "package", "validate"])
def test_a_key_file_that_cannot_be_read_is_a_mistake_of_the_configuration_in_each_step(
    workspace: Workspace, step: str
) -> None:
    os.mkfifo(workspace.folder / "key")
    for name in [name for name in workspace.environment if name.endswith("_API_KEY")]:
        del workspace.environment[name]
        workspace.environment[f"{name}_FILE"] = str(workspace.folder / "key")
    result = workspace.run(step)
    assert result.code == 2, result.err
    assert "Traceback" not in result.err
