"""What the Project Deployer asks of an Automation node."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from mlops_steps.sandbox.faults.operations import DEPLOYER_AGENT
from mlops_steps.sandbox.services.deployers.remote import RemoteNode


class AutomationNode(RemoteNode):
    """One Automation node, by URL and key."""

    def __init__(self, name: str, url: str, api_key: str, verify: bool = True) -> None:
        super().__init__(name, url, DEPLOYER_AGENT)
        self.api_key = api_key
        self.session.auth = (api_key, "")
        self.session.verify = verify

    def call(self, method: str, path: str, **options: Any) -> Any:
        """The JSON answer of the public API; ``None`` when there is none. Raises :class:`RemoteError`."""
        return self.answer(method, f"/public/api{path}", **options)

    # ---- projects and bundles

    def project(self, key: str) -> dict[str, Any] | None:
        """The project as the node's list shows it; ``None`` when the node has none of this key."""
        projects = self.call("GET", "/projects/")
        return next((project for project in projects if project["projectKey"] == key), None)

    def create_project(self, key: str, archive: str) -> None:
        """Makes the project from an archive that the node can read."""
        self.call(
            "POST", "/projectsFromBundle/fromArchive", params={"archivePath": archive, "projectKey": key}, long=True
        )

    def bundles(self, key: str) -> dict[str, dict[str, Any]]:
        """The imported bundles by id."""
        listed = self.call("GET", f"/projects/{quote(key)}/bundles/imported")["bundles"]
        return {bundle["bundleId"]: bundle for bundle in listed}

    def import_bundle(self, key: str, archive: str) -> None:
        """Imports a bundle from an archive that the node can read."""
        path = f"/projects/{quote(key)}/bundles/imported/actions/importFromArchive"
        self.call("POST", path, params={"archivePath": archive}, long=True)

    def delete_bundle(self, key: str, bundle_id: str) -> None:
        """Deletes an imported bundle that is not active."""
        self.call("DELETE", f"/projects/{quote(key)}/bundles/imported/{quote(bundle_id)}")

    def preload(self, key: str, bundle_id: str) -> dict[str, Any]:
        """The node's report on what the bundle lacks there."""
        path = f"/projects/{quote(key)}/bundles/imported/{quote(bundle_id)}/actions/preload"
        answer: dict[str, Any] = self.call("POST", path, long=True)
        return answer

    def activate(self, key: str, bundle_id: str, scenarios: dict[str, bool]) -> dict[str, Any]:
        """Activates a bundle and returns the node's report."""
        path = f"/projects/{quote(key)}/bundles/imported/{quote(bundle_id)}/actions/activate"
        wanted = {"scenariosActiveOnActivation": scenarios} if scenarios else {}
        answer: dict[str, Any] = self.call("POST", path, json=wanted, long=True)
        return answer

    def change_settings(self, key: str, **changes: Any) -> None:
        """Changes fields of the project's settings."""
        path = f"/projects/{quote(key)}/settings"
        self.call("PUT", path, json={**self.call("GET", path), **changes})

    def set_local_variables(self, key: str, local: dict[str, Any]) -> None:
        """Replaces the local variables of the project."""
        path = f"/projects/{quote(key)}/variables/"
        self.call("PUT", path, json={**self.call("GET", path), "local": local})
