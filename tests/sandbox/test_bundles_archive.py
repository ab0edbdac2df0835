"""Archives that must be refused before anything of them is written, and those that must not."""

from __future__ import annotations

import io
import json
import stat
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path

import dataikuapi
import pytest
from dataikuapi.utils import DataikuException

from mlops_steps.sandbox.bundles.archive import check_archive, extract
from mlops_steps.sandbox.core.errors import DssError
from mlops_steps.sandbox.core.node import Node


def bundle_with(path: Path, add: Callable[[zipfile.ZipFile], None] = lambda _archive: None) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("export-manifest.json", json.dumps({"originalProjectKey": "EVIL", "bundleId": "v1"}))
        archive.writestr("project_config/params.json", json.dumps({"name": "Evil", "settings": {}}))
        add(archive)
    return path


def entry(name: str, content: str = "x", mode: int = 0) -> Callable[[zipfile.ZipFile], None]:
    def add(archive: zipfile.ZipFile) -> None:
        info = zipfile.ZipInfo(name)
        info.external_attr = mode << 16
        archive.writestr(info, content)

    return add


def twice(archive: zipfile.ZipFile) -> None:
    archive.writestr("uploads/a", "1")
    with pytest.warns(UserWarning, match="Duplicate name"):
        archive.writestr("uploads/a", "2")


def file_and_folder(archive: zipfile.ZipFile) -> None:
    archive.writestr("uploads/a", "1")
    archive.writestr("uploads/a/b", "2")


HARMFUL = {
    "absolute": entry("/etc/passwd"),
    "drive": entry("C:/windows"),
    "parent": entry("uploads/../../../escaped"),
    "dot": entry("uploads/./a"),
    "empty part": entry("uploads//a"),
    "backslash": entry("uploads\\..\\a"),
    "control character": entry("uploads/a\nb"),
    "long name": entry("uploads/" + "a" * 300),
    "link": entry("uploads/link", "/etc/passwd", stat.S_IFLNK | 0o777),
    "device": entry("uploads/device", "", stat.S_IFCHR | 0o666),
    "pipe": entry("uploads/pipe", "", stat.S_IFIFO | 0o666),
    "twice": twice,
    "file and folder": file_and_folder,
}


@pytest.mark.parametrize("kind", HARMFUL)
def test_a_harmful_archive_is_refused_and_nothing_is_written(
    auto_test: dataikuapi.DSSClient, test_node: Node, tmp_path: Path, kind: str
) -> None:
    path = bundle_with(tmp_path / "v1.zip", HARMFUL[kind])
    before = sorted(str(found) for found in test_node.dir.rglob("*"))
    with path.open("rb") as file, pytest.raises(DataikuException, match="The bundle archive is refused"):
        auto_test.create_project_from_bundle_archive(file)
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


def test_an_entry_that_holds_more_than_it_announces_is_refused(tmp_path: Path) -> None:
    path = bundle_with(tmp_path / "v1.zip", entry("uploads/a", "0123456789" * 50))
    data = bytearray(path.read_bytes())
    # The size of the unpacked entry stands at offset 24 of its record in the directory of the archive.
    start = data.rfind(b"uploads/a") - 46
    assert data[start : start + 4] == b"PK\x01\x02"
    data[start + 24 : start + 28] = (10).to_bytes(4, "little")
    path.write_bytes(data)
    with pytest.raises(DssError, match="damaged"):
        check_archive(path)


def test_an_encrypted_archive_is_refused(tmp_path: Path) -> None:
    path = bundle_with(tmp_path / "v1.zip", entry("uploads/a"))
    data = bytearray(path.read_bytes())
    start = data.rfind(b"uploads/a") - 46
    data[start + 8] |= 1
    path.write_bytes(data)
    with pytest.raises(DssError, match="encrypted"):
        check_archive(path)


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
    with pytest.raises(DssError, match="Bad CRC"):
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
