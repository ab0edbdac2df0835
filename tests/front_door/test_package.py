from __future__ import annotations

import json
import re
import shutil
import zipfile
from pathlib import Path

import pytest

from mlops_steps.archive.contents import Damaged
from mlops_steps.config.bundle_ids import valid_bundle_id
from mlops_steps.dss import bundles
from mlops_steps.errors import CheckFailed, ConfigError
from tests.archive.archives import HARMFUL
from tests.front_door.conftest import Workspace


def test_a_bundle_is_exported_published_checked_and_recorded(workspace: Workspace) -> None:
    result = workspace.ok("package", BUILD_NUMBER="42", JOB_NAME="churn", GIT_COMMIT="c0ffee")
    record = workspace.record
    bundle = record["bundle"]
    assert re.fullmatch(r"000042-[0-9a-f]{8}", bundle["id"])
    assert record["build"] == {"number": "42", "job": "churn", "url": None, "commit": "c0ffee", "started_by": None}
    project = workspace.client("design").get_project(workspace.project)
    assert [item["bundleId"] for item in project.list_exported_bundles()["bundles"]] == [bundle["id"]]
    published = workspace.client("design").get_projectdeployer().get_project(workspace.project)
    assert [item["id"] for item in published.get_status().get_bundles()] == [bundle["id"]]
    archive = workspace.folder / "copy.zip"
    published.download_bundle_to_file(bundle["id"], str(archive))
    assert bundle["size"] == archive.stat().st_size
    assert [case.get("name") for case in result.report("package").iter("testcase")] == ["export", "publish", "archive"]
    assert result.properties("package")["sha256"] == bundle["sha256"]
    assert not list((workspace.folder / ".mlops").glob("bundle-*")), "the downloaded archive is left behind"


def test_run_again_for_the_same_build_it_makes_nothing_twice(workspace: Workspace) -> None:
    workspace.ok("package", BUILD_NUMBER="7")
    first = workspace.record["bundle"]
    result = workspace.ok("package", BUILD_NUMBER="7")
    assert workspace.record["bundle"]["sha256"] == first["sha256"]
    assert "exported already" in result.err
    assert "published already" in result.err
    project = workspace.client("design").get_project(workspace.project)
    assert len(project.list_exported_bundles()["bundles"]) == 1


def test_without_a_build_number_the_commit_gives_the_same_id_each_time(workspace: Workspace) -> None:
    workspace.ok("package", BUILD_NUMBER="")
    first = workspace.record["bundle"]["id"]
    workspace.ok("package", BUILD_NUMBER="")
    assert workspace.record["bundle"]["id"] == first
    assert re.fullmatch(r"\d{8}T\d{6}Z-[0-9a-f]{8}", first)


def test_the_release_notes_hold_the_commits_since_the_released_bundle(workspace: Workspace) -> None:
    workspace.released(1)
    workspace.variables(answer="42")
    workspace.ok("package", BUILD_NUMBER="2")
    project = workspace.client("design").get_project(workspace.project)
    newest = project.get_project_git().log(count=1)["entries"][0]
    item = next(b for b in project.list_exported_bundles()["bundles"] if b["bundleId"].startswith("000002-"))
    notes = item.get("releaseNotes") or item["exportManifest"]["releaseNotes"]
    assert notes.startswith("Changes since ")
    assert notes.count("\n- ") == 1
    assert newest["commitId"][:8] in notes


def test_an_unknown_project_is_one_clear_line(workspace: Workspace) -> None:
    result = workspace.run("package", "--project", "NOWHERE", BUILD_NUMBER="1")
    assert result.code == 3
    assert "Traceback" not in result.err
    assert "node 'design'" in result.err.splitlines()[0] or "node 'design'" in result.err
    assert "NOWHERE" in result.err
    assert not (workspace.folder / ".mlops" / "release.json").exists()


@pytest.mark.parametrize("bad", ["../x", "a/b", "", ".hidden", "x" * 101, "a..b", "ümlaut", "a b", "a\n"])
def test_names_that_would_leave_their_place_in_a_url_are_refused(bad: str) -> None:
    with pytest.raises(ConfigError):
        valid_bundle_id(bad)


