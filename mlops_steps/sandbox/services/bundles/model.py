"""The bundles of a project on one node, and which of them is active."""

from __future__ import annotations

import os
import secrets
from pathlib import Path
from typing import Any

from mlops_steps.sandbox.node.archives import ArchiveStore
from mlops_steps.sandbox.node.errors import bad_request
from mlops_steps.sandbox.node.node import Node
from mlops_steps.sandbox.node.store import save_stream
from mlops_steps.sandbox.services.bundles.archive import BundleArchive


class BundleStore(ArchiveStore):
    """The bundles of one folder."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory, "bundle", "bundleId")

    def add(self, archive: BundleArchive, bundle_id: str, user: str, **more: Any) -> dict[str, Any]:
        """Moves a checked archive into the store; ``more`` goes into the record. Raises 409 for an id that is taken."""
        described = {"projectKey": archive.project_key, "exportManifest": archive.manifest, **more}
        return self.take(archive.path, bundle_id, user, **described)

    def open(self, bundle_id: str) -> BundleArchive:
        """The archive of a known bundle, not checked again. Raises 404."""
        record = self.get(bundle_id)
        return BundleArchive(self.archive_path(bundle_id), record["exportManifest"], {})


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
    if source.resolve().is_relative_to(node.site.dir):
        try:
            os.link(source, target)
            return target
        except OSError:
            pass
    with source.open("rb") as file:
        save_stream(file, target)
    return target
