"""Importing a bundle on an Automation node, and making a project from its first one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mlops_steps.sandbox.node.errors import bad_request
from mlops_steps.sandbox.node.node import Node
from mlops_steps.sandbox.services.bundles.archive import check_archive
from mlops_steps.sandbox.services.bundles.model import imported
from mlops_steps.sandbox.services.projects.model import Project, create


def import_bundle(node: Node, key: str, staged: Path, file_name: str, user: str) -> dict[str, Any]:
    """Takes the archive ``staged`` (it is moved) into a project and returns the bundle's record.

    Raises 404 for an unknown project, 400 for an archive that is refused, 409 for a bundle that is there already.
    """
    try:
        project = Project.load(node, key)
        archive = check_archive(staged)
        archive.refuse_project_export(file_name)
        with node.lock(key):
            bundle_id = archive.bundle_id(file_name)
            return imported(node, project.key).add(archive, bundle_id, user)
    finally:
        staged.unlink(missing_ok=True)


def create_from_bundle(node: Node, staged: Path, file_name: str, user: str, wanted_key: str | None) -> dict[str, Any]:
    """Makes a project from its first bundle, which is imported and not active yet.

    The project's key is the one in the bundle, unless ``wanted_key`` is given. Raises 400 and 409.
    """
    try:
        archive = check_archive(staged)
        archive.refuse_project_export(file_name)
        key = wanted_key or archive.project_key
        if key is None:
            raise bad_request("The bundle does not name its project")
        bundle_id = archive.bundle_id(file_name)
        with node.lock(key):
            known = imported(node, key)
            name = str(archive.params.get("name") or key)
            project = create(node, key, name, str(archive.params.get("owner") or user))
            # Bundles of a project that was deleted are no bundles of the new one.
            for record in known.list():
                known.delete(record["bundleId"])
            record = known.add(archive, bundle_id, user)
            return {"projectKey": project.key, "bundleId": record["bundleId"]}
    finally:
        staged.unlink(missing_ok=True)
