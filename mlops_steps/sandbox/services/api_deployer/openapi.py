"""The OpenAPI document of a deployment."""

from __future__ import annotations

from typing import Any

from mlops_steps.sandbox.node.errors import not_found
from mlops_steps.sandbox.services.api_deployer.deployments import Deployments
from mlops_steps.sandbox.services.api_deployer.queries import settings_of_service
from mlops_steps.sandbox.services.api_services.model import PREDICTION

_OBJECT: dict[str, Any] = {"type": "object"}


def document(deployments: Deployments, deployment_id: str) -> dict[str, Any]:
    """The document. Raises 404, also when the deployment was never updated."""
    settings = deployments.settings(deployment_id)
    if deployments.deployed(deployment_id) is None:
        raise not_found(f"deployment {deployment_id} was never updated: it has no OpenAPI document")
    service = settings_of_service(deployments, deployment_id)
    base = f"/public/api/v1/{settings['deployedServiceId']}"
    paths: dict[str, Any] = {}
    for endpoint in service["endpoints"]:
        if endpoint["type"] == PREDICTION:
            features = _schema(features=_OBJECT, context=_OBJECT, dispatch=_OBJECT, required=["features"])
            items = _schema(items={"type": "array", "items": features}, dispatch=_OBJECT, required=["items"])
            paths[f"{base}/{endpoint['id']}/predict"] = _post(endpoint, "Predicts a record", features)
            paths[f"{base}/{endpoint['id']}/predict-multi"] = _post(endpoint, "Predicts many records", items)
        else:
            paths[f"{base}/{endpoint['id']}/run"] = _post(endpoint, "Calls the function", _OBJECT)
    infra = deployments.infras.basic_info(settings["infraId"])
    found: dict[str, Any] = {
        "openapi": "3.0.3",
        "info": {"title": settings["deployedServiceId"], "version": str(settings["versionTag"]["versionNumber"])},
        "servers": [{"url": url} for url in infra["apiNodeUrls"]],
        "paths": paths,
    }
    if service["authMethod"] == "API_KEYS":
        found["components"] = {"securitySchemes": {"apiKey": {"type": "http", "scheme": "basic"}}}
        found["security"] = [{"apiKey": []}]
    return found


def _schema(required: list[str], **properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": required}


def _post(endpoint: dict[str, Any], summary: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {
        "post": {
            "summary": summary,
            "operationId": f"{endpoint['id']}-{summary.split()[-1]}",
            "requestBody": {"required": True, "content": {"application/json": {"schema": schema}}},
            "responses": {"200": {"description": "The answer", "content": {"application/json": {"schema": _OBJECT}}}},
        }
    }
