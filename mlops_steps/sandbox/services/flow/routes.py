"""The flow over HTTP."""

from __future__ import annotations

from typing import Any

from mlops_steps.sandbox.http.routing import Call, Router
from mlops_steps.sandbox.node.errors import not_supported
from mlops_steps.sandbox.services.flow import dataset_routes, folder_routes, job_routes, model_routes, recipe_routes
from mlops_steps.sandbox.services.flow.graph import graph_of
from mlops_steps.sandbox.services.projects.model import Project

router = Router()
for _part in (dataset_routes, folder_routes, job_routes, model_routes, recipe_routes):
    router.routes.extend(_part.router.routes)


@router.get("/projects/{key}/flow/graph")
def graph(call: Call) -> Any:
    return graph_of(Project.load(call.node, call.path["key"]))


@router.get("/projects/{key}/flow/zones")
def zones(call: Call) -> Any:
    Project.load(call.node, call.path["key"])
    return [_default_zone()]


@router.get("/projects/{key}/flow/zones/{zone}")
def zone(call: Call) -> Any:
    Project.load(call.node, call.path["key"])
    if call.path["zone"] != "default":
        raise not_supported("flow zones other than the default one")
    return _default_zone()


def _default_zone() -> dict[str, Any]:
    return {"id": "default", "name": "Default", "color": "#2ab1ac", "items": [], "shared": []}