def archive(path: Path, entries: dict[str, str]) -> Path:
    with zipfile.ZipFile(path, "w") as file:
        for name, content in entries.items():
            file.writestr(name, content)
    return path


GOOD = {"export-manifest.json": '{"originalProjectKey": "P"}', "project_config/params.json": "{}"}


def test_a_whole_archive_of_the_project_is_accepted(tmp_path: Path) -> None:
    assert bundles.check_archive(archive(tmp_path / "b.zip", GOOD), "P", "b")["originalProjectKey"] == "P"


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ({**GOOD, "export-manifest.json": '{"originalProjectKey": "Q"}'}, "is of project 'Q'"),
        ({**GOOD, "export-manifest.json": '{"projectKey": ["a\\nb"]}'}, "is of project"),
        ({**GOOD, "export-manifest.json": "[" * 100_000}, "is not JSON"),
        ({**GOOD, "export-manifest.json": "not json"}, "is not JSON"),
        ({**GOOD, "export-manifest.json": "[1]"}, "is not an object"),
        ({"export-manifest.json": "{}"}, r"no project_config/params\.json"),
        ({"project_config/params.json": "{}"}, r"no usable export-manifest\.json"),
        ({}, "no usable"),
    ],
)
def test_an_archive_of_something_else_is_refused(tmp_path: Path, entries: dict[str, str], message: str) -> None:
    with pytest.raises(CheckFailed, match=message):
        bundles.check_archive(archive(tmp_path / "b.zip", entries), "P", "b")


def test_a_cut_and_a_corrupted_archive_are_refused(tmp_path: Path) -> None:
    whole = archive(tmp_path / "b.zip", {**GOOD, "data": "x" * 10_000}).read_bytes()
    (tmp_path / "cut.zip").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(Damaged):
        bundles.check_archive(tmp_path / "cut.zip", "P", "b")
    damaged = bytearray(whole)
    damaged[whole.index(b"xxxx") + 50] ^= 0xFF
    (tmp_path / "damaged.zip").write_bytes(damaged)
    with pytest.raises(Damaged):
        bundles.check_archive(tmp_path / "damaged.zip", "P", "b")


@pytest.mark.parametrize("kind", ["parent", "link", "bomb", "more than announced", "hidden entry"])
def test_an_archive_that_could_do_harm_is_refused_and_nothing_is_left_behind(workspace: Workspace, kind: str) -> None:
    workspace.ok("package", "--bundle-id", "b1")
    [place] = [path for path in published_archives(workspace) if path.name == "b1.zip"]
    make, reason = HARMFUL[kind]
    place.unlink()
    place.write_bytes(make(workspace.project))
    shutil.rmtree(workspace.folder / ".mlops")
    result = workspace.run("package", "--bundle-id", "b1")
    assert result.code == 1, result.err
    [line] = [line for line in result.err.splitlines() if "bundle b1: the archive is refused: " in line]
    assert reason in line
    assert result.case("package", "archive").find("failure") is not None
    assert not (workspace.folder / ".mlops" / "release.json").exists()
    assert list((workspace.folder / ".mlops").iterdir()) == []


def published_archives(workspace: Workspace) -> list[Path]:
    """The archives of the project on the Project Deployer."""
    return list((workspace.sandbox.design.dir / "deployer").rglob(f"{workspace.project}/**/*.zip"))


def test_the_folder_of_the_record_is_made_before_the_archive_is_kept_beside_it(workspace: Workspace) -> None:
    workspace.configure()
    path = workspace.folder / "mlops.yml"
    path.write_text(json.dumps({**json.loads(path.read_text()), "record": "not/there/yet/release.json"}))
    workspace.ok("package", BUILD_NUMBER="1")
    workspace.ok("package", BUILD_NUMBER="1")  # and it may be there
    assert json.loads((workspace.folder / "not/there/yet/release.json").read_text())["bundle"]
