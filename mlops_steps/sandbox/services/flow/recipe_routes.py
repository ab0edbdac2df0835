"""Recipes over HTTP."""

from __future__ import annotations

from typing import Any

from mlops_steps.sandbox.http.routing import Call, Router
from mlops_steps.sandbox.services.flow import recipes
from mlops_steps.sandbox.services.flow.kinds import recipes_of
from mlops_steps.sandbox.services.projects.model import Project
from mlops_steps.sandbox.services.projects.objects import list_item, metadata_of, with_metadata

router = Router()
BASE = "/projects/{key}/recipes"
ONE = BASE + "/{name}"


def _project(call: Call) -> Project:
    return Project.load(call.node, call.path["key"])


@router.get(BASE)
def list_all(call: Call) -> Any:
    definitions = recipes_of(_project(call)).all_named()
    return [list_item(definition, "inputs", "outputs", "params") for definition in definitions]


@router.post(BASE)
def create(call: Call) -> Any:
    body = call.json_object()
    prototype, settings = body.get("recipePrototype") or {}, body.get("creationSettings") or {}
    return {"name": recipes.create(_project(call), prototype, settings, call.user)}


@router.get(ONE)
def get(call: Call) -> Any:
    return recipes.document_of(_project(call), call.path["name"])


@router.put(ONE)
def save(call: Call) -> Any:
    return recipes.save(_project(call), call.path["name"], call.json_object(), call.user)


@router.delete(ONE)
def delete(call: Call) -> Any:
    recipes_of(_project(call)).delete(call.path["name"], call.user)


@router.get(ONE + "/status")
def status(call: Call) -> Any:
    return recipes.status(_project(call), call.path["name"])


@router.get(ONE + "/schema-update")
def schema_update(call: Call) -> Any:
    # A Python recipe writes the schema of its outputs when it runs: nothing can be propagated before.
    recipes_of(_project(call)).get(call.path["name"])
    return {"totalIncompatibilities": 0, "computables": []}


@router.get(ONE + "/metadata")
def get_metadata(call: Call) -> Any:
    return metadata_of(recipes_of(_project(call)).get(call.path["name"]))


@router.put(ONE + "/metadata")
def set_metadata(call: Call) -> Any:
    objects = recipes_of(_project(call))
    objects.save(call.path["name"], with_metadata(objects.get(call.path["name"]), call.json_object()), call.user)
    return {}
