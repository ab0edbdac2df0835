"""Managed folders over HTTP."""

from __future__ import annotations

import shutil
from typing import Any

from starlette.responses import FileResponse

from mlops_steps.sandbox.http.routing import Call, Router
from mlops_steps.sandbox.services.flow import folders
from mlops_steps.sandbox.services.flow.kinds import FOLDER
from mlops_steps.sandbox.services.projects.model import Project
from mlops_steps.sandbox.services.projects.objects import list_item

router = Router()
BASE = "/projects/{key}/managedfolders"
ONE = BASE + "/{folder}"


def _project(call: Call) -> Project:
    return Project.load(call.node, call.path["key"])


@router.get(BASE)
def list_all(call: Call) -> Any:
    objects = FOLDER.of(_project(call))
    return [list_item({"id": identity, **objects.get(identity)}, "params") for identity in objects.ids()]


@router.post(BASE)
def create(call: Call) -> Any:
    return {"id": folders.create(_project(call), call.json_object(), call.user)}


@router.get(ONE)
def get(call: Call) -> Any:
    return {"id": call.path["folder"], **FOLDER.of(_project(call)).get(call.path["folder"])}


@router.put(ONE)
def save(call: Call) -> Any:
    return {"versionTag": FOLDER.of(_project(call)).save(call.path["folder"], call.json_object(), call.user)}


@router.delete(ONE)
def delete(call: Call) -> Any:
    folders.delete(_project(call), call.path["folder"], call.flag("dropData"), call.user)
    return {}


@router.get(ONE + "/contents")
def contents(call: Call) -> Any:
    return folders.contents(_project(call), call.path["folder"])


@router.get(ONE + "/contents/{file:path}")
def get_file(call: Call) -> Any:
    path = folders.file_of(_project(call), call.path["folder"], call.path["file"])
    return FileResponse(path, media_type="application/octet-stream")


@router.post(ONE + "/contents/{file:path}")
def put_file(call: Call) -> Any:
    return folders.put_file(_project(call), call.path["folder"], call.path["file"], call.file())


@router.delete(ONE + "/contents/{file:path}")
def delete_file(call: Call) -> Any:
    target = folders.file_of(_project(call), call.path["folder"], call.path["file"], must_exist=False)
    if target.is_dir():
        shutil.rmtree(target)
    else:
        target.unlink(missing_ok=True)


@router.post("/projects/{key}/actions/renameManagedFolder")
def rename(call: Call) -> Any:
    objects, body = FOLDER.of(_project(call)), call.json_object()
    identity = str(body.get("id", ""))
    objects.save(identity, {**objects.get(identity), "name": str(body.get("newName", ""))}, call.user)
