"""``api-package`` through the front door, against the Design node and the API Deployer of the sandbox."""

from __future__ import annotations

import hashlib
import re
import zipfile
from pathlib import Path

import pytest

from mlops_steps.archive.contents import Damaged
from mlops_steps.dss import api_services
from mlops_steps.errors import CheckFailed
from tests.front_door.api_workspace import ApiWorkspace, api
from tests.front_door.conftest import Workspace

__all__ = ["api"]


def test_a_package_is_made_published_checked_and_recorded(api: ApiWorkspace) -> None:
    result = api.ok("api-package", BUILD_NUMBER="42", GIT_COMMIT="c0ffee")
    package = api.record["package"]
    assert re.fullmatch(r"000042-[0-9a-f]{8}", package["version"])
    assert package["endpoints"] == ["score", "greet"]
    assert api.record["bundle"] is None
    assert api.record["build"]["number"] == "42"
    assert (api.packages, api.versions) == ([package["version"]], [package["version"]])
    copy = api.folder / "copy.zip"
    api.client("design").get_apideployer().get_service(api.service).download_version_to_file(
        package["version"], str(copy)
    )
    assert (package["sha256"], package["size"]) == (hashlib.sha256(copy.read_bytes()).hexdigest(), copy.stat().st_size)
    assert [case.get("name") for case in result.report("api-package").iter("testcase")] == [
        "package",
        "publish",
        "archive",
    ]
    assert result.properties("api-package")["sha256"] == package["sha256"]
    assert not list((api.folder / ".mlops").glob("package-*")), "the downloaded archive is left behind"


def test_run_again_it_makes_nothing_twice_and_keeps_the_bundle_of_the_record(api: ApiWorkspace) -> None:
    api.ok("package", BUILD_NUMBER="7")
    api.ok("api-package", BUILD_NUMBER="7")
    first = api.record
    result = api.ok("api-package", BUILD_NUMBER="7")
    assert "made already" in result.err
    assert "published already" in result.err
    assert api.record == first
    assert first["bundle"]["id"] == first["package"]["version"]
    assert len(api.packages) == len(api.versions) == 1


@pytest.mark.parametrize("operation", ["create package", "publish package"])
@pytest.mark.parametrize("kind", ["drop", "html", "empty"])
def test_a_lost_answer_is_made_up_for_by_looking(api: ApiWorkspace, operation: str, kind: str) -> None:
    with api.fault(kind, operation=operation, act="after"):
        api.ok("api-package", "--version", "v1")
    assert (api.packages, api.versions) == (["v1"], ["v1"])
    assert api.record["package"]["version"] == "v1"


@pytest.mark.parametrize("operation", ["create package", "publish package"])
@pytest.mark.parametrize(("kind", "act"), [("drop", "before"), ("never", "after")])
def test_a_step_that_did_not_get_through_is_run_again(api: ApiWorkspace, operation: str, kind: str, act: str) -> None:
    api.configure(api={"package_timeout": "4s"})
    with api.fault(kind, operation=operation, act=act):
        result = api.run("api-package", "--version", "v1")
    assert result.code == 3, result.err
    assert not (api.folder / ".mlops" / "release.json").exists()
    api.configure()
    api.ok("api-package", "--version", "v1")
    assert (api.packages, api.versions) == (["v1"], ["v1"])


def test_a_damaged_download_is_repeated(api: ApiWorkspace) -> None:
    with api.fault("corrupted", operation="download version"):
        result = api.ok("api-package", "--version", "v1")
    assert "downloading it again" in result.err


def test_another_archive_under_the_same_version_is_refused(api: ApiWorkspace) -> None:
    api.ok("api-package", "--version", "v1")
    before = api.record
    deployer = api.client("design").get_apideployer().get_service(api.service)
    deployer.delete_version("v1")
    other = api.folder / "other.zip"
    api.client("design").get_project(api.project).get_api_service(api.service).download_package_to_file(
        "v1", str(other)
    )
    with zipfile.ZipFile(other, "a") as archive:
        archive.writestr("more.txt", "more")
    with other.open("rb") as file:
        deployer.import_version(file)
    result = api.run("api-package", "--version", "v1")
    assert result.code == 1
    assert "is not the one that this build made" in result.err
    assert result.case("api-package", "archive").find("failure") is not None
    assert api.record == before


def test_what_is_not_there_and_what_is_not_configured_are_one_clear_line(
    api: ApiWorkspace, workspace: Workspace
) -> None:
    api.configure(api={"service": "nowhere"})
    result = api.run("api-package", "--version", "v1")
    assert result.code == 3
    assert "nowhere" in result.err
    assert not (api.folder / ".mlops" / "release.json").exists()
    api.configure(api={"service": None, "stages": None})
    result = api.run("api-package")
    assert result.code == 2
    assert "no API service is configured" in result.err
    assert api.run("api-package", "--version", "../v1").code == 2


def archive(path: Path, **entries: str) -> Path:
    with zipfile.ZipFile(path, "w") as file:
        for name, content in entries.items():
            file.writestr(name.replace("_", "."), content)
    return path


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ({"package_json": '{"serviceId": "other"}'}, "its serviceId is 'other', not 's'"),
        ({"package_json": '{"serviceId": "s", "packageId": "v2"}'}, "its packageId is 'v2'"),
        ({"package_json": '{"serviceId": "s", "projectKey": "Q"}'}, "its projectKey is 'Q'"),
        ({"package_json": "[" * 100_000}, "is not JSON"),
        ({"package_json": "[1]"}, "is not an object"),
        ({}, "the archive is empty"),
    ],
)
def test_an_archive_of_something_else_is_refused(tmp_path: Path, entries: dict[str, str], message: str) -> None:
    with pytest.raises(CheckFailed, match=re.escape(message)):
        api_services.check_archive(archive(tmp_path / "p.zip", **entries), "P", "s", "v1")


def test_an_archive_that_says_nothing_of_its_service_must_be_whole_at_least(tmp_path: Path) -> None:
    path = archive(tmp_path / "p.zip", data_bin="x" * 10_000)
    assert api_services.check_archive(path, "P", "s", "v1") is False
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(Damaged):
        api_services.check_archive(path, "P", "s", "v1")
