"""Exporting a bundle from a Design node: a zip in the layout of a real one, written in a stream."""

from __future__ import annotations

import json
import secrets
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mlops_steps.sandbox.node.archives import add_tree
from mlops_steps.sandbox.node.errors import bad_request
from mlops_steps.sandbox.node.node import DSS_CONF_VERSION, Node
from mlops_steps.sandbox.node.store import iso_time, milliseconds, now_ms, read_json, safe_name
from mlops_steps.sandbox.services.bundles.archive import CHANGELOG, MANIFEST, BundleArchive
from mlops_steps.sandbox.services.bundles.model import exported
from mlops_steps.sandbox.services.bundles.needs import manifest_entries
from mlops_steps.sandbox.services.project_standards.model import Standards
from mlops_steps.sandbox.services.projects.model import EXPORT_OPTIONS, Project

MANIFEST_VERSION = 3
# Where a bundle keeps data of the project → where the node keeps it.
DATA_FOLDERS = {
    "saved_models": "saved_models",
    "managed_folders": "managed_folders",
    "fs_datasets_data": "managed_datasets",
}
# What ``actualContent.configContent`` of a bundle counts, and the folder in which the project keeps it.
CONTENT_COUNTS = {
    "datasets": "datasets",
    "recipes": "recipes",
    "savedModels": "saved_models",
    "managedFolders": "managed_folders",
    "scenarios": "scenarios",
    "insights": "insights",
    "dashboards": "dashboards",
}
CHANGELOG_COMMITS = 1000
# Jupyter notebooks, beside ``project_config/``.
NOTEBOOKS = "ipython_notebooks"
_LEFT_OUT = {"__pycache__", ".pytest_cache"}
LOCAL_VARIABLES = "localvariables.json"


def export_bundle(
    node: Node, key: str, bundle_id: str, release_notes: str, user: str, standards: bool = True
) -> dict[str, Any]:
    """Exports the project as it is now and returns the bundle's record.

    With ``standards``, the checks of Project Standards that apply to it are run, and their report is kept.

    Raises 404 for an unknown project, 400 for a bad id, 409 for one that is taken.
    """
    project = Project.load(node, key)
    safe_name(bundle_id, "bundle id")
    store = exported(node, key)
    with node.lock(key):
        store.refuse_known(bundle_id)
        options = export_options((project.params.get("bundleExporterSettings") or {}).get("exportOptions") or {})
        draft = node.tmp_dir / f"{secrets.token_hex(8)}.zip"
        named = {"bundleId": bundle_id, "releaseNotes": release_notes}
        known = store.list()
        try:
            changes = _changelog(project, known[-1] if known else None)
            manifest = write_archive(project, draft, options, user, named, changes)
            archive = BundleArchive(draft, manifest, project.params)
            report = Standards(node).report(project, None, user) if standards and node.has_project_standards else None
            return store.add(archive, bundle_id, user, releaseNotes=release_notes, projectStandardsReport=report)
        finally:
            draft.unlink(missing_ok=True)


def origin(project: Project) -> dict[str, Any]:
    """The node and project that a bundle comes from, as the Project Deployer shows it."""
    node = project.node
    return {"projectKey": project.key, "nodeId": node.id, "installId": node.id, "url": node.url}


def _changelog(project: Project, last: dict[str, Any] | None) -> dict[str, Any]:
    """What happened since the ``last`` bundle: its commits, the newest first. Git knows whole seconds only."""
    entries = project.git.log(None, None, CHANGELOG_COMMITS)["entries"]
    if last is None:
        return {"diffEntries": [], "logEntries": entries}
    since = int(last["addedOn"])
    return {
        "previousBundleId": last["bundleId"],
        "previousBundleTime": since,
        "diffEntries": [],
        "logEntries": [entry for entry in entries if (milliseconds(entry["timestamp"]) or 0) >= since - 1000],
    }


def export_options(chosen: Any) -> dict[str, Any]:
    """What an export takes along: the defaults, and what was ``chosen``. Raises 400 when that is not an object."""
    if not isinstance(chosen, dict):
        raise bad_request("The export options are not an object")
    return {**EXPORT_OPTIONS, **chosen}


