"""Bundle archives: what must hold before anything of one is written to a node, and how they are read."""

from __future__ import annotations

import json
import re
import shutil
import stat
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlops_steps.sandbox.core.errors import DssError, bad_request
from mlops_steps.sandbox.core.store import COPY_CHUNK

MANIFEST = "export-manifest.json"
PARAMS = "project_config/params.json"
MAX_ENTRIES = 500_000
MAX_DOCUMENT = 64 * 1024 * 1024
# Deflate reaches 1:1032 on zeros alone; real bundles stay far below this, and small archives may do as they like.
MAX_RATIO = 250
RATIO_FROM_BYTES = 64 * 1024 * 1024
MAX_COMPONENT_BYTES = 255
_FORBIDDEN = re.compile(r"[\x00-\x1f\x7f\\]")
_ARCHIVE_NAME = re.compile(r"(?:dss-bundle-(?P<key>[A-Z0-9_]+)-)?(?P<id>.+?)(?:\.zip)?", re.IGNORECASE)


@dataclass(frozen=True)
class BundleArchive:
    """An archive that was found whole and harmless."""

    path: Path
    manifest: dict[str, Any]
    params: dict[str, Any]

    @property
    def project_key(self) -> str | None:
        """The key of the project on the Design node, as far as the archive tells it."""
        for document in (self.manifest, self.params):
            for name in ("originalProjectKey", "projectKey"):
                if isinstance(document.get(name), str) and document[name]:
                    return str(document[name])
        return None

    def bundle_id(self, file_name: str) -> str:
        """The bundle's id: from the manifest, or from the name of the file when the manifest has none."""
        for document in (self.manifest, self.manifest.get("exportUserInfo")):
            if isinstance(document, dict) and isinstance(document.get("bundleId"), str) and document["bundleId"]:
                return str(document["bundleId"])
        name = Path(file_name).name
        if self.project_key:
            prefix = f"dss-bundle-{self.project_key}-"
            name = name[len(prefix) :] if name.lower().startswith(prefix.lower()) else name
        match = _ARCHIVE_NAME.fullmatch(name)
        return match.group("id") if match else name


def check_archive(path: Path) -> BundleArchive:
    """Reads the whole archive without writing anything.

    Raises :class:`DssError` (400) when it is no zip, is damaged, is no bundle, or could do harm: absolute paths,
    ``..``, links, devices, duplicate names, a name that is both file and folder, extreme compression, encryption.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            _check_entries(archive, path.stat().st_size)
            for info in archive.infolist():
                _read_through(archive, info)
            manifest = read_document(archive, MANIFEST)
            params = read_document(archive, PARAMS)
    except (zipfile.BadZipFile, zipfile.LargeZipFile, NotImplementedError, EOFError, OSError, ValueError) as error:
        raise bad_request(f"The bundle archive is damaged or no zip archive: {error}") from error
    if not isinstance(manifest, dict) or not isinstance(params, dict):
        raise bad_request(f"The archive is not a bundle: it has no {MANIFEST} or no {PARAMS}")
    return BundleArchive(path, manifest, params)


def read_document(archive: zipfile.ZipFile, name: str) -> Any:
    """A JSON file of the archive; ``None`` when it has none of this name. Raises 400 when it is not JSON."""
    info = archive.NameToInfo.get(name)
    if info is None:
        return None
    if info.file_size > MAX_DOCUMENT:
        raise bad_request(f"{name} of the bundle is larger than {MAX_DOCUMENT} bytes")
    try:
        return json.loads(archive.read(info))
    except ValueError as error:
        raise bad_request(f"{name} of the bundle is not JSON: {error}") from error


def extract(archive: BundleArchive, target: Path, wanted: Callable[[str], bool] = lambda _name: True) -> None:
    """Unpacks the ``wanted`` files of a checked archive into ``target``, in constant memory.

    Modes and times of the entries are ignored.
    """
    with zipfile.ZipFile(archive.path) as source:
        _check_entries(source, archive.path.stat().st_size)
        for info in source.infolist():
            if not wanted(info.filename):
                continue
            place = target / info.filename
            if info.is_dir():
                place.mkdir(parents=True, exist_ok=True)
                continue
            place.parent.mkdir(parents=True, exist_ok=True)
            with source.open(info) as packed, place.open("xb") as file:
                shutil.copyfileobj(packed, file, COPY_CHUNK)
            if place.stat().st_size != info.file_size:
                raise bad_request(f"The bundle archive is damaged: {info.filename} has not the size it announces")


def _check_entries(archive: zipfile.ZipFile, archive_size: int) -> None:
    infos = archive.infolist()
    if len(infos) > MAX_ENTRIES:
        raise bad_request(f"The bundle archive has {len(infos)} entries; at most {MAX_ENTRIES} are accepted")
    total = sum(info.file_size for info in infos)
    if total > RATIO_FROM_BYTES and total > MAX_RATIO * archive_size:
        raise _harmful(f"{archive_size} bytes would become {total} bytes")
    files: set[str] = set()
    folders: set[str] = set()
    for info in infos:
        _check_entry(info)
        name = info.filename.rstrip("/")
        folders.update(_parents(name))
        if info.is_dir():
            folders.add(name)
        elif name in files:
            raise _harmful(f"{name!r} is in it twice")
        else:
            files.add(name)
    both = files & folders
    if both:
        raise _harmful(f"{min(both)!r} is both a file and a folder")


def _check_entry(info: zipfile.ZipInfo) -> None:
    name = info.filename
    parts = name.rstrip("/").split("/")
    # zipfile cuts names at a NUL and turns separators; what the archive says is in orig_filename.
    if _FORBIDDEN.search(info.orig_filename) or _FORBIDDEN.search(name):
        raise _harmful(f"the name {name!r} has characters that are not accepted")
    if name.startswith("/") or re.match(r"[A-Za-z]:", name) or any(part in ("", ".", "..") for part in parts):
        raise _harmful(f"the path {name!r} leads out of the project")
    if any(len(part.encode("utf-8", "surrogateescape")) > MAX_COMPONENT_BYTES for part in parts):
        raise _harmful(f"the name {name[:60]!r}… is too long")
    kind = stat.S_IFMT(info.external_attr >> 16)
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        raise _harmful(f"{name!r} is a link or a device")
    if info.flag_bits & 0x1:
        raise _harmful(f"{name!r} is encrypted")


def _parents(name: str) -> Iterator[str]:
    position = name.find("/")
    while position != -1:
        yield name[:position]
        position = name.find("/", position + 1)


def _read_through(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> None:
    # zipfile compares the checksum at the end, and never gives more bytes than the entry announces.
    size = 0
    with archive.open(info) as packed:
        while chunk := packed.read(COPY_CHUNK):
            size += len(chunk)
    if size != info.file_size:
        raise bad_request(f"The bundle archive is damaged: {info.filename} has not the size it announces")


def _harmful(why: str) -> DssError:
    return bad_request(f"The bundle archive is refused: {why}")
