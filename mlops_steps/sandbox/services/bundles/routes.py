"""Bundles over HTTP: export and publish on a Design node, import and activation on an Automation node."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Any

from mlops_steps.sandbox.http.routing import Call, Router, archive_response
from mlops_steps.sandbox.node.errors import bad_request
from mlops_steps.sandbox.node.store import iso_time
from mlops_steps.sandbox.services.bundles import activation, project_routes
from mlops_steps.sandbox.services.bundles.export import export_bundle
from mlops_steps.sandbox.services.bundles.importing import create_from_bundle, import_bundle
from mlops_steps.sandbox.services.bundles.model import exported, imported, staged_copy
from mlops_steps.sandbox.services.projects.model import Project, active_bundle_id

design = Router(only="DESIGN")
design.routes.extend(project_routes.router.routes)
automation = Router(only="AUTOMATION")


def exported_item(record: dict[str, Any]) -> dict[str, Any]:
    """A bundle of a Design node as the lists show it."""
    return {
        "bundleId": record["bundleId"],
        "state": "ARCHIVE_AVAILABLE",
        "releaseNotes": record.get("releaseNotes", ""),
        "exportManifest": record["exportManifest"],
        "archiveSize": record["size"],
        **record.get("published", {}),
    }


# ---- Design node


@design.get("/projects/{key}/bundles/exported")
def list_exported(call: Call) -> Any:
    project = Project.load(call.node, call.path["key"])
    return {"bundles": [exported_item(record) for record in exported(call.node, project.key).list()]}


@design.put("/projects/{key}/bundles/exported/{bundle}")
def export(call: Call) -> Any:
    notes = call.params.get("releaseNotes", "")
    standards = call.flag("evaluateProjectStandardsChecks", True)
    record = export_bundle(call.node, call.path["key"], call.path["bundle"], notes, call.user, standards)
    return exported_item(record)


@design.get("/projects/{key}/bundles/exported/{bundle}")
def exported_details(call: Call) -> Any:
    return exported_item(exported(call.node, call.path["key"]).get(call.path["bundle"]))


@design.get("/projects/{key}/bundles/exported/{bundle}/archive")
def exported_archive(call: Call) -> Any:
    key, bundle_id = call.path["key"], call.path["bundle"]
    archive = exported(call.node, key).open(bundle_id)
    return archive_response(archive.path, f"dss-bundle-{key}-{bundle_id}.zip")


@design.delete("/projects/{key}/bundles/exported/{bundle}")
def delete_exported(call: Call) -> Any:
    exported(call.node, call.path["key"]).delete(call.path["bundle"])
    return {"msg": f"Bundle {call.path['bundle']} deleted"}


# ---- Automation node


def imported_item(call: Call, record: dict[str, Any]) -> dict[str, Any]:
    """A bundle of an Automation node as the lists show it."""
    active = active_bundle_id(call.node, call.path["key"])
    return {
        "bundleId": record["bundleId"],
        "importState": {
            "bundleId": record["bundleId"],
            "importedOn": iso_time(record["addedOn"]),
            "importedBy": record["addedBy"],
        },
        "active": record["bundleId"] == active,
        "releaseNotes": record["exportManifest"].get("releaseNotes", ""),
        "exportManifest": record["exportManifest"],
        "archiveSize": record["size"],
        "archiveSha256": record["sha256"],
    }


def _uploaded(call: Call) -> tuple[Path, str]:
    upload = call.file()
    staged = call.node.tmp_dir / f"{secrets.token_hex(8)}.zip"
    upload.save(staged)
    return staged, upload.filename


def _from_path(call: Call) -> tuple[Path, str]:
    path = Path(call.params.get("archivePath", ""))
    if not path.is_absolute():
        raise bad_request("archivePath must be an absolute path on the node")
    return staged_copy(call.node, path), path.name


@automation.post("/projectsFromBundle")
def project_from_upload(call: Call) -> Any:
    staged, name = _uploaded(call)
    return create_from_bundle(call.node, staged, name, call.user, call.params.get("projectKey"))


@automation.post("/projectsFromBundle/fromArchive")
def project_from_archive(call: Call) -> Any:
    staged, name = _from_path(call)
    return create_from_bundle(call.node, staged, name, call.user, call.params.get("projectKey"))


@automation.get("/projects/{key}/bundles/imported")
def list_imported(call: Call) -> Any:
    project = Project.load(call.node, call.path["key"])
    return {"bundles": [imported_item(call, record) for record in imported(call.node, project.key).list()]}


@automation.post("/projects/{key}/bundles/imported/actions/importFromStream")
def import_from_stream(call: Call) -> Any:
    staged, name = _uploaded(call)
    return imported_item(call, import_bundle(call.node, call.path["key"], staged, name, call.user))


@automation.post("/projects/{key}/bundles/imported/actions/importFromArchive")
def import_from_archive(call: Call) -> Any:
    staged, name = _from_path(call)
    return imported_item(call, import_bundle(call.node, call.path["key"], staged, name, call.user))


@automation.get("/projects/{key}/bundles/imported/{bundle}")
def imported_details(call: Call) -> Any:
    return imported_item(call, imported(call.node, call.path["key"]).get(call.path["bundle"]))


@automation.post("/projects/{key}/bundles/imported/{bundle}/actions/preload")
def preload_imported(call: Call) -> Any:
    return activation.preload(call.node, call.path["key"], call.path["bundle"])


@automation.post("/projects/{key}/bundles/imported/{bundle}/actions/activate")
def activate_imported(call: Call) -> Any:
    scenarios = call.json_object().get("scenariosActiveOnActivation") or {}
    if not isinstance(scenarios, dict):
        raise bad_request("scenariosActiveOnActivation must be an object: scenario id → true or false")
    return activation.activate(call.node, call.path["key"], call.path["bundle"], scenarios, call.user)


@automation.delete("/projects/{key}/bundles/imported/{bundle}")
def delete_imported(call: Call) -> Any:
    key, bundle_id = call.path["key"], call.path["bundle"]
    with call.node.lock(key):
        store = imported(call.node, key)
        store.get(bundle_id)
        activation.refuse_active(call.node, key, bundle_id)
        store.delete(bundle_id)
    return {"msg": f"Bundle {bundle_id} deleted"}
