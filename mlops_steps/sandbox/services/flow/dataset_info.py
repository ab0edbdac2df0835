"""What a node says of a dataset beyond its definition: who reads and writes it, and its last build."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mlops_steps.sandbox.services.flow.kinds import DATASET, recipes_of
from mlops_steps.sandbox.services.flow.last_builds import last_build
from mlops_steps.sandbox.services.flow.plan import Flow, RecipeNode
from mlops_steps.sandbox.services.projects.model import Project


def completed(definition: Mapping[str, Any]) -> dict[str, Any]:
    """A definition with what files of older projects leave out and clients read."""
    return {
        "featureGroup": False,
        "metrics": {"probes": [], "displayedState": {"metrics": []}},
        "metricsChecks": {"runOnBuild": False, "checks": []},
        **definition,
    }


def information(project: Project, name: str) -> dict[str, Any]:
    """The answer to ``dataset.get_info()``. ``recipes`` are those that read the dataset (as public code takes it).

    :raises DssError: 404, there is no such dataset.
    """
    definition = completed({**DATASET.of(project).get(name), "name": name})
    flow = Flow.of(recipes_of(project).all_named(), project.key)
    found: dict[str, Any] = {
        **{
            field: definition[field]
            for field in ("projectKey", "name", "type", "shortDesc", "description", "tags")
            if field in definition
        },
        "dataset": definition,
        "recipes": [_short(node) for node in flow.recipes.values() if name in node.inputs],
        "timeline": {},
        "interest": {},
    }
    producer = flow.producer(name)
    if producer is not None:
        found["creatingRecipe"] = _short(flow.recipes[producer])
    build = last_build(project, name)
    if build is not None:
        found["lastBuild"] = build
    return found


def _short(node: RecipeNode) -> dict[str, str]:
    return {"id": node.name, "type": node.type}
