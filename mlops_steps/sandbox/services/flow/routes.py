"""The flow over HTTP."""

from __future__ import annotations

from typing import Any

from mlops_steps.sandbox.http.routing import Call, Router
from mlops_steps.sandbox.services.flow import (
    data_quality_routes,
    dataset_routes,
    evaluation_routes,
    folder_routes,
    job_routes,
    model_routes,
    recipe_routes,
    zone_routes,
)
from mlops_steps.sandbox.services.flow.graph import graph_of
from mlops_steps.sandbox.services.projects.model import Project

router = Router()
for _part in (
    data_quality_routes,
    dataset_routes,
    evaluation_routes,
    folder_routes,
    job_routes,
    model_routes,
    recipe_routes,
    zone_routes,
):
    router.routes.extend(_part.router.routes)


@router.get("/projects/{key}/flow/graph")
def graph(call: Call) -> Any:
    return graph_of(Project.load(call.node, call.path["key"]))
