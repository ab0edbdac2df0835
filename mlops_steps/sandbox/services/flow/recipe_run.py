"""What has to be there before a recipe runs, and the process that runs it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from mlops_steps.sandbox.node.errors import bad_request
from mlops_steps.sandbox.runtime.lib.dataiku._visual import StepError, compile_steps
from mlops_steps.sandbox.runtime.process import Child
from mlops_steps.sandbox.services.flow.children import check_code_env, make_child
from mlops_steps.sandbox.services.flow.kinds import DATASET, FOLDER, MODEL, STORE, kind_of, recipes_of
from mlops_steps.sandbox.services.flow.places import places_of
from mlops_steps.sandbox.services.flow.plan import Flow, RecipeNode
from mlops_steps.sandbox.services.projects.model import Project

# What the interface calls a prepare recipe is of type "shaker" in files and requests.
PREPARE, SYNC, EVALUATION = "shaker", "sync", "evaluation"
RUN_TYPES = ("python", SYNC, PREPARE, EVALUATION)


def recipe_child(project: Project, node: RecipeNode, variables: Mapping[str, Any]) -> Child:
    """The process of a recipe, not started yet.

    :raises DssError: the sandbox cannot run it; the message names what is missing.
    :raises LayoutError: an input or output that cannot be reached, for instance for its connection.
    """
    recipes = recipes_of(project)
    check_type(project, node)
    # Before the process starts: a missing connection is found even when the code would not come to use it.
    places = places_of(project, variables)
    for name in (*node.inputs, *node.outputs):
        kind = kind_of(project, name)
        if kind is None:
            raise bad_request(f"dataset {name} does not exist in project {project.key}")
        if kind is DATASET:
            places.dataset(name)
        elif kind is FOLDER:
            places.folder(name)
    payload = recipes.payload(node.name, node.type) or ""
    if node.type == PREPARE:
        check_steps(payload, places.dataset(node.inputs[0]).columns)
        # The steps are in the script, not in the file, so that the run has those that were checked.
        payload = f"from dataiku._visual import run_prepare\nrun_prepare({_steps(payload)!r})\n"
    elif node.type == EVALUATION:
        payload = f"from dataiku._evaluation import run_evaluation\nrun_evaluation(**{_evaluated(project, node)!r})\n"
    elif node.type == SYNC:
        payload = "from dataiku._visual import run_sync\nrun_sync()\n"
    return make_child(
        project,
        f"recipe {node.name}",
        script=payload,
        variables=variables,
        recipe={"name": node.name, "inputs": list(node.inputs), "outputs": list(node.outputs)},
    )


def check_type(project: Project, node: RecipeNode) -> None:
    """Whether the sandbox runs recipes of this type, with the code environment or the number of objects that it needs.

    :raises DssError: 400, it does not; the message names what.
    """
    if node.type not in RUN_TYPES:
        raise bad_request(
            f"recipes of type {node.type!r} do not run in the sandbox, only those of type python, sync, prepare "
            "and evaluation"
        )
    if node.type == "python":
        params = recipes_of(project).get(node.name).get("params") or {}
        check_code_env(project, params.get("envSelection"), f"recipe {node.name}")
    elif node.type == EVALUATION:
        _evaluated(project, node)
    elif len(node.inputs) != 1 or len(node.outputs) != 1:
        raise bad_request(f"a {node.type} recipe runs with one input and one output in the sandbox")
    elif any(kind_of(project, name) not in (DATASET, None) for name in (*node.inputs, *node.outputs)):
        raise bad_request(f"a {node.type} recipe reads and writes datasets only in the sandbox")


def _evaluated(project: Project, node: RecipeNode) -> dict[str, Any]:
    """What an evaluation recipe evaluates. Raises 400 when it does not have one dataset, one model and one store."""
    named = {
        kind.type: [name for name in (*node.inputs, *node.outputs) if kind_of(project, name) is kind]
        for kind in (DATASET, MODEL, STORE)
    }
    if [len(names) for names in named.values()] != [1, 1, 1]:
        raise bad_request("an evaluation recipe reads one dataset and one saved model, and writes one evaluation store")
    try:
        labels = json.loads(recipes_of(project).payload(node.name, node.type) or "{}").get("labels") or []
    except (ValueError, AttributeError):
        raise bad_request(f"the settings of recipe {node.name} are not a JSON object") from None
    (dataset,), (model,), (store,) = named.values()
    return {"dataset": dataset, "model": model, "store": store, "labels": labels}


def check_steps(payload: str, columns: Sequence[Mapping[str, Any]]) -> None:
    """Whether every step of a prepare recipe runs.

    :raises DssError: 400, one does not; the message names it.
    """
    try:
        compile_steps(_steps(payload), [dict(column) for column in columns])
    except StepError as error:
        raise bad_request(str(error)) from None


def _steps(payload: str) -> dict[str, Any]:
    try:
        document = json.loads(payload or "{}")
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict):
        raise bad_request("its steps are not a JSON object")
    return {"steps": document.get("steps") or []}


def flow_of(project: Project) -> Flow:
    """The recipes of a project, and which datasets are the files of which managed folders."""
    in_folders = {
        definition["name"]: str((definition.get("params") or {}).get("folderSmartId", "")).rpartition(".")[2]
        for definition in DATASET.of(project).all_named()
        if definition.get("type") == "FilesInFolder"
    }
    return Flow.of(recipes_of(project).all_named(), project.key, in_folders)
