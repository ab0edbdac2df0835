"""The bundles of a project on one node, and which of them is active."""

from __future__ import annotations

import hashlib
import os
import secrets
from pathlib import Path
from typing import Any, cast

from mlops_steps.sandbox.node.errors import bad_request, conflict, not_found
from mlops_steps.sandbox.node.node import Node
from mlops_steps.sandbox.node.store import COPY_CHUNK, now_ms, read_json, safe_name, save_stream, write_json
from mlops_steps.sandbox.services.bundles.archive import BundleArchive

ACTIVE_FILE = ".active-bundle.json"


def active_bundle_id(node: Node, key: str) -> str | None:
    """The id of the bundle that is active in a project; ``None`` when there is none."""
    bundle_id = active_bundle(node, key).get("bundleId")
    return str(bundle_id) if bundle_id else None


def active_bundle(node: Node, key: str) -> dict[str, Any]:
    """``bundleId``, ``activatedOn`` (milliseconds) and ``activatedBy``; ``{}`` when no bundle is active."""
    return cast(dict[str, Any], read_json(node.project_dir(key) / ACTIVE_FILE, {}))


class BundleStore:
    """Archives with a record beside each: ``<id>.zip`` and ``<id>.json``. A bundle exists when its record does."""

    def __init__(self, directory: Path) -> None:
        self.dir = directory

    def archive_path(self, bundle_id: str) -> Path:
        """Where the archive of a bundle is. Raises 400 for an id that can't be one."""
        return self.dir / f"{safe_name(bundle_id, 'bundle id')}.zip"

    def _record_path(self, bundle_id: str) -> Path:
        return self.dir / f"{safe_name(bundle_id, 'bundle id')}.json"

    def has(self, bundle_id: str) -> bool:
        """Whether there is a bundle of this id."""
        return self._record_path(bundle_id).is_file()

    def get(self, bundle_id: str) -> dict[str, Any]:
        """The record of a bundle. Raises 404."""
        record = read_json(self._record_path(bundle_id))
        if record is None:
            raise not_found(f"bundle {bundle_id} does not exist")
        return cast(dict[str, Any], record)

    def list(self) -> list[dict[str, Any]]:
        """The records of all bundles in the order in which they came."""
        records = [read_json(path) for path in self.dir.glob("*.json") if not path.name.startswith(".")]
        return sorted((record for record in records if record), key=lambda record: record["addedOn"])

    def refuse_known(self, bundle_id: str) -> None:
        """Raises 409 when there is a bundle of this id, 400 when it can't be an id."""
        if self.has(bundle_id):
            raise conflict(f"bundle {bundle_id} already exists")

    def add(self, archive: BundleArchive, bundle_id: str, user: str, **more: Any) -> dict[str, Any]:
        """Moves a checked archive into the store; ``more`` goes into the record. Raises 409 for an id that is taken."""
        self.refuse_known(bundle_id)
        self.dir.mkdir(parents=True, exist_ok=True)
        place = self.archive_path(bundle_id)
        with archive.path.open("rb") as file:
            os.fsync(file.fileno())
        archive.path.replace(place)
        record = {
            "bundleId": bundle_id,
            "addedOn": self._after_the_last(),
            "addedBy": user,
            "size": place.stat().st_size,
            "sha256": file_sha256(place),
            "projectKey": archive.project_key,
            "exportManifest": archive.manifest,
            **more,
        }
        write_json(self._record_path(bundle_id), record)
        return record

    def update(self, bundle_id: str, **changes: Any) -> dict[str, Any]:
        """Changes fields of a record. Raises 404."""
        record = {**self.get(bundle_id), **changes}
        write_json(self._record_path(bundle_id), record)
        return record

    def delete(self, bundle_id: str) -> None:
        """Deletes a bundle. Raises 404."""
        self.get(bundle_id)
        self._record_path(bundle_id).unlink()
        self.archive_path(bundle_id).unlink(missing_ok=True)

    def open(self, bundle_id: str) -> BundleArchive:
        """The archive of a known bundle, not checked again. Raises 404."""
        record = self.get(bundle_id)
        return BundleArchive(self.archive_path(bundle_id), record["exportManifest"], {})

    def _after_the_last(self) -> int:
        # Two bundles of one millisecond must keep their order.
        known = self.list()
        return max(now_ms(), int(known[-1]["addedOn"]) + 1 if known else 0)


def exported(node: Node, key: str) -> BundleStore:
    """The bundles of a project on a Design node."""
    return BundleStore(node.bundles_dir(key))


def imported(node: Node, key: str) -> BundleStore:
    """The bundles that were imported on an Automation node."""
    return BundleStore(node.bundles_dir(key))


def staged_copy(node: Node, source: Path) -> Path:
    """A copy of ``source`` in the node's scratch space, which nobody changes while it is checked. Raises 400.

    A file of the sandbox itself is linked: archives in its stores are never written again.
    """
    if not source.is_file():
        raise bad_request(f"There is no bundle archive at {source} on node {node.id}")
    target = node.tmp_dir / f"{secrets.token_hex(8)}.zip"
    if source.resolve().is_relative_to(node.sandbox.dir):
        try:
            os.link(source, target)
            return target
        except OSError:
            pass
    with source.open("rb") as file:
        save_stream(file, target)
    return target


def file_sha256(path: Path) -> str:
    """The SHA-256 of a file, read in pieces."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(COPY_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()
