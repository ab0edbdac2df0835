"""What the API Deployer asks of an API node: plain requests, each with a time limit."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import requests

from mlops_steps.sandbox.faults.board import NodeFaults
from mlops_steps.sandbox.faults.operations import API_DEPLOYER_AGENT
from mlops_steps.sandbox.services.deployer.remote import CONNECT_SECONDS, LONG_SECONDS, READ_SECONDS, RemoteError


class ApiNode:
    """One API node, by URL and key of its administration. ``name`` stands in messages."""

    def __init__(self, name: str, url: str, api_key: str, faults: NodeFaults) -> None:
        self.name = name
        self.url = url.rstrip("/")
        self.faults = faults
        self._session = requests.Session()
        self._session.trust_env = False  # a node on this machine needs no proxy, and looking for one takes time
        # Neither a proxy nor a .netrc of the environment is meant for the nodes.
        self._session.trust_env = False
        self._session.headers["User-Agent"] = API_DEPLOYER_AGENT
        self._api_key = api_key

    def __enter__(self) -> ApiNode:
        return self

    def __exit__(self, *_: object) -> None:
        self._session.close()

    def admin(
        self, method: str, path: str, *, params: dict[str, Any] | None = None, body: Any = None, long: bool = False
    ) -> Any:
        """The JSON answer of the administration. Raises :class:`RemoteError`."""
        auth = (self._api_key, "")
        answer = self._send(method, f"/admin/api{path}", long, params=params, json=body, auth=auth)
        if answer.status_code >= 400:
            raise RemoteError(f"API node {self.name}: {_told(answer)}", answer.status_code)
        return _document(answer)

    def query(self, path: str, body: Any, headers: dict[str, str], key: str | None) -> tuple[int, Any]:
        """Status and JSON of the answer to a call of an endpoint. Raises :class:`RemoteError` when none came."""
        auth = (key, "") if key else None
        answer = self._send("POST", f"/public/api/v1{path}", False, json=body, headers=headers, auth=auth)
        return answer.status_code, _document(answer)

    def _send(self, method: str, path: str, long: bool, **options: Any) -> requests.Response:
        try:
            return self._session.request(
                method,
                self.url + path,
                timeout=(CONNECT_SECONDS, LONG_SECONDS if long else READ_SECONDS),
                **options,
            )
        except requests.RequestException as error:
            raise RemoteError(f"API node {self.name} can't be reached: {type(error).__name__}", None) from error

    # ---- services

    def service(self, service_id: str) -> dict[str, Any] | None:
        """``enabled`` of a service; ``None`` when the node has none of this id."""
        return next((item for item in self.admin("GET", "/services") if item["serviceId"] == service_id), None)

    def create_service(self, service_id: str) -> None:
        """Creates a service."""
        self.admin("POST", "/services", body={"serviceId": service_id})

    def delete_service(self, service_id: str) -> None:
        """Deletes a service with its generations."""
        self.admin("DELETE", f"/services/{quote(service_id)}")

    def generations(self, service_id: str) -> dict[str, dict[str, Any]]:
        """The generations on the node by id."""
        listed = self.admin("GET", f"/services/{quote(service_id)}/generations")["generations"]
        return {item["generation"]: item for item in listed}

    def import_generation(self, service_id: str, archive: str) -> None:
        """Imports a generation from an archive that the node can read."""
        path = f"/services/{quote(service_id)}/generations/actions/importFromArchive"
        self.admin("POST", path, params={"filePath": archive}, long=True)

    def preload(self, service_id: str, generation: str) -> None:
        """Loads the models of a generation."""
        self.admin("POST", f"/services/{quote(service_id)}/generations/{quote(generation)}/preload", long=True)

    def set_mapping(self, service_id: str, mapping: dict[str, Any]) -> None:
        """Lets the generations of a mapping answer."""
        self.admin("POST", f"/services/{quote(service_id)}/actions/setMapping", body=mapping)

    def disable(self, service_id: str) -> None:
        """Lets the service answer no more."""
        self.admin("POST", f"/services/{quote(service_id)}/actions/disable")

    def metrics(self) -> dict[str, Any]:
        """What the node has answered."""
        found: dict[str, Any] = self.admin("GET", "/metrics")
        return found


def _document(answer: requests.Response) -> Any:
    try:
        return answer.json() if answer.content else None
    except ValueError:
        return None


def _told(answer: requests.Response) -> str:
    document = _document(answer)
    text = document.get("message") if isinstance(document, dict) else None
    return text or f"HTTP {answer.status_code}"
