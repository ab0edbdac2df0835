"""API services of a project: which endpoints they have, and who may call them."""

from __future__ import annotations

from typing import Any

from mlops_steps.sandbox.node.errors import bad_request, not_supported
from mlops_steps.sandbox.node.store import safe_name
from mlops_steps.sandbox.services.projects.model import Project
from mlops_steps.sandbox.services.projects.objects import Objects, list_item

FOLDER = "api_services"
PREDICTION = "STD_PREDICTION"
FUNCTION = "PY_FUNCTION"
#: Types of endpoints that the API nodes of the sandbox serve. The others can be defined, and not packaged.
SERVED = (PREDICTION, FUNCTION)
AUTH_METHODS = ("PUBLIC", "API_KEYS", "OAUTH2")


class ApiServices:
    """The API services of one project."""

    def __init__(self, project: Project) -> None:
        self.project = project
        self.objects = Objects(project, FOLDER, "API service")

    def list(self) -> list[dict[str, Any]]:
        """The services as the client lists them."""
        return [
            {
                **list_item(definition, "authMethod"),
                "endpoints": [{"id": item["id"], "type": item["type"]} for item in definition["endpoints"]],
            }
            for definition in map(self.get, self.objects.ids())
        ]

    def get(self, service_id: str) -> dict[str, Any]:
        """The settings of a service. Raises 404."""
        defaults = {"name": service_id, "authMethod": "PUBLIC", "apiKeys": [], "endpoints": [], "tags": []}
        return {**defaults, **self.objects.get(service_id), "id": service_id}

    def create(self, service_id: str, user: str) -> None:
        """Creates a service without endpoints. Raises 400 and 409."""
        definition = {"name": service_id, "authMethod": "PUBLIC", "apiKeys": [], "endpoints": [], "tags": []}
        self.objects.create(service_id, definition, user)

    def save(self, service_id: str, settings: dict[str, Any], user: str) -> None:
        """Replaces the settings. Raises 400 and 404."""
        if settings.get("id", service_id) != service_id:
            raise bad_request(f"The id of API service {service_id} can't be changed")
        check_settings(settings)
        self.objects.save(service_id, {name: value for name, value in settings.items() if name != "id"}, user)


def check_settings(settings: dict[str, Any]) -> None:
    """Raises 400 when these can't be the settings of a service."""
    if settings.get("authMethod", "PUBLIC") not in AUTH_METHODS:
        raise bad_request(f"Unknown authMethod {settings['authMethod']!r}: use one of {', '.join(AUTH_METHODS)}")
    endpoints = settings.get("endpoints", [])
    if not isinstance(endpoints, list) or not all(isinstance(item, dict) for item in endpoints):
        raise bad_request("endpoints of an API service must be a list of objects")
    ids = [safe_name(item.get("id", ""), "endpoint id") for item in endpoints]
    if len(set(ids)) != len(ids):
        raise bad_request("Two endpoints of the API service have the same id")
    for item in endpoints:
        if not isinstance(item.get("type"), str):
            raise bad_request(f"Endpoint {item['id']} has no type")


def refuse_what_is_not_served(settings: dict[str, Any]) -> None:
    """Raises 400 when a service can't be packaged, also when that is for want of support by the sandbox."""
    if not settings["endpoints"]:
        raise bad_request(f"API service {settings['id']} has no endpoint: there is nothing to package")
    if settings["authMethod"] == "OAUTH2":
        raise not_supported(f"authMethod OAUTH2 of API service {settings['id']}")
    for item in settings["endpoints"]:
        if item["type"] not in SERVED:
            raise not_supported(f"endpoints of type {item['type']} (endpoint {item['id']})")
        if item["type"] == PREDICTION and not item.get("modelRef"):
            raise bad_request(f"Endpoint {item['id']} has no modelRef: it must name a saved model")
        if item["type"] == FUNCTION and not str(item.get("code") or "").strip():
            raise bad_request(f"Endpoint {item['id']} has no code")