def write_archive(
    project: Project,
    draft: Path,
    options: dict[str, Any],
    user: str,
    bundle: dict[str, Any] | None = None,
    changelog: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Writes the project into ``draft`` and returns the manifest.

    :param bundle: ``bundleId`` and ``releaseNotes``; None for the export of a project.
    :param changelog: what goes into ``changelog.json``; None for no such file.
    """
    named = bundle or {}
    with zipfile.ZipFile(draft, "w", zipfile.ZIP_DEFLATED, compresslevel=6, strict_timestamps=False) as archive:
        keep_git = bool(options["exportGitRepository"])
        add_tree(archive, project.config_dir, "project_config", lambda path: _is_configuration(path, keep_git))
        # Local variables are the node's own: they don't travel.
        archive.writestr(f"project_config/{LOCAL_VARIABLES}", "{}\n")
        content = _add_data(archive, project, options)
        if bundle is not None:
            content = {"configContent": _counts(project), **content}
        add_tree(archive, project.dir / NOTEBOOKS, NOTEBOOKS)
        archive.writestr("timelines/timeline.txt", "")
        manifest = {
            # The export of a project has neither this nor the counts, as far as published ones show.
            **({} if bundle is None else {"exportUserInfo": {**_now_by(user), **named}}),
            "exportedWithOptions": options,
            "actualContent": content,
            "originalProjectKey": project.key,
            "designNodeInfo": origin(project),
            **named,
            "manifestVersion": MANIFEST_VERSION,
            "generatedWithDSSVersion": project.node.dss_version,
            "generatedWithDSSConfVersion": DSS_CONF_VERSION,
            "exportedWithPlugins": [
                {"id": plugin.get("id"), "version": plugin.get("version")} for plugin in project.node.plugins()
            ],
            "hasPartitionedDataset": False,
            **manifest_entries(project.node, project.dir),
        }
        if changelog is not None:
            archive.writestr(CHANGELOG, json.dumps(changelog, indent=2, ensure_ascii=False))
        archive.writestr(MANIFEST, json.dumps(manifest, indent=2, ensure_ascii=False))
    return manifest


def _now_by(user: str) -> dict[str, str]:
    return {"exportedBy": user, "exportedOn": iso_time(now_ms())}


def _counts(project: Project) -> dict[str, int]:
    counts = {
        kind: sum(1 for _ in (project.config_dir / folder).glob("*.json")) for kind, folder in CONTENT_COUNTS.items()
    }
    return {**counts, "jupyterNotebooks": sum(1 for _ in (project.dir / NOTEBOOKS).glob("*.ipynb"))}


def _add_data(archive: zipfile.ZipFile, project: Project, options: dict[str, Any]) -> dict[str, Any]:
    datasets = []
    for name, definition in _definitions(project, "datasets"):
        if definition.get("type") == "UploadedFiles" and options["exportUploads"]:
            size = add_tree(archive, project.uploads_dir / name, f"uploads/{name}")
            datasets.append({"name": name, "type": "UploadedFiles", "usedTransferMethod": "UPLOAD", "size": size})
        elif _chosen(name, options, "includedDatasetsData", "exportAllDatasets", "exportManagedFS"):
            place = project.data_dir / DATA_FOLDERS["fs_datasets_data"] / name
            size = add_tree(archive, place, f"fs_datasets_data/{name}")
            kind = definition.get("type")
            datasets.append({"name": name, "type": kind, "usedTransferMethod": "RAW_FILES", "size": size})
    models = []
    for name, definition in _definitions(project, "saved_models"):
        if _chosen(name, options, "includedSavedModels", "exportSavedModels"):
            size = add_tree(archive, project.data_dir / "saved_models" / name, f"saved_models/{name}")
            models.append({"id": name, "name": definition.get("name", name), "size": size})
    folders = []
    for name, definition in _definitions(project, "managed_folders"):
        if _chosen(name, options, "includedManagedFolders", "exportManagedFolders"):
            size = add_tree(archive, project.data_dir / "managed_folders" / name, f"managed_folders/{name}")
            folders.append({"id": name, "name": definition.get("name", name), "size": size})
    return {
        "includedDatasets": datasets,
        "includedSavedModels": models,
        "includedManagedFolders": folders,
        "allAnalysisData": False,
        "insightsData": False,
    }


def _definitions(project: Project, folder: str) -> Iterator[tuple[str, dict[str, Any]]]:
    for path in sorted((project.config_dir / folder).glob("*.json")):
        definition = read_json(path)
        if isinstance(definition, dict):
            yield path.stem, definition


def _chosen(name: str, options: dict[str, Any], listed: str, *everything: str) -> bool:
    if any(options.get(option) for option in everything):
        return True
    for item in options.get(listed) or []:
        if item == name or (isinstance(item, dict) and name in (item.get("id"), item.get("name"))):
            return True
    return False


def _is_configuration(path: Path, keep_git: bool) -> bool:
    first = path.parts[0]
    if first == ".git":
        return keep_git
    temporary = path.name.startswith(".") and path.name.endswith(".tmp")
    return path.as_posix() != LOCAL_VARIABLES and not temporary and not _LEFT_OUT.intersection(path.parts)
