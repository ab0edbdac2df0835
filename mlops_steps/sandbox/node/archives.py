"""Zip archives: those of a folder, each with a record beside it, and how they are written and read."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

from mlops_steps.archive.contents import BadArchive, Damaged, check_entries
from mlops_steps.sandbox.node.errors import bad_request, conflict, not_found
from mlops_steps.sandbox.node.store import COPY_CHUNK, now_ms, read_json, safe_name, write_json

MAX_DOCUMENT = 64 * 1024 * 1024


class ArchiveStore:
    """The archives of one folder, as ``<id>.zip`` and ``<id>.json``. One exists when its record does.

    :param what: how messages call one of them.
    :param field: the field of the record that holds the id.
    """

    def __init__(self, directory: Path, what: str, field: str = "id") -> None:
        self.dir = directory
        self.what = what
        self.field = field

    def archive_path(self, identity: str) -> Path:
        """Where an archive is. Raises 400 for an id that can't be one."""
        return self.dir / f"{safe_name(identity, f'{self.what} id')}.zip"

    def _record_path(self, identity: str) -> Path:
        return self.dir / f"{safe_name(identity, f'{self.what} id')}.json"

    def has(self, identity: str) -> bool:
        """Whether there is an archive of this id."""
        return self._record_path(identity).is_file()

    def get(self, identity: str) -> dict[str, Any]:
        """The record of an archive. Raises 404."""
        record = read_json(self._record_path(identity))
        if record is None:
            raise not_found(f"{self.what} {identity} does not exist")
        return cast(dict[str, Any], record)

    def list(self) -> list[dict[str, Any]]:
        """The records in the order in which the archives came."""
        records = [read_json(path) for path in self.dir.glob("*.json") if not path.name.startswith(".")]
        return sorted((record for record in records if record), key=lambda record: record["addedOn"])

    def refuse_known(self, identity: str) -> None:
        """Raises 409 when there is an archive of this id, 400 when it can't be an id."""
        if self.has(identity):
            raise conflict(f"{self.what} {identity} already exists")

    def take(self, path: Path, identity: str, user: str, **more: Any) -> dict[str, Any]:
        """Moves a file into the store and returns its record, with ``more`` in it. Raises 409 for a known id."""
        self.refuse_known(identity)
        self.dir.mkdir(parents=True, exist_ok=True)
        place = self.archive_path(identity)
        with path.open("rb") as file:
            os.fsync(file.fileno())
        path.replace(place)
        record = {
            self.field: identity,
            "addedOn": self._after_the_last(),
            "addedBy": user,
            "size": place.stat().st_size,
            "sha256": file_sha256(place),
            **more,
        }
        write_json(self._record_path(identity), record)
        return record

    def update(self, identity: str, **changes: Any) -> dict[str, Any]:
        """Changes fields of a record. Raises 404."""
        record = {**self.get(identity), **changes}
        write_json(self._record_path(identity), record)
        return record

    def delete(self, identity: str) -> None:
        """Deletes an archive. Raises 404."""
        self.get(identity)
        self._record_path(identity).unlink()
        self.archive_path(identity).unlink(missing_ok=True)

    def _after_the_last(self) -> int:
        # Two archives of one millisecond must keep their order.
        known = self.list()
        return max(now_ms(), int(known[-1]["addedOn"]) + 1 if known else 0)


def file_sha256(path: Path) -> str:
    """The SHA-256 of a file, read in pieces."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(COPY_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def add_tree(
    archive: zipfile.ZipFile, folder: Path, name: str, wanted: Callable[[Path], bool] = lambda _path: True
) -> int:
    """Adds the regular files of a folder, in a stable order; returns their size in bytes. Links are left out."""
    size = 0
    for root, folders, files in os.walk(folder):
        folders.sort()
        for file in sorted(files):
            path = Path(root) / file
            inside = path.relative_to(folder)
            if path.is_symlink() or not path.is_file() or not wanted(inside):
                continue
            archive.write(path, f"{name}/{inside.as_posix()}")
            size += path.stat().st_size
    return size


@contextmanager
def refusing(what: str) -> Iterator[None]:
    """Turns what is wrong with an archive into an answer of 400. ``what`` is what it is an archive of."""
    try:
        yield
    except Damaged as error:
        raise bad_request(f"The {what} archive is damaged or no zip archive: {error}") from error
    except BadArchive as error:
        raise bad_request(f"The {what} archive is refused: {error}") from error


def read_document(archive: zipfile.ZipFile, name: str, what: str) -> Any:
    """A JSON file of the archive; ``None`` when it has none of this name. Raises 400 when it is not JSON."""
    info = archive.NameToInfo.get(name)
    if info is None:
        return None
    if info.file_size > MAX_DOCUMENT:
        raise bad_request(f"{name} of the {what} is larger than {MAX_DOCUMENT} bytes")
    try:
        return json.loads(archive.read(info))
    except (ValueError, RecursionError) as error:
        raise bad_request(f"{name} of the {what} is not JSON: {error}") from error


def unpack(path: Path, target: Path, what: str, wanted: Callable[[str], bool] = lambda _name: True) -> None:
    """Unpacks the ``wanted`` files of an archive that was checked into ``target``, in constant memory.

    Modes and times of the entries are ignored.
    """
    with refusing(what), zipfile.ZipFile(path) as source:
        check_entries(source, path.stat().st_size)
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
                raise bad_request(f"The {what} archive is damaged: {info.filename} has not the size it announces")
