"""Published services: the versions that may be deployed."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any, cast

from mlops_steps.sandbox.node.archives import ArchiveStore
from mlops_steps.sandbox.node.errors import conflict, not_found
from mlops_steps.sandbox.node.node import Node
from mlops_steps.sandbox.node.store import now_ms, read_json, write_json
from mlops_steps.sandbox.services.api_deployer.places import Places
from mlops_steps.sandbox.services.api_services.packages import Package, check_package


class PublishedServices:
    """The published services of an API Deployer."""

    def __init__(self, node: Node) -> None:
        self.places = Places(node)

    def ids(self) -> list[str]:
        """The ids of all published services."""
        return sorted(path.parent.name for path in (self.places.root / "services").glob("*/service.json"))

    def settings(self, service_id: str) -> dict[str, Any]:
        """The settings of a published service. Raises 404."""
        settings = read_json(self.places.service(service_id) / "service.json")
        if settings is None:
            raise not_found(f"service {service_id} does not exist on the API Deployer")
        return cast(dict[str, Any], settings)

    def save(self, service_id: str, settings: dict[str, Any]) -> None:
        """Replaces the settings; the id stays. Raises 404."""
        with self.places.lock:
            self.settings(service_id)
            write_json(self.places.service(service_id) / "service.json", {**settings, "id": service_id})

    def create(self, service_id: str) -> None:
        """Creates a published service without versions. Raises 400 and 409."""
        with self.places.lock:
            path = self.places.service(service_id) / "service.json"
            if path.exists():
                raise conflict(f"service {service_id} already exists on the API Deployer")
            document = {"id": service_id, "name": service_id, "tags": [], "permissions": [], "creationTime": now_ms()}
            write_json(path, document)

    def delete(self, service_id: str) -> None:
        """Deletes a published service with its versions. Raises 404."""
        with self.places.lock:
            self.settings(service_id)
            shutil.rmtree(self.places.service(service_id))

    def versions(self, service_id: str) -> ArchiveStore:
        """The versions of a published service. Raises 404."""
        self.settings(service_id)
        return ArchiveStore(self.places.service(service_id) / "versions", f"version of service {service_id}")

    def packages(self, service_id: str) -> list[dict[str, Any]]:
        """The versions as statuses list them, the newest first. Raises 404."""
        return [
            {
                "id": record["id"],
                "publishedOn": record["addedOn"],
                "publishedBy": record["addedBy"],
                "createdOn": record["manifest"].get("createdOn"),
                "releaseNotes": record.get("releaseNotes", ""),
                "endpoints": [{"id": item["id"], "type": item["type"]} for item in record["settings"]["endpoints"]],
                "designNodeInfo": {
                    "projectKey": record["manifest"].get("projectKey"),
                    "serviceId": record["manifest"].get("serviceId"),
                },
            }
            for record in reversed(self.versions(service_id).list())
        ]

    def publish(self, package: Package, service_id: str, user: str) -> dict[str, Any]:
        """Moves a checked archive into a published service. Raises 404 and 409."""
        with self.places.lock:
            return self.versions(service_id).take(
                package.path,
                package.id,
                user,
                manifest=package.manifest,
                settings=package.settings,
                releaseNotes=package.notes,
            )

    def upload(self, staged: Path, service_id: str, user: str) -> dict[str, Any]:
        """Takes an uploaded archive (it is moved), found harmless before. Raises 400, 404 and 409."""
        try:
            self.settings(service_id)
            return self.publish(check_package(staged), service_id, user)
        finally:
            staged.unlink(missing_ok=True)
