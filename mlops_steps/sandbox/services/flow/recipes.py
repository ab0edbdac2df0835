"""Recipes: their definitions, code and status."""

from __future__ import annotations

import json
from typing import Any

from mlops_steps.sandbox.node.errors import DssError, bad_request
from mlops_steps.sandbox.services.flow import datasets
from mlops_steps.sandbox.services.flow.kinds import DATASET, KINDS, recipes_of
from mlops_steps.sandbox.services.flow.plan import RecipeNode, references
from mlops_steps.sandbox.services.flow.recipe_run import PREPARE, check_steps, check_type
from mlops_steps.sandbox.services.projects.model import Project
from mlops_steps.sandbox.services.projects.objects import free_id

_NEW_STEPS: dict[str, Any] = {"columnsSelection": {"mode": "ALL"}, "explorationFilters": [], "steps": []}
CODE_TYPES = ("python", "r", "sql_script", "pyspark", "sparkr", "spark_scala", "shell", "spark_sql_query", "sql_query")


def document_of(project: Project, name: str) -> dict[str, Any]:
    """A recipe with its payload, as the client's settings read it."""
    recipes = recipes_of(project)
    definition = {**recipes.get(name), "name": name}
    for field in ("inputs", "outputs", "params"):
        definition.setdefault(field, {})
    return {"recipe": definition, "payload": recipes.payload(name, definition.get("type", ""))}


def save(project: Project, name: str, document: dict[str, Any], user: str) -> dict[str, Any]:
    """Replaces a recipe's definition and payload."""
    definition = document.get("recipe")
    if not isinstance(definition, dict):
        raise bad_request("The settings of a recipe need an object 'recipe'")
    tag = recipes_of(project).save(name, definition, user, document.get("payload"))
    return {"versionTag": tag, "messages": {"messages": [], "maxSeverity": None}}


def create(project: Project, prototype: dict[str, Any], settings: dict[str, Any], user: str) -> str:
    """Creates a recipe, with its output dataset when that is asked for, and returns its name."""
    kind = prototype.get("type")
    if not kind:
        raise bad_request("A recipe needs a type")
    recipes = recipes_of(project)
    outputs = references(prototype.get("outputs"), project.key)
    name = prototype.get("name") or free_id(recipes, f"compute_{outputs[0]}" if outputs else kind)
    if settings.get("createOutputDataset"):
        for output in outputs:
            if not DATASET.of(project).exists(output):
                datasets.create_managed(project, output, settings.get("outputDatasetSettings") or {}, user)
    if not settings.get("rawCreation"):
        _check_exist(project, (*references(prototype.get("inputs"), project.key), *outputs))
    definition = {
        "name": name,
        "type": kind,
        "inputs": prototype.get("inputs") or {},
        "outputs": prototype.get("outputs") or {},
        "params": prototype.get("params") or ({"envSelection": {"envMode": "INHERIT"}} if kind == "python" else {}),
        "tags": [],
    }
    code = settings.get("script")
    if code is None and kind == PREPARE:
        code = json.dumps(_NEW_STEPS, indent=2)
    recipes.create(name, definition, user, code if code is not None or kind not in CODE_TYPES else "")
    return str(name)


def _check_exist(project: Project, names: tuple[str, ...]) -> None:
    for name in names:
        if "." not in name and not any(kind.of(project).exists(name) for kind in KINDS):
            raise bad_request(f"dataset {name} does not exist in project {project.key}")


def status(project: Project, name: str) -> dict[str, Any]:
    """Whether a recipe can run: messages about what is missing."""
    definition = document_of(project, name)["recipe"]
    messages = []
    try:
        node = RecipeNode.of(definition, project.key)
        check_type(project, node)
        for roles in ("inputs", "outputs"):
            _check_exist(project, references(definition.get(roles), project.key))
        if node.type == PREPARE:
            columns = (DATASET.of(project).get(node.inputs[0]).get("schema") or {}).get("columns") or []
            check_steps(recipes_of(project).payload(name, PREPARE) or "", columns)
    except DssError as error:
        messages.append(
            {
                "severity": "ERROR",
                "code": "ERR_RECIPE",
                "title": error.message,
                "message": error.message,
                "details": error.message,
                "isFatal": True,
            }
        )
    engine = {"type": "DSS", "label": "DSS", "isSelectable": True, "canEngineAlterPipelineStorage": False}
    return {
        "selectedEngine": engine,
        "engines": [engine],
        "allMessagesForFrontend": {"messages": messages, "maxSeverity": "ERROR" if messages else None},
    }
