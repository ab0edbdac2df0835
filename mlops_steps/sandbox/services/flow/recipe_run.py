"""What has to be there before a recipe runs, and the process that runs it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mlops_steps.sandbox.node.errors import bad_request
from mlops_steps.sandbox.runtime.process import Child
from mlops_steps.sandbox.services.flow.children import check_code_env, make_child
from mlops_steps.sandbox.services.flow.kinds import DATASET, FOLDER, kind_of, recipes_of
from mlops_steps.sandbox.services.flow.places import places_of
from mlops_steps.sandbox.services.flow.plan import Flow, RecipeNode
from mlops_steps.sandbox.services.projects.model import Project


def recipe_child(project: Project, node: RecipeNode, variables: Mapping[str, Any]) -> Child:
    """The process of a recipe, not started yet.

    :raises DssError: the sandbox cannot run it; the message names what is missing.
    :raises LayoutError: an input or output that cannot be reached, for instance for its connection.
    """
    if node.type != "python":
        raise bad_request(f"recipes of type {node.type!r} are not supported by the sandbox, only python")
    recipes = recipes_of(project)
    definition = recipes.get(node.name)
    check_code_env(project, (definition.get("params") or {}).get("envSelection"), f"recipe {node.name}")
    # Before the process starts: a missing connection is found even when the code would not come to use it.
    places = places_of(project, variables)
    for name in (*node.inputs, *node.outputs):
        kind = kind_of(project, name)
        if kind is None:
            raise bad_request(f"{name} does not exist in project {project.key}")
        if kind is DATASET:
            places.dataset(name)
        elif kind is FOLDER:
            places.folder(name)
    return make_child(
        project,
        f"recipe {node.name}",
        script=recipes.payload(node.name, node.type) or "",
        variables=variables,
        recipe={"name": node.name, "inputs": list(node.inputs), "outputs": list(node.outputs)},
    )


def flow_of(project: Project) -> Flow:
    """The recipes of a project, and which datasets are the files of which managed folders."""
    in_folders = {
        definition["name"]: str((definition.get("params") or {}).get("folderSmartId", "")).rpartition(".")[2]
        for definition in DATASET.of(project).all_named()
        if definition.get("type") == "FilesInFolder"
    }
    return Flow.of(recipes_of(project).all_named(), project.key, in_folders)
