"""Whole projects on a Design node: exported to a file, imported from one, duplicated."""

from __future__ import annotations

import secrets
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mlops_steps.sandbox.node.errors import DssError, bad_request, conflict, not_found
from mlops_steps.sandbox.node.messages import message, report
from mlops_steps.sandbox.node.node import Node
from mlops_steps.sandbox.node.store import PRIVATE_DIR, read_json, safe_name, write_json
from mlops_steps.sandbox.services.bundles.activation import remap, take_data
from mlops_steps.sandbox.services.bundles.archive import BundleArchive, check_archive, extract
from mlops_steps.sandbox.services.bundles.export import LOCAL_VARIABLES, export_options, write_archive
from mlops_steps.sandbox.services.bundles.needs import missing_on, needs_of, remapped_names
from mlops_steps.sandbox.services.projects.git import ProjectGit
from mlops_steps.sandbox.services.projects.model import CONFIG, DEFAULT_LIBRARIES, Project, default_params

_PREPARED = "import-"
# Modes of duplication → the data that go along, besides uploads. SHARING would expose the original's datasets.
DUPLICATION_MODES: dict[str, dict[str, bool]] = {
    "NONE": {"exportUploads": False},
    "MINIMAL": {},
    "FULL": {"exportAllDatasets": True, "exportManagedFolders": True},
}


def export_project(node: Node, key: str, chosen: Mapping[str, Any], user: str) -> Path:
    """Exports the project as it is now; the caller deletes the file. Raises 404, and 400 for bad options."""
    project = Project.load(node, key)
    options = export_options({"exportUploads": False, **chosen})
    draft = node.tmp_dir / f"{secrets.token_hex(8)}.zip"
    with node.lock(key):
        write_archive(project, draft, options, user)
    return draft


def prepare_import(node: Node, staged: Path) -> str:
    """Checks an uploaded archive (it is moved) and returns the id of the import. Raises 400."""
    try:
        check_archive(staged)
        import_id = secrets.token_hex(8)
        staged.replace(_prepared(node, import_id))
        return import_id
    finally:
        staged.unlink(missing_ok=True)


def _prepared(node: Node, import_id: str) -> Path:
    return node.tmp_dir / f"{_PREPARED}{safe_name(import_id, 'import id')}.zip"


def execute_import(node: Node, import_id: str, settings: Mapping[str, Any], user: str) -> dict[str, Any]:
    """Makes a project of a prepared archive, which is used up when that succeeds.

    :return: ``success``, ``messages`` and, when it succeeded, ``usedProjectKey``. A key that is taken is such a
        failure, not an error of HTTP: the client says to look at ``success``.
    :raises DssError: 404, no such import is prepared.
    """
    path = _prepared(node, import_id)
    if not path.is_file():
        raise not_found(f"project import {import_id} does not exist, or was executed already")
    archive = check_archive(path)
    try:
        key = settings.get("targetProjectKey") or archive.project_key
        if not key:
            raise bad_request("The archive does not name the key of its project: give targetProjectKey")
        remapping = settings.get("remapping") or {}
        missing = create_from_archive(node, str(key), archive, remapping, user)
    except DssError as error:
        failure = message("ERROR", "ERR_PROJECT_IMPORT", "Import failed", error.message, fatal=True)
        return {**report([failure]), "success": False}
    path.unlink()
    warnings = [
        message("WARNING", "WARN_PROJECT_IMPORT_MISSING", "Missing on the node", f"Project {key} needs {phrase}")
        for phrase in missing
    ]
    return {**report(warnings), "success": True, "usedProjectKey": key}


def create_from_archive(
    node: Node,
    key: str,
    archive: BundleArchive,
    remapping: Mapping[str, Any],
    user: str,
    changes: Mapping[str, Any] | None = None,
) -> list[str]:
    """Creates a project with the content of an archive, whole or not at all; ``changes`` go into ``params.json``.

    Returns what the node lacks, as phrases. Raises 400 for a bad key, 409 for one that is taken.
    """
    place = node.project_dir(key)
    staged = Path(tempfile.mkdtemp(prefix="staged-", dir=node.tmp_dir))
    try:
        extract(archive, staged)
        config = staged / CONFIG
        given = read_json(config / "params.json", {})
        own = {name: value for name, value in given.items() if name not in ("projectKey", "originalProjectKey")}
        params = {**default_params(str(own.get("name") or key), user), **own, **(changes or {})}
        write_json(config / "params.json", params)
        remap(config, remapped_names(remapping))
        defaults = {"variables.json": {}, LOCAL_VARIABLES: {}, "lib/external-libraries.json": DEFAULT_LIBRARIES}
        for name, document in defaults.items():
            if not (config / name).exists():
                write_json(config / name, document)
        ProjectGit(config).adopt()
        for folder in (staged / "uploads", config / "lib" / "python"):
            folder.mkdir(mode=PRIVATE_DIR, parents=True, exist_ok=True)
        missing = missing_on(node, needs_of(staged, {}), {})
        with node.lock(key):
            if Project.exists(node, key):
                raise conflict(f"project {key} already exists on node {node.id}")
            project = Project(node, key)
            project.data_dir.mkdir(mode=PRIVATE_DIR, parents=True, exist_ok=True)
            take_data(project.data_dir, staged)
            staged.rename(place)
            project.commit(f"Imported project {key}", user)
        return missing
    finally:
        shutil.rmtree(staged, ignore_errors=True)


def duplicate(node: Node, key: str, wanted: Mapping[str, Any], user: str) -> dict[str, Any]:
    """Copies a project under another key. Raises 404, 400 and 409."""
    target = safe_name(wanted.get("targetProjectKey") or "", "project key")
    mode = wanted.get("duplicationMode") or "MINIMAL"
    if mode not in DUPLICATION_MODES:
        raise bad_request(f"not supported by the sandbox: duplicationMode {mode!r}: {', '.join(DUPLICATION_MODES)}")
    options = {
        "exportUploads": True,
        "exportSavedModels": wanted.get("exportSavedModels", True),
        "exportGitRepository": wanted.get("exportGitRepository") is not False,
        **DUPLICATION_MODES[mode],
    }
    path = export_project(node, key, options, user)
    try:
        changes = {"name": wanted.get("targetProjectName") or target}
        create_from_archive(node, target, check_archive(path), wanted.get("remapping") or {}, user, changes)
    finally:
        path.unlink(missing_ok=True)
    return {"sourceProjectKey": key, "targetProjectKey": target}
