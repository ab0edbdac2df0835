"""Managed folders: their definitions and files."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from mlops_steps.sandbox.http.routing import Upload
from mlops_steps.sandbox.node.errors import bad_request, not_found
from mlops_steps.sandbox.runtime.lib.dataiku._layout import FOLDER_CONNECTION, LayoutError, inside
from mlops_steps.sandbox.services.flow.kinds import FOLDER
from mlops_steps.sandbox.services.flow.places import places_of
from mlops_steps.sandbox.services.projects.model import Project
from mlops_steps.sandbox.services.projects.objects import new_id


def create(project: Project, body: dict[str, Any], user: str) -> str:
    """Creates a managed folder and returns its id.

    :raises DssError: 400, the node does not have the connection.
    """
    params = body.get("params") or {}
    connection = params.get("connection") or FOLDER_CONNECTION
    if connection not in project.node.connections():
        raise bad_request(f"managed folder: connection {connection!r} does not exist on node {project.node.id}")
    identity = new_id()
    definition: dict[str, Any] = {
        "id": identity,
        "name": body.get("name") or identity,
        "type": body.get("type") or "Filesystem",
        "params": {"connection": connection, "path": params.get("path", "/${projectKey}/${odbId}")},
        "partitioning": {"dimensions": []},
        "tags": [],
    }
    FOLDER.of(project).create(identity, definition, user)
    return identity


def root_of(project: Project, folder_id: str) -> Path:
    """Where the files of a managed folder lie.

    :raises DssError: 404, no such folder; 400, the sandbox cannot reach it.
    """
    FOLDER.of(project).get(folder_id)
    try:
        return places_of(project).folder(folder_id)
    except LayoutError as error:
        raise bad_request(str(error)) from None


def contents(project: Project, folder_id: str) -> dict[str, Any]:
    """The files: path, size in bytes, and when they were changed in milliseconds."""
    root = root_of(project, folder_id)
    items = []
    for path in sorted(root.rglob("*")) if root.is_dir() else []:
        if path.is_file():
            stat = path.stat()
            where = "/" + str(path.relative_to(root))
            items.append({"path": where, "size": stat.st_size, "lastModified": int(stat.st_mtime * 1000)})
    return {"items": items}


def file_of(project: Project, folder_id: str, path: str, must_exist: bool = True) -> Path:
    """A file of a managed folder.

    :raises DssError: 400, the path leaves the folder; 404, no such file.
    """
    try:
        target = inside(root_of(project, folder_id), path)
    except LayoutError as error:
        raise bad_request(str(error)) from None
    if must_exist and not target.is_file():
        raise not_found(f"managed folder {folder_id} has no file {path}")
    return target


def put_file(project: Project, folder_id: str, path: str, upload: Upload) -> dict[str, Any]:
    """Writes a file."""
    target = file_of(project, folder_id, path, must_exist=False)
    size = upload.save(target)
    return {"path": "/" + path.lstrip("/"), "size": size, "lastModified": int(target.stat().st_mtime * 1000)}


def delete(project: Project, folder_id: str, drop_data: bool, user: str) -> None:
    """Deletes a managed folder, and with ``drop_data`` its files."""
    root = root_of(project, folder_id)
    FOLDER.of(project).delete(folder_id, user)
    if drop_data:
        shutil.rmtree(root, ignore_errors=True)
