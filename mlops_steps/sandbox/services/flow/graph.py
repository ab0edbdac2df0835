"""The flow's graph, as the client walks it."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from mlops_steps.sandbox.services.flow.kinds import DATASET, FOLDER, KINDS, MODEL, RECIPES, recipes_of
from mlops_steps.sandbox.services.flow.plan import Flow
from mlops_steps.sandbox.services.projects.model import Project


def graph_of(project: Project) -> dict[str, Any]:
    """The nodes by name, each with its predecessors and successors, and the names by kind."""
    nodes: dict[str, dict[str, Any]] = {}
    for kind in KINDS:
        for identity in kind.of(project).ids():
            nodes[identity] = _node(kind.node, identity)
    for recipe in Flow.of(recipes_of(project).all_named(), project.key).recipes.values():
        node = nodes.setdefault(recipe.name, _node(RECIPES.node, recipe.name, subType=recipe.type))
        for name in recipe.inputs:
            nodes.setdefault(name, _node("COMPUTABLE_DATASET", name))["successors"].append(recipe.name)
            node["predecessors"].append(name)
        for name in recipe.outputs:
            nodes.setdefault(name, _node("COMPUTABLE_DATASET", name))["predecessors"].append(recipe.name)
            node["successors"].append(name)
    return _graph(nodes)


def part_of(graph: dict[str, Any], names: Collection[str]) -> dict[str, Any]:
    """The part of a graph that has these nodes only."""
    nodes = {
        name: {
            **node,
            "predecessors": [other for other in node["predecessors"] if other in names],
            "successors": [other for other in node["successors"] if other in names],
        }
        for name, node in graph["nodes"].items()
        if name in names
    }
    return _graph(nodes)


def _graph(nodes: dict[str, dict[str, Any]]) -> dict[str, Any]:
    kinds = {"datasets": DATASET.node, "folders": FOLDER.node, "models": MODEL.node, "recipes": RECIPES.node}
    named = {
        label: sorted(name for name, node in nodes.items() if node["type"] == kind) for label, kind in kinds.items()
    }
    return {"nodes": nodes, **named}


def _node(kind: str, ref: str, **more: Any) -> dict[str, Any]:
    return {"id": ref, "ref": ref, "type": kind, "predecessors": [], "successors": [], **more}
