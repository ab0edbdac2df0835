"""What the deployer asks of an Automation node: plain requests to its public API, each with a time limit."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import requests

from mlops_steps.sandbox.faults.operations import DEPLOYER_AGENT

CONNECT_SECONDS = 5.0
READ_SECONDS = 30.0
# Imports and activations read and write whole bundles.
LONG_SECONDS = 900.0


class RemoteError(Exception):
    """The node refused (``status`` is its HTTP status) or could not be reached (``status`` is ``None``)."""

    def __init__(self, message: str, status: int | None) -> None:
        super().__init__(message)
        self.status = status


class AutomationNode:
    """One Automation node, by URL and key. ``name`` stands in messages."""

    def __init__(self, name: str, url: str, api_key: str, verify: bool = True) -> None:
        self.name = name
        self.url = url.rstrip("/")
        self._session = requests.Session()
        self._session.trust_env = False  # a node on this machine needs no proxy, and looking for one takes time
        # Neither a proxy nor a .netrc of the environment is meant for the nodes.
        self._session.trust_env = False
        self._session.auth = (api_key, "")
        self._session.headers["User-Agent"] = DEPLOYER_AGENT
        self._session.verify = verify

    def __enter__(self) -> AutomationNode:
        return self

    def __exit__(self, *_: object) -> None:
        self._session.close()

    def call(
        self, method: str, path: str, *, params: dict[str, Any] | None = None, body: Any = None, long: bool = False
    ) -> Any:
        """The JSON answer; ``None`` when there is none. Raises :class:`RemoteError`."""
        try:
            answer = self._session.request(
                method,
                f"{self.url}/public/api{path}",
                params=params,
                json=body,
                timeout=(CONNECT_SECONDS, LONG_SECONDS if long else READ_SECONDS),
            )
        except requests.RequestException as error:
            raise RemoteError(f"node {self.name} can't be reached: {type(error).__name__}", None) from error
        try:
            document = answer.json() if answer.content else None
        except ValueError:
            document = None
        if answer.status_code >= 400:
            text = document.get("message") if isinstance(document, dict) else None
            raise RemoteError(f"node {self.name}: {text or f'HTTP {answer.status_code}'}", answer.status_code)
        return document

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
        body = {"scenariosActiveOnActivation": scenarios} if scenarios else {}
        answer: dict[str, Any] = self.call("POST", path, body=body, long=True)
        return answer

    def change_settings(self, key: str, **changes: Any) -> None:
        """Changes fields of the project's settings."""
        path = f"/projects/{quote(key)}/settings"
        self.call("PUT", path, body={**self.call("GET", path), **changes})

    def set_local_variables(self, key: str, local: dict[str, Any]) -> None:
        """Replaces the local variables of the project."""
        path = f"/projects/{quote(key)}/variables/"
        self.call("PUT", path, body={**self.call("GET", path), "local": local})
