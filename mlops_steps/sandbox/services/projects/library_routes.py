"""The project's library over HTTP."""

from __future__ import annotations

from typing import Any

from mlops_steps.sandbox.http.routing import Call, Router
from mlops_steps.sandbox.services.projects.library import Library
from mlops_steps.sandbox.services.projects.model import Project

router = Router()


def _library(call: Call) -> Library:
    return Library(Project.load(call.node, call.path["key"]), call.user)


@router.get("/projects/{key}/libraries/contents")
def tree(call: Call) -> Any:
    return _library(call).tree()


@router.get("/projects/{key}/libraries/contents/{file:path}")
def read(call: Call) -> Any:
    return _library(call).read(call.path["file"], call.params.get("dataEncoding"))


@router.post("/projects/{key}/libraries/contents/{file:path}")
def write(call: Call) -> Any:
    _library(call).write(call.path["file"], call.body)


@router.delete("/projects/{key}/libraries/contents/{file:path}")
def delete(call: Call) -> Any:
    _library(call).delete(call.path["file"])


@router.post("/projects/{key}/libraries/folders/{file:path}")
def add_folder(call: Call) -> Any:
    _library(call).add_folder(call.path["file"])


@router.post("/projects/{key}/libraries/contents-actions/rename")
def rename(call: Call) -> Any:
    body = call.json_object()
    _library(call).rename(str(body.get("oldPath", "")), str(body.get("newName", "")))


@router.post("/projects/{key}/libraries/contents-actions/move")
def move(call: Call) -> Any:
    body = call.json_object()
    _library(call).move(str(body.get("oldPath", "")), str(body.get("newPath", "")))
