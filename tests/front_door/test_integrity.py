"""What was packaged is what is deployed and released, and nobody else reads what the steps write."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from tests.archive.archives import harmless
from tests.front_door.conftest import Result, Workspace
from tests.front_door.test_package import published_archives


def replace_archive(workspace: Workspace) -> None:
    """Somebody exchanges the bundle's archive on the Project Deployer by another good one of the project."""
    bundle = workspace.record["bundle"]["id"]
    [place] = [path for path in published_archives(workspace) if path.name == f"{bundle}.zip"]
    place.unlink()
    place.write_bytes(harmless(workspace.project))


def assert_stopped(result: Result, report: str) -> None:
    assert result.code == 1, result.err
    assert "the archive on the Project Deployer is not the one that was tested" in result.err
    assert result.case(report, "archive").find("failure") is not None


def test_an_archive_that_is_replaced_before_the_deployment_stops_it(workspace: Workspace) -> None:
    workspace.ok("package", BUILD_NUMBER="1")
    replace_archive(workspace)
    assert_stopped(workspace.run("deploy", "--stage", "test"), "deploy-test")
    assert workspace.live("auto-test") is None


def test_an_archive_that_is_replaced_after_the_tests_stops_the_release(workspace: Workspace) -> None:
    workspace.tested(1)
    replace_archive(workspace)
    assert_stopped(workspace.run("release", "--stage", "prod"), "release-prod")
    assert workspace.live() is None


def test_an_archive_that_is_replaced_between_two_runs_of_a_build_stops_the_second(workspace: Workspace) -> None:
    workspace.ok("package", BUILD_NUMBER="1")
    before = workspace.record
    replace_archive(workspace)
    result = workspace.run("package", BUILD_NUMBER="1")
    assert result.code == 1
    assert "is not the one that this build made" in result.err
    assert workspace.record == before


def test_with_a_lax_umask_too_nothing_is_for_everybody(workspace: Workspace) -> None:
    before = os.umask(0)
    try:
        workspace.ok("package", BUILD_NUMBER="1")
        workspace.ok("deploy", "--stage", "test")
        workspace.ok("test", "--stage", "test")
    finally:
        os.umask(before)
    places = [workspace.folder / ".mlops", workspace.folder / "reports"]
    found = [path for place in places for path in place.rglob("*")]
    assert len(found) >= 4
    assert [path for path in found if stat.S_IMODE(path.stat().st_mode) & 0o027] == []


def test_the_archive_that_is_checked_is_private_while_it_is_there(workspace: Workspace) -> None:
    seen: set[tuple[str, int]] = set()
    before = os.umask(0)
    try:
        process = workspace.start("package", BUILD_NUMBER="1")
        while process.poll() is None:
            for folder in Path(workspace.folder / ".mlops").glob("bundle-*"):
                try:
                    seen.add(("bundle", stat.S_IMODE(folder.stat().st_mode)))
                except OSError:
                    continue
        assert workspace.finish(process).code == 0
    finally:
        os.umask(before)
    assert seen == {("bundle", 0o700)}
