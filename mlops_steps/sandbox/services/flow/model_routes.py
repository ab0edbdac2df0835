"""Saved models over HTTP."""

from __future__ import annotations

from typing import Any

from mlops_steps.sandbox.http.routing import Call, Router
from mlops_steps.sandbox.services.flow import models
from mlops_steps.sandbox.services.flow.kinds import MODEL
from mlops_steps.sandbox.services.projects.model import Project
from mlops_steps.sandbox.services.projects.objects import list_item, new_id

router = Router()
BASE = "/projects/{key}/savedmodels"
ONE = BASE + "/{model}"
VERSION = ONE + "/versions/{version}"


def _project(call: Call) -> Project:
    return Project.load(call.node, call.path["key"])


@router.get(BASE)
def list_all(call: Call) -> Any:
    objects = MODEL.of(_project(call))
    fields = ("savedModelType", "activeVersion", "miniTask")
    return [list_item({"id": identity, **objects.get(identity)}, *fields) for identity in objects.ids()]


@router.post(BASE)
def create(call: Call) -> Any:
    body, identity = call.json_object(), new_id()
    prediction_type = body.get("predictionType")
    definition = {
        "id": identity,
        "name": body.get("name") or identity,
        "type": "PREDICTION",
        "savedModelType": body.get("savedModelType", "DSS_MANAGED"),
        "miniTask": {"taskType": "PREDICTION", "predictionType": prediction_type, "modeling": {"metrics": {}}},
        "publishPolicy": "UNCONDITIONAL",
        "tags": [],
    }
    MODEL.of(_project(call)).create(identity, definition, call.user)
    return {"id": identity}


@router.get(ONE)
def get(call: Call) -> Any:
    return {"id": call.path["model"], **MODEL.of(_project(call)).get(call.path["model"])}


@router.put(ONE)
def save(call: Call) -> Any:
    return {"versionTag": MODEL.of(_project(call)).save(call.path["model"], call.json_object(), call.user)}


@router.delete(ONE)
def delete(call: Call) -> Any:
    models.delete(_project(call), call.path["model"], call.user)


@router.get(ONE + "/versions")
def versions(call: Call) -> Any:
    return models.versions(_project(call), call.path["model"])


@router.get(VERSION + "/details")
def details(call: Call) -> Any:
    return models.details(_project(call), call.path["model"], call.path["version"])


@router.get(VERSION + "/snippet")
def snippet(call: Call) -> Any:
    project, model = _project(call), call.path["model"]
    return models.snippet(project, model, models.version(project, model, call.path["version"]))


@router.post(VERSION + "/actions/setActive")
def set_active(call: Call) -> Any:
    models.set_active(_project(call), call.path["model"], call.path["version"], call.user)


@router.post(ONE + "/actions/delete-versions")
def delete_versions(call: Call) -> Any:
    wanted = [str(version) for version in call.json_object().get("versions") or []]
    models.delete_versions(_project(call), call.path["model"], wanted)


@router.get(ONE + "/metrics/{version}")
def metric_values(call: Call) -> Any:
    return models.metric_values(_project(call), call.path["model"], call.path["version"])
