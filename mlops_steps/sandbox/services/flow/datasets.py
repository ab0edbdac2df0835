"""Datasets: their definitions and data."""

from __future__ import annotations

import csv
import shutil
from typing import Any

from mlops_steps.sandbox.http.routing import Upload
from mlops_steps.sandbox.node.errors import bad_request, conflict
from mlops_steps.sandbox.node.store import safe_name
from mlops_steps.sandbox.runtime.lib.dataiku._layout import (
    MANAGED_CONNECTION,
    DatasetData,
    LayoutError,
    open_data,
)
from mlops_steps.sandbox.services.flow.kinds import DATASET
from mlops_steps.sandbox.services.flow.places import places_of
from mlops_steps.sandbox.services.projects.model import Project

MANAGED_FORMAT = {
    "style": "excel",
    "charset": "utf8",
    "separator": "\t",
    "quoteChar": '"',
    "parseHeaderRow": False,
    "skipRowsBeforeHeader": 0,
    "skipRowsAfterHeader": 0,
    "compress": "",
}
UPLOAD_FORMAT = {**MANAGED_FORMAT, "separator": ",", "parseHeaderRow": True}


def data_of(project: Project, name: str) -> DatasetData:
    """A dataset's data.

    :raises DssError: 404, no such dataset; 400, the sandbox cannot reach its data.
    """
    DATASET.of(project).get(name)
    try:
        return places_of(project).dataset(name)
    except LayoutError as error:
        raise bad_request(str(error)) from None


def create(project: Project, body: dict[str, Any], user: str) -> None:
    """Creates a dataset as the client's ``create_*_dataset`` describe it."""
    name, kind = str(body.get("name", "")), body.get("type")
    if not kind:
        raise bad_request("A dataset needs a type")
    default = UPLOAD_FORMAT if kind in ("UploadedFiles", "FilesInFolder") else MANAGED_FORMAT
    definition = {
        "name": name,
        "type": kind,
        "managed": False,
        "params": body.get("params") or {},
        "formatType": body.get("formatType") or "csv",
        "formatParams": body.get("formatParams") or default,
        "schema": body.get("schema") or {"columns": [], "userModified": False},
        **_common(),
    }
    DATASET.of(project).create(name, definition, user)


def create_managed(project: Project, name: str, settings: dict[str, Any], user: str) -> None:
    """Creates a managed dataset in a connection of the node.

    :raises DssError: 400, the node does not have the connection.
    """
    connection = settings.get("connectionId") or MANAGED_CONNECTION
    if connection not in project.node.connections():
        raise bad_request(f"dataset {name}: connection {connection!r} does not exist on node {project.node.id}")
    definition = {
        "name": name,
        "type": "Filesystem",
        "managed": True,
        "params": {"connection": connection, "path": f"/${{projectKey}}/{name}"},
        "formatType": "csv",
        "formatParams": MANAGED_FORMAT,
        "schema": {"columns": [], "userModified": False},
        **_common(),
    }
    DATASET.of(project).create(name, definition, user)


def _common() -> dict[str, Any]:
    return {
        "tags": [],
        "partitioning": {"dimensions": []},
        "flowOptions": {"virtualizable": False, "rebuildBehavior": "NORMAL"},
        "metrics": {"probes": [], "displayedState": {"metrics": []}},
        "metricsChecks": {"runOnBuild": False, "checks": []},
        "customMeta": {"kv": {}},
    }


def delete(project: Project, name: str, drop_data: bool, user: str) -> None:
    """Deletes a dataset, and with ``drop_data`` what it holds."""
    objects = DATASET.of(project)
    definition = objects.get(name)
    if drop_data and (definition.get("managed") or definition.get("type") == "UploadedFiles"):
        shutil.rmtree(data_of(project, name).directory, ignore_errors=True)
    objects.delete(name, user)


def clear(project: Project, name: str) -> None:
    """Deletes the data of a managed dataset.

    :raises DssError: 400, it is not managed.
    """
    data = data_of(project, name)
    if not data.writable:
        raise bad_request(f"dataset {name} cannot be cleared: it is not a managed dataset")
    shutil.rmtree(data.directory, ignore_errors=True)


# ---- uploaded files


def add_file(project: Project, name: str, upload: Upload, user: str) -> None:
    """Adds a file to an uploaded dataset; the first one gives the schema when there is none."""
    objects = DATASET.of(project)
    definition = objects.get(name)
    if definition.get("type") != "UploadedFiles":
        raise conflict(f"dataset {name} is not an uploaded dataset")
    with project.node.lock(project.key):
        upload.save(project.uploads_dir / name / safe_name(upload.filename, "file name"))
        if not definition["schema"]["columns"]:
            objects.save(
                name, {**definition, "schema": {**definition["schema"], "columns": detect(project, name)}}, user
            )


def uploaded_files(project: Project, name: str) -> list[dict[str, Any]]:
    """The files of an uploaded dataset: path and length in bytes."""
    data = data_of(project, name)
    return [{"path": str(path.relative_to(data.directory)), "length": path.stat().st_size} for path in data.files()]


def detect(project: Project, name: str) -> list[dict[str, str]]:
    """The columns that a dataset's first file names; all are text, as DSS leaves them unless it is told to infer."""
    data = data_of(project, name)
    files = data.files()
    if not files:
        raise bad_request(f"dataset {name} has no data")
    with open_data(files[0], data.format.encoding) as lines:
        reader = csv.reader(lines, **data.format.reader_arguments())
        first: list[str] = []
        for number, row in enumerate(reader):
            first = row
            if number >= data.format.skip_before:
                break
    names = first if data.format.header else [f"col_{number}" for number in range(len(first))]
    return [{"name": column, "type": "string"} for column in names]
