"""Archives that must be refused before anything of them is written, and those that must not."""

from __future__ import annotations

import io
import json
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path

import dataikuapi
import pytest
from dataikuapi.utils import DataikuException

from mlops_steps.sandbox.node.errors import DssError
from mlops_steps.sandbox.node.node import Node
from mlops_steps.sandbox.services.bundles.archive import check_archive, extract
from mlops_steps.sandbox.services.projects.model import create
from tests.archive.archives import HARMFUL


def bundle_with(path: Path, add: Callable[[zipfile.ZipFile], None] = lambda _archive: None) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("export-manifest.json", json.dumps({"originalProjectKey": "EVIL", "bundleId": "v1"}))
        archive.writestr("project_config/params.json", json.dumps({"name": "Evil", "settings": {}}))
        add(archive)
    return path


def entry(name: str, content: str = "x") -> Callable[[zipfile.ZipFile], None]:
    def add(archive: zipfile.ZipFile) -> None:
        archive.writestr(zipfile.ZipInfo(name), content)

    return add


def files_of(node: Node) -> list[str]:
    return sorted(str(found) for found in node.dir.rglob("*") if not found.is_dir())


@pytest.mark.parametrize("kind", HARMFUL)
def test_a_harmful_archive_is_refused_and_nothing_is_written(
    auto_test: dataikuapi.DSSClient, test_node: Node, kind: str
) -> None:
    make, reason = HARMFUL[kind]
    before = sorted(str(found) for found in test_node.dir.rglob("*"))
    with pytest.raises(DataikuException, match=f"The bundle archive is refused: .*{reason}") as refusal:
        auto_test.create_project_from_bundle_archive(io.BytesIO(make("EVIL")))
    assert "\n" not in str(refusal.value)
    assert sorted(str(found) for found in test_node.dir.rglob("*")) == before


def test_a_harmless_archive_is_accepted(tmp_path: Path) -> None:
    archive = check_archive(bundle_with(tmp_path / "v1.zip", entry("uploads/deep/er/file", "content")))
    extract(archive, tmp_path / "out")
    assert (tmp_path / "out/uploads/deep/er/file").read_text() == "content"
    assert archive.project_key == "EVIL"


def test_an_archive_that_would_grow_without_measure_is_refused(tmp_path: Path) -> None:
    def zeros(archive: zipfile.ZipFile) -> None:
        with archive.open("uploads/zeros", "w") as file:
            for _ in range(80):
                file.write(bytes(1024 * 1024))

    with pytest.raises(DssError, match="would become"):
        check_archive(bundle_with(tmp_path / "v1.zip", zeros))


@pytest.mark.parametrize("kind", HARMFUL)
def test_the_deployer_refuses_it_too(design: dataikuapi.DSSClient, design_node: Node, kind: str) -> None:
    make, reason = HARMFUL[kind]
    design.get_projectdeployer().list_infras()  # the deployer begins with the first request
    before = files_of(design_node)
    with pytest.raises(DataikuException, match=f"The bundle archive is refused: .*{reason}"):
        design.get_projectdeployer().upload_bundle(io.BytesIO(make("EVIL")))
    assert files_of(design_node) == before


def test_a_link_in_a_project_does_not_get_into_a_bundle(
    design: dataikuapi.DSSClient, design_node: Node, tmp_path: Path
) -> None:
    secret = tmp_path / "secret.txt"
    secret.write_text("not of this project")
    project = create(design_node, "LINKS", "Links")
    (project.config_dir / "link.json").symlink_to(secret)
    (project.config_dir / "folder").symlink_to(tmp_path)
    handle = design.get_project("LINKS")
    handle.export_bundle("v1")
    with handle.get_exported_bundle_archive_stream("v1") as stream, zipfile.ZipFile(io.BytesIO(stream.content)) as file:
        assert not [name for name in file.namelist() if "link" in name or "folder" in name or "secret" in name]


@pytest.mark.parametrize("cut", [0, 10, 200])
def test_a_damaged_archive_is_refused(auto_test: dataikuapi.DSSClient, tmp_path: Path, cut: int) -> None:
    whole = bundle_with(tmp_path / "v1.zip", entry("uploads/a", "content" * 100)).read_bytes()
    with pytest.raises(DataikuException, match="damaged or no zip archive"):
        auto_test.create_project_from_bundle_archive(io.BytesIO(whole[:cut]))


def test_a_flipped_byte_is_found(tmp_path: Path) -> None:
    path = tmp_path / "v1.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr("export-manifest.json", "{}")
        archive.writestr("project_config/params.json", "{}")
        archive.writestr("uploads/a", "untouched")
    path.write_bytes(path.read_bytes().replace(b"untouched", b"unTouched"))
    with pytest.raises(DssError, match="wrong checksum"):
        check_archive(path)


@pytest.mark.parametrize("missing", ["export-manifest.json", "project_config/params.json"])
def test_a_zip_that_is_no_bundle_is_refused(tmp_path: Path, missing: str) -> None:
    path = tmp_path / "v1.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for name in {"export-manifest.json", "project_config/params.json"} - {missing}:
            archive.writestr(name, "{}")
    with pytest.raises(DssError, match="not a bundle"):
        check_archive(path)


def test_memory_does_not_grow_with_the_archive(tmp_path: Path) -> None:
    def noise(archive: zipfile.ZipFile) -> None:
        with archive.open(zipfile.ZipInfo("uploads/big"), "w") as file:
            for number in range(48):
                file.write(bytes([number]) * 1024 * 1024)

    path = bundle_with(tmp_path / "v1.zip", noise)
    tracemalloc.start()
    try:
        extract(check_archive(path), tmp_path / "out")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert (tmp_path / "out/uploads/big").stat().st_size == 48 * 1024 * 1024
    assert peak < 12 * 1024 * 1024
