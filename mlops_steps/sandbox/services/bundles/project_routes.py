"""Whole projects over HTTP: export, import, duplication. On Design nodes only, as the client says."""

from __future__ import annotations

import secrets
from typing import Any

from starlette.background import BackgroundTask

from mlops_steps.sandbox.http.routing import Call, Router, archive_response
from mlops_steps.sandbox.services.bundles import projects

router = Router(only="DESIGN")


@router.post("/projects/{key}/export")
def export(call: Call) -> Any:
    key = call.path["key"]
    path = projects.export_project(call.node, key, call.json_object(), call.user)
    response = archive_response(path, f"{key}.zip")
    response.background = BackgroundTask(path.unlink, missing_ok=True)
    return response


@router.post("/projects/{key}/duplicate")
def duplicate(call: Call) -> Any:
    return projects.duplicate(call.node, call.path["key"], call.json_object(), call.user)


@router.post("/projects/import/upload")
def upload(call: Call) -> Any:
    staged = call.node.tmp_dir / f"{secrets.token_hex(8)}.zip"
    call.file().save(staged)
    return {"id": projects.prepare_import(call.node, staged)}


@router.post("/projects/import/{import_id}/process")
def process(call: Call) -> Any:
    return projects.execute_import(call.node, call.path["import_id"], call.json_object(), call.user)
