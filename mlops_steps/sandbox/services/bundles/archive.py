"""Bundle archives: what must hold before anything of one is written to a node, and how they are read."""

from __future__ import annotations

import json
import re
import shutil
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlops_steps.archive.contents import BadArchive, Damaged, check_entries, checked
from mlops_steps.sandbox.node.errors import bad_request
from mlops_steps.sandbox.node.store import COPY_CHUNK

MANIFEST = "export-manifest.json"
PARAMS = "project_config/params.json"
MAX_DOCUMENT = 64 * 1024 * 1024
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

    Raises :class:`DssError` (400) when it is no zip, is damaged, is no bundle, or could do harm
    (:mod:`mlops_steps.archive.contents`).
    """
    with _refusing(), checked(path) as archive:
        manifest = read_document(archive, MANIFEST)
        params = read_document(archive, PARAMS)
    if not isinstance(manifest, dict) or not isinstance(params, dict):
        raise bad_request(f"The archive is not a bundle: it has no {MANIFEST} or no {PARAMS}")
    return BundleArchive(path, manifest, params)


@contextmanager
def _refusing() -> Iterator[None]:
    try:
        yield
    except Damaged as error:
        raise bad_request(f"The bundle archive is damaged or no zip archive: {error}") from error
    except BadArchive as error:
        raise bad_request(f"The bundle archive is refused: {error}") from error


def read_document(archive: zipfile.ZipFile, name: str) -> Any:
    """A JSON file of the archive; ``None`` when it has none of this name. Raises 400 when it is not JSON."""
    info = archive.NameToInfo.get(name)
    if info is None:
        return None
    if info.file_size > MAX_DOCUMENT:
        raise bad_request(f"{name} of the bundle is larger than {MAX_DOCUMENT} bytes")
    try:
        return json.loads(archive.read(info))
    except (ValueError, RecursionError) as error:
        raise bad_request(f"{name} of the bundle is not JSON: {error}") from error


def extract(archive: BundleArchive, target: Path, wanted: Callable[[str], bool] = lambda _name: True) -> None:
    """Unpacks the ``wanted`` files of a checked archive into ``target``, in constant memory.

    Modes and times of the entries are ignored.
    """
    with _refusing(), zipfile.ZipFile(archive.path) as source:
        check_entries(source, archive.path.stat().st_size)
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
