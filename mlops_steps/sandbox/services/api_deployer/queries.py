"""Queries of a deployment that the deployer sends to an API node of its infrastructure."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

from mlops_steps.sandbox.node.errors import DssError, bad_request, not_found
from mlops_steps.sandbox.services.api_deployer.deployments import Deployments
from mlops_steps.sandbox.services.api_deployer.remote import ApiNode
from mlops_steps.sandbox.services.api_services.mapping import shares_of
from mlops_steps.sandbox.services.api_services.model import PREDICTION
from mlops_steps.sandbox.services.deployers.remote import RemoteError


def settings_of_service(deployments: Deployments, deployment_id: str) -> dict[str, Any]:
    """The service as the deployment has it: the settings of the first version of its mapping. Raises 404."""
    settings = deployments.settings(deployment_id)
    first = shares_of(settings["generationsMapping"]).generations[0]
    found: dict[str, Any] = deployments.services.versions(settings["publishedServiceId"]).get(first)["settings"]
    return found


def endpoint_of(deployments: Deployments, deployment_id: str, endpoint_id: str | None) -> dict[str, Any]:
    """An endpoint of a deployment. Raises 404, and 400 when none is named and there are several."""
    endpoints = settings_of_service(deployments, deployment_id)["endpoints"]
    if endpoint_id is None:
        if len(endpoints) != 1:
            names = ", ".join(item["id"] for item in endpoints)
            raise bad_request(f"deployment {deployment_id} has {len(endpoints)} endpoints: name one of {names}")
        return dict(endpoints[0])
    found = next((item for item in endpoints if item["id"] == endpoint_id), None)
    if found is None:
        raise not_found(f"deployment {deployment_id} has no endpoint {endpoint_id}")
    return dict(found)


def parsed(text: str | None) -> list[dict[str, Any]] | None:
    """Queries from a parameter; ``None`` when it is not there. Raises 400."""
    if text is None:
        return None
    try:
        queries = json.loads(text)
    except ValueError as error:
        raise bad_request(f"The queries are not JSON: {error}") from error
    if not isinstance(queries, list) or not all(isinstance(item, dict) and "q" in item for item in queries):
        raise bad_request("The queries must be a list of objects with q")
    return queries


def run(
    deployments: Deployments, deployment_id: str, endpoint_id: str | None, queries: list[dict[str, Any]] | None
) -> dict[str, Any]:
    """Sends queries, by default the endpoint's own test queries, to the first node that answers.

    Raises 400, 404, and 502 when no node answers. What a node refuses stands in the answers.
    """
    endpoint = endpoint_of(deployments, deployment_id, endpoint_id)
    settings = deployments.settings(deployment_id)
    service = settings_of_service(deployments, deployment_id)
    key = next((str(item["key"]) for item in service.get("apiKeys") or [] if item.get("key")), None)
    path = f"/{quote(settings['deployedServiceId'])}/{quote(endpoint['id'])}/"
    path += "predict" if endpoint["type"] == PREDICTION else "run"
    wanted = queries if queries is not None else endpoint.get("testQueries") or []
    last: RemoteError | None = None
    for node in deployments.infras.nodes(settings["infraId"]):
        with node:
            try:
                return {
                    "endpointId": endpoint["id"],
                    "apiNodeUrl": node.url,
                    "responses": [_response(node, path, query, key) for query in wanted],
                }
            except RemoteError as error:
                last = error
    raise DssError(502, "java.io.IOException", str(last))


def _response(node: ApiNode, path: str, query: dict[str, Any], key: str | None) -> dict[str, Any]:
    headers = {str(item["key"]): str(item["value"]) for item in query.get("headers") or []}
    status, answer = node.query(path, query["q"], headers, key)
    found = {"query": query["q"], "httpStatus": status, "success": status < 400}
    return {**found, "response": answer} if status < 400 else {**found, "error": answer}
