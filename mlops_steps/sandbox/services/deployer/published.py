"""Published projects: the bundles that may be deployed."""

from __future__ import annotations

import functools
import shutil
from pathlib import Path
from typing import Any, cast

from mlops_steps.sandbox.node.errors import bad_request, conflict, not_found
from mlops_steps.sandbox.node.node import Node
from mlops_steps.sandbox.node.store import milliseconds, now_ms, read_json, write_json
from mlops_steps.sandbox.services.bundles.archive import BundleArchive, check_archive
from mlops_steps.sandbox.services.bundles.model import BundleStore
from mlops_steps.sandbox.services.deployer.places import Places
from mlops_steps.sandbox.services.govern.model import Govern


class PublishedProjects:
    """The published projects of a deployer."""

    def __init__(self, node: Node) -> None:
        self.places = Places(node)

    def keys(self) -> list[str]:
        """The keys of all published projects."""
        return sorted(path.parent.name for path in (self.places.root / "projects").glob("*/project.json"))

    def settings(self, key: str) -> dict[str, Any]:
        """The settings of a published project. Raises 404."""
        settings = read_json(self.places.project(key) / "project.json")
        if settings is None:
            raise not_found(f"published project {key} does not exist on the Project Deployer")
        return cast(dict[str, Any], settings)

    def save(self, key: str, settings: dict[str, Any]) -> None:
        """Replaces the settings; the key stays. Raises 404."""
        with self.places.lock:
            self.settings(key)
            write_json(self.places.project(key) / "project.json", {**settings, "id": key})

    def create(self, key: str, name: str | None = None) -> None:
        """Creates a published project without bundles. Raises 400 and 409."""
        with self.places.lock:
            path = self.places.project(key) / "project.json"
            if path.exists():
                raise conflict(f"published project {key} already exists on the Project Deployer")
            write_json(path, {"id": key, "name": name or key, "tags": [], "permissions": [], "creationTime": now_ms()})

    def delete(self, key: str) -> None:
        """Deletes a published project with its bundles. Raises 404."""
        with self.places.lock:
            self.settings(key)
            shutil.rmtree(self.places.project(key))

    def bundles(self, key: str) -> BundleStore:
        """The bundles of a published project. Raises 404."""
        self.settings(key)
        return BundleStore(self.places.project(key) / "bundles")

    def packages(self, key: str) -> list[dict[str, Any]]:
        """The bundles as statuses list them, the newest first. Raises 404."""
        folder = self.bundles(key).dir
        stored = [path for path in folder.glob("*.json") if not path.name.startswith(".")]
        items = [_package(path, path.stat().st_mtime_ns) for path in stored]
        return sorted((dict(item) for item in items if item), key=lambda item: -int(item["publishedOn"]))

    def publish(
        self,
        staged: BundleArchive,
        key: str,
        bundle_id: str,
        user: str,
        name: str | None,
        standards: dict[str, Any] | None = None,
    ) -> dict[str, Any]:
        """Moves a checked archive into a published project, which is created when there is none. Raises 400, 409.

        ``standards`` is the report of Project Standards that comes with the bundle.
        """
        with self.places.lock:
            self.places.project(key)
            if key not in self.keys():
                self.create(key, name)
            notes = str(staged.manifest.get("releaseNotes") or "")
            record = self.bundles(key).add(
                staged, bundle_id, user, releaseNotes=notes, projectStandardsReport=standards
            )
        Govern(self.places.node).published(key, bundle_id, user)
        return {"publishedOn": record["addedOn"], "publishedBy": user, "publishedProjectKey": key}

    def upload(self, staged: Path, file_name: str, wanted_key: str | None, user: str) -> dict[str, Any]:
        """Takes an uploaded archive (it is moved), found harmless before. Raises 400 and 409."""
        try:
            archive = check_archive(staged)
            key = wanted_key or archive.project_key
            if key is None:
                raise bad_request("The bundle does not name its project: give projectKey")
            name = str(archive.params.get("name") or key)
            return self.publish(archive, key, archive.bundle_id(file_name), user, name)
        finally:
            staged.unlink(missing_ok=True)


@functools.lru_cache(maxsize=20_000)
def _package(path: Path, _changed: int) -> dict[str, Any]:
    """A bundle as statuses list it. Kept until its record changes: every status of a deployment lists all of them."""
    record = read_json(path)
    if record is None:
        return {}
    origin = record["exportManifest"].get("designNodeInfo") or {}
    return {
        "id": record["bundleId"],
        "name": record["bundleId"],
        "publishedOn": record["addedOn"],
        "publishedBy": record["addedBy"],
        "createdOn": milliseconds((record["exportManifest"].get("exportUserInfo") or {}).get("exportedOn")),
        "releaseNotes": record.get("releaseNotes", ""),
        "designNodeInfo": {"projectKey": record["projectKey"], **origin},
    }
