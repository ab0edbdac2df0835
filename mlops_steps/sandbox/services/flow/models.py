"""Saved models: their versions on disk, and what bundles carry of them."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from mlops_steps.sandbox.node.errors import conflict, not_found
from mlops_steps.sandbox.node.store import read_json, safe_name
from mlops_steps.sandbox.services.flow.kinds import MODEL
from mlops_steps.sandbox.services.flow.model_files import document_of
from mlops_steps.sandbox.services.flow.places import places_of
from mlops_steps.sandbox.services.projects.model import Project

VERSION_FILE = "version.json"


def versions_dir(project: Project, model_id: str) -> Path:
    """Where the versions of a saved model lie on this node."""
    return places_of(project).model(safe_name(model_id, "saved model id"))


def versions(project: Project, model_id: str) -> list[dict[str, Any]]:
    """The versions as the client lists them, newest first."""
    active = MODEL.of(project).get(model_id).get("activeVersion")
    folders = [path for path in versions_dir(project, model_id).glob("*") if path.is_dir() and path.name[0] != "."]
    definition = MODEL.of(project).get(model_id)
    found = [_document(folder, definition) for folder in folders]
    found.sort(key=lambda version: int(version.get("trainDate") or 0), reverse=True)
    return [
        {
            "id": version["id"],
            "active": version["id"] == active,
            "snippet": snippet(project, model_id, version),
            "versionTag": {"lastModifiedOn": version.get("trainDate")},
        }
        for version in found
    ]


def version(project: Project, model_id: str, version_id: str) -> dict[str, Any]:
    """What is known of a version.

    :raises DssError: 404, there is none on this node.
    """
    definition = MODEL.of(project).get(model_id)
    folder = versions_dir(project, model_id) / safe_name(version_id, "version id")
    if not folder.is_dir():
        raise not_found(f"saved model {model_id} has no version {version_id} on node {project.node.id}")
    return _document(folder, definition)


def _document(folder: Path, definition: dict[str, Any]) -> dict[str, Any]:
    # The sandbox writes one file; a version that a real DSS trained has several others.
    own = read_json(folder / VERSION_FILE)
    return own if isinstance(own, dict) else document_of(folder, definition)


def full_id(project: Project, model_id: str, version_id: str) -> str:
    """The id by which DSS calls a version of a saved model."""
    return f"S-{project.key}-{model_id}-{version_id}"


def snippet(project: Project, model_id: str, document: dict[str, Any]) -> dict[str, Any]:
    """The short form of a version: metrics, algorithm, training date in milliseconds."""
    date, parts = document.get("trainDate"), document.get("parts") or {}
    meta: dict[str, Any] = {"name": document.get("algorithm"), "description": "", "starred": False, "labels": []}
    return {
        **document.get("metrics", {}),
        "fullModelId": full_id(project, model_id, document["id"]),
        "trainDate": date,
        "algorithm": document.get("algorithm"),
        "predictionType": document.get("predictionType"),
        "backendType": "PY_MEMORY",
        "userMeta": {**meta, **parts.get("userMeta", {})},
        "trainInfo": parts.get("trainInfo") or {"state": "DONE", "startTime": date, "endTime": date},
    }


def details(project: Project, model_id: str, version_id: str) -> dict[str, Any]:
    """The details of a version, as the client's ``get_version_details`` reads them."""
    document = version(project, model_id, version_id)
    short = snippet(project, model_id, document)
    return {
        "fullModelId": short["fullModelId"],
        "trainInfo": short["trainInfo"],
        "userMeta": short["userMeta"],
        "perf": {"metrics": document.get("metrics", {})},
        "iperf": {},
        "coreParams": {
            "prediction_type": document.get("predictionType"),
            "target_variable": document.get("target"),
        },
        "modeling": {"algorithm": document.get("algorithm")},
        "preprocessing": {"per_feature": {name: {"role": "INPUT"} for name in document.get("features", [])}},
        "mlDiagnostics": {"diagnostics": []},
        "smOrigin": {"origin": "SCRIPT", "recipe": document.get("recipe")},
        "actualParams": {"resolved": {"algorithm": document.get("algorithm")}, "other": {}},
        "splitDesc": {},
        **{name: part for name, part in (document.get("parts") or {}).items() if name not in ("trainInfo", "userMeta")},
    }


def metric_values(project: Project, model_id: str, version_id: str) -> dict[str, Any]:
    """The metrics of a version in the form of computed metrics."""
    document = version(project, model_id, version_id)
    metrics = []
    for name, value in document.get("metrics", {}).items():
        identity = f"model_perf:{name.upper()}"
        last = {"partition": "NP", "value": str(value), "dataType": "DOUBLE", "computed": document.get("trainDate")}
        metrics.append({"metric": {"id": identity, "type": "model_perf", "dataType": "DOUBLE"}, "lastValues": [last]})
    return {"metrics": metrics}


def set_active(project: Project, model_id: str, version_id: str, user: str) -> None:
    """Makes a version the active one."""
    version(project, model_id, version_id)
    models = MODEL.of(project)
    with project.node.lock(project.key):
        models.save(model_id, {**models.get(model_id), "activeVersion": version_id}, user)


def delete_versions(project: Project, model_id: str, wanted: list[str]) -> None:
    """Deletes versions.

    :raises DssError: 409, one of them is active.
    """
    active = MODEL.of(project).get(model_id).get("activeVersion")
    for version_id in wanted:
        version(project, model_id, version_id)
        if version_id == active:
            raise conflict(f"version {version_id} of saved model {model_id} is active: it cannot be deleted")
    for version_id in wanted:
        shutil.rmtree(versions_dir(project, model_id) / version_id)


def delete(project: Project, model_id: str, user: str) -> None:
    """Deletes a saved model with its versions."""
    MODEL.of(project).delete(model_id, user)
    shutil.rmtree(versions_dir(project, model_id).parent, ignore_errors=True)
