"""What the API Deployer asks of an API node."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from mlops_steps.sandbox.faults.board import NodeFaults
from mlops_steps.sandbox.faults.operations import API_DEPLOYER_AGENT
from mlops_steps.sandbox.services.deployers.remote import RemoteNode, document


class ApiNode(RemoteNode):
    """One API node, by URL and key of its administration."""

    kind = "API node"

    def __init__(self, name: str, url: str, api_key: str, faults: NodeFaults) -> None:
        super().__init__(name, url, API_DEPLOYER_AGENT)
        self.faults = faults
        self._api_key = api_key

    def admin(self, method: str, path: str, **options: Any) -> Any:
        """The JSON answer of the administration. Raises :class:`RemoteError`."""
        return self.answer(method, f"/admin/api{path}", auth=(self._api_key, ""), **options)

    def query(self, path: str, body: Any, headers: dict[str, str], key: str | None) -> tuple[int, Any]:
        """Status and JSON of the answer to a call of an endpoint. Raises :class:`RemoteError` when none came."""
        auth = (key, "") if key else None
        answer = self.send("POST", f"/public/api/v1{path}", json=body, headers=headers, auth=auth)
        return answer.status_code, document(answer)

    # ---- services

    def service(self, service_id: str) -> dict[str, Any] | None:
        """``enabled`` of a service; ``None`` when the node has none of this id."""
        return next((item for item in self.admin("GET", "/services") if item["serviceId"] == service_id), None)

    def create_service(self, service_id: str) -> None:
        """Creates a service."""
        self.admin("POST", "/services", json={"serviceId": service_id})

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
        self.admin("POST", f"/services/{quote(service_id)}/actions/setMapping", json=mapping)

    def disable(self, service_id: str) -> None:
        """Lets the service answer no more."""
        self.admin("POST", f"/services/{quote(service_id)}/actions/disable")

    def metrics(self) -> dict[str, Any]:
        """What the node has answered."""
        found: dict[str, Any] = self.admin("GET", "/metrics")
        return found
