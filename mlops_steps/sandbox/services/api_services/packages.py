"""Packages of API services: archives that hold all that an API node needs to answer.

The layout is the sandbox's own: what a real DSS puts into such an archive is in no public source.
"""

from __future__ import annotations

import json
import secrets
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlops_steps.archive.contents import checked
from mlops_steps.sandbox.node.archives import ArchiveStore, add_tree, read_document, refusing, unpack
from mlops_steps.sandbox.node.errors import bad_request
from mlops_steps.sandbox.node.store import now_ms, safe_name
from mlops_steps.sandbox.services.api_services.model import (
    FUNCTION,
    PREDICTION,
    ApiServices,
    check_settings,
    refuse_what_is_not_served,
)
from mlops_steps.sandbox.services.flow import models
from mlops_steps.sandbox.services.flow.kinds import MODEL
from mlops_steps.sandbox.services.projects.model import Project

WHAT = "API service package"
MANIFEST = "package.json"
SETTINGS = "service.json"
LIBRARY = "lib"
MODELS = "saved_models"
_LEFT_OUT = {"__pycache__", ".pytest_cache", "tests"}


@dataclass(frozen=True)
class Package:
    """An archive that was found whole and harmless."""

    path: Path
    manifest: dict[str, Any]
    settings: dict[str, Any]

    @property
    def id(self) -> str:
        """The version of the service."""
        return str(self.manifest["packageId"])

    @property
    def service_id(self) -> str:
        """The service on the Design node."""
        return str(self.manifest["serviceId"])

    @property
    def notes(self) -> str:
        """The release notes."""
        return str(self.manifest.get("releaseNotes") or "")


def packages_of(project: Project, service_id: str) -> ArchiveStore:
    """The packages of a service on the Design node. Raises 404."""
    ApiServices(project).get(service_id)
    return ArchiveStore(project.node.dir / "api_packages" / project.key / service_id, WHAT)


def create_package(project: Project, service_id: str, package_id: str, notes: str, user: str, version: str) -> None:
    """Packages a service as it is now, with the active versions of its models.

    :param version: of DSS, for the manifest.
    :raises DssError: 404, 400 for a bad id or a service that can't be served, 409 for an id that is taken.
    """
    safe_name(package_id, f"{WHAT} id")
    store = packages_of(project, service_id)
    with project.node.lock(project.key):
        store.refuse_known(package_id)
        settings = ApiServices(project).get(service_id)
        refuse_what_is_not_served(settings)
        draft = project.node.tmp_dir / f"{secrets.token_hex(8)}.zip"
        try:
            manifest = {
                "packageId": package_id,
                "serviceId": service_id,
                "projectKey": project.key,
                "createdOn": now_ms(),
                "createdBy": user,
                "releaseNotes": notes,
                "generatedWithDSSVersion": version,
            }
            _write(project, draft, manifest, settings)
            store.take(draft, package_id, user, manifest=manifest, releaseNotes=notes)
        finally:
            draft.unlink(missing_ok=True)


def _write(project: Project, draft: Path, manifest: dict[str, Any], settings: dict[str, Any]) -> None:
    with zipfile.ZipFile(draft, "w", zipfile.ZIP_DEFLATED, compresslevel=6, strict_timestamps=False) as archive:
        archive.writestr(MANIFEST, json.dumps(manifest, indent=2, ensure_ascii=False))
        add_tree(archive, project.library_dir, LIBRARY, lambda path: not _LEFT_OUT.intersection(path.parts))
        endpoints, models_in = [], set()
        for endpoint in settings["endpoints"]:
            if endpoint["type"] == PREDICTION:
                place, files = _model_files(project, endpoint)
                if place not in models_in:
                    models_in.add(place)
                    add_tree(archive, files, place)
                endpoint = {**endpoint, "modelPath": place}
            endpoints.append(endpoint)
        kept = {name: value for name, value in settings.items() if name not in ("versionTag", "creationTag")}
        archive.writestr(SETTINGS, json.dumps({**kept, "endpoints": endpoints}, indent=2, ensure_ascii=False))


def _model_files(project: Project, endpoint: dict[str, Any]) -> tuple[str, Path]:
    """The place of the endpoint's model in the archive, and where its active version lies. Raises 400 and 404."""
    model_id = str(endpoint["modelRef"])
    active = MODEL.of(project).get(model_id).get("activeVersion")
    if not active:
        raise bad_request(f"Endpoint {endpoint['id']}: saved model {model_id} has no active version")
    models.version(project, model_id, active)
    files = models.versions_dir(project, model_id) / active
    if not (files / models.VERSION_FILE).is_file():
        raise bad_request(f"Endpoint {endpoint['id']}: the active version of saved model {model_id} holds no estimator")
    return f"{MODELS}/{model_id}/{active}", files


def check_package(path: Path) -> Package:
    """Reads the whole archive without writing anything.

    Raises :class:`DssError` (400) when it is not a zip, is damaged, is not a package, or could do harm
    (:mod:`mlops_steps.archive.contents`).
    """
    with refusing(WHAT), checked(path) as archive:
        manifest = read_document(archive, MANIFEST, WHAT)
        settings = read_document(archive, SETTINGS, WHAT)
        names = set(archive.namelist())
    if not isinstance(manifest, dict) or not isinstance(settings, dict):
        raise bad_request(f"The archive is not an {WHAT}: it has no {MANIFEST} or no {SETTINGS}")
    safe_name(manifest.get("packageId", ""), f"{WHAT} id")
    safe_name(manifest.get("serviceId", ""), "service id")
    check_settings(settings)
    for endpoint in settings.get("endpoints", []):
        if endpoint["type"] == PREDICTION and f"{endpoint.get('modelPath')}/{models.VERSION_FILE}" not in names:
            raise bad_request(f"The {WHAT} lacks the model of endpoint {endpoint['id']}")
        if endpoint["type"] == FUNCTION and not endpoint.get("code"):
            raise bad_request(f"The {WHAT} lacks the code of endpoint {endpoint['id']}")
    return Package(path, manifest, {"id": manifest["serviceId"], "authMethod": "PUBLIC", "endpoints": [], **settings})


def unpack_package(package: Package, target: Path) -> None:
    """Unpacks a checked package into ``target``."""
    unpack(package.path, target, WHAT)


def summary(record: dict[str, Any]) -> dict[str, Any]:
    """A package as the Design node lists it."""
    return {
        "id": record["id"],
        "createdOn": record["addedOn"],
        "createdBy": record["addedBy"],
        "releaseNotes": record.get("releaseNotes", ""),
        "archiveSize": record["size"],
        **({"published": record["published"]} if record.get("published") else {}),
    }
