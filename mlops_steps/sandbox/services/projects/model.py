"""A project on a node: a folder in the layout of a bundle."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from mlops_steps.sandbox.node.errors import bad_request, conflict, not_found
from mlops_steps.sandbox.node.node import Node
from mlops_steps.sandbox.node.store import PRIVATE_DIR, now_ms, read_json, safe_name, write_json
from mlops_steps.sandbox.services.projects.git import ProjectGit

# What a bundle takes along besides the configuration, unless the project's settings say otherwise.
EXPORT_OPTIONS: dict[str, Any] = {
    "exportUploads": True,
    "exportManagedFS": False,
    "exportAnalysisModels": False,
    "exportSavedModels": False,
    "exportManagedFolders": False,
    "exportAllDatasets": False,
    "exportGitRepository": False,
    "includedDatasetsData": [],
    "includedSavedModels": [],
    "includedManagedFolders": [],
}
CONFIG = "project_config"
UPLOADS = "uploads"
ACTIVE_FILE = ".active-bundle.json"


def active_bundle_id(node: Node, key: str) -> str | None:
    """The id of the bundle that is active in a project; ``None`` when there is none."""
    bundle_id = active_bundle(node, key).get("bundleId")
    return str(bundle_id) if bundle_id else None


def active_bundle(node: Node, key: str) -> dict[str, Any]:
    """``bundleId``, ``activatedOn`` (milliseconds) and ``activatedBy``; ``{}`` when no bundle is active."""
    return cast(dict[str, Any], read_json(node.project_dir(key) / ACTIVE_FILE, {}))


class Project:
    """One project. It holds no state: every call reads the files, so that an activation shows at once."""

    def __init__(self, node: Node, key: str) -> None:
        self.node = node
        self.key = key
        self.dir = node.project_dir(key)

    @classmethod
    def exists(cls, node: Node, key: str) -> bool:
        """Whether the node has this project."""
        return (node.project_dir(key) / CONFIG / "params.json").is_file()

    @classmethod
    def load(cls, node: Node, key: str) -> Project:
        """The project of this key.

        :raises DssError: 404, there is none.
        """
        if not cls.exists(node, key):
            raise not_found(f"project {key} does not exist on node {node.id}")
        return cls(node, key)

    # ---- places

    @property
    def config_dir(self) -> Path:
        """``project_config/``, which is the Git repository on a Design node."""
        return self.dir / CONFIG

    @property
    def uploads_dir(self) -> Path:
        """``uploads/``: the files of uploaded datasets. Not in Git, as in DSS."""
        return self.dir / UPLOADS

    @property
    def data_dir(self) -> Path:
        """Managed datasets, managed folders and saved models of the project on this node."""
        return self.node.data_dir(self.key)

    @property
    def jobs_dir(self) -> Path:
        """The jobs of the project on this node."""
        return self.node.dir / "jobs" / self.key

    @property
    def library_dir(self) -> Path:
        """``lib/``; its Python modules are in ``lib/python``."""
        return self.config_dir / "lib"

    # ---- contents

    @property
    def params(self) -> dict[str, Any]:
        """``params.json``: name, owner, tags, settings, permissions …"""
        params: dict[str, Any] = read_json(self.config_dir / "params.json", {})
        return params

    @property
    def settings(self) -> dict[str, Any]:
        """``params.json`` as clients get it: with a version tag, and with export options where none were saved."""
        params = self.params
        exporter = params.get("bundleExporterSettings") or {}
        options = exporter.get("exportOptions")
        if options is None:
            options = {}
        if isinstance(options, dict):
            options = {**EXPORT_OPTIONS, **options}
        return {
            **params,
            "bundleExporterSettings": {**exporter, "exportOptions": options},
            "versionTag": self.version_tag(params),
        }

    def version_tag(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """Who changed the project last, and when; where its files do not say it, its owner and the time of the file."""
        known: dict[str, Any] = params.get("versionTag") or {}
        if known.get("lastModifiedOn"):
            return known
        changed = int((self.config_dir / "params.json").stat().st_mtime * 1000)
        owner = {"login": params.get("owner") or "admin"}
        return {"versionNumber": 0, "lastModifiedBy": owner, **known, "lastModifiedOn": changed}

    def save_params(self, params: Mapping[str, Any], message: str, user: str = "admin") -> None:
        """Replaces ``params.json``, with a new version tag."""
        version = (params.get("versionTag") or {}).get("versionNumber", 0) + 1
        self.write("params.json", {**params, "versionTag": version_tag(user, version)}, message, user)

    @property
    def variables(self) -> dict[str, dict[str, Any]]:
        """``standard`` variables, which travel in bundles, and ``local`` ones of this node."""
        return {
            "standard": read_json(self.config_dir / "variables.json", {}),
            "local": read_json(self.config_dir / "localvariables.json", {}),
        }

    def save_variables(self, variables: Mapping[str, Any], user: str = "admin") -> None:
        """Replaces standard and local variables.

        :raises DssError: 400, one of the two is missing.
        """
        for kind in ("standard", "local"):
            if not isinstance(variables.get(kind), dict):
                raise bad_request(f"variables need an object {kind!r}")
        with self.node.lock(self.key):
            write_json(self.config_dir / "localvariables.json", variables["local"])
            self.write("variables.json", variables["standard"], "Updated variables", user)

    def resolved_variables(self, extra: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Instance, standard, local, then ``extra`` variables (of a scenario run); later ones win."""
        variables = self.variables
        return {
            **self.node.variables(),
            **variables["standard"],
            **variables["local"],
            **(extra or {}),
            "projectKey": self.key,
        }

    # ---- changes

    def write(self, path: str, document: Any, message: str, user: str = "admin", also: Sequence[str] = ()) -> None:
        """Writes a JSON file of ``project_config/`` and commits it on a Design node.

        :param also: further files that belong to the same change.
        """
        with self.node.lock(self.key):
            write_json(self.config_dir / path, document)
            self.commit(message, user, [path, *also])

    @property
    def git(self) -> ProjectGit:
        """The project's Git repository."""
        return ProjectGit(self.config_dir)

    def commit(self, message: str, user: str = "admin", paths: Sequence[str] = (".",)) -> str | None:
        """Commits what changed below ``paths``, on a Design node only.

        :return: the id of the commit, None when nothing changed.
        """
        if self.node.type != "DESIGN":
            return None
        with self.node.lock(self.key):
            self.git.ensure()
            return self.git.commit(message, user, paths)

    def delete(self, clear_data: bool) -> None:
        """Deletes the project, its jobs and scenario runs, and with ``clear_data`` its managed data. Bundles stay."""
        with self.node.lock(self.key):
            shutil.rmtree(self.dir)
            shutil.rmtree(self.node.runs_dir(self.key), ignore_errors=True)
            shutil.rmtree(self.jobs_dir, ignore_errors=True)
            if clear_data:
                shutil.rmtree(self.data_dir, ignore_errors=True)


def version_tag(user: str, number: int = 0) -> dict[str, Any]:
    """Who changed an object, and when, as DSS writes it."""
    return {"versionNumber": number, "lastModifiedBy": {"login": user}, "lastModifiedOn": now_ms()}


def list_projects(node: Node) -> list[Project]:
    """The projects of a node, by key."""
    folders = sorted((node.dir / "projects").glob(f"*/{CONFIG}/params.json"))
    return [Project(node, path.parent.parent.name) for path in folders]


def default_params(name: str, owner: str) -> dict[str, Any]:
    """What a new project's ``params.json`` holds."""
    return {
        "name": name,
        "owner": owner,
        "shortDesc": "",
        "description": "",
        "tags": [],
        "projectType": "REGULAR",
        "projectStatus": "Sandbox",
        "permissions": [],
        "exposedObjects": {"objects": []},
        "customFields": {},
        "checklists": {"checklists": []},
        "settings": {
            "codeEnvs": {
                "python": {"mode": "USE_BUILTIN_MODE", "useBuiltinEnv": True, "preventOverride": False},
                "r": {"mode": "USE_BUILTIN_MODE", "useBuiltinEnv": True, "preventOverride": False},
            },
            "container": {"containerMode": "NONE"},
            "cluster": {"clusterMode": "INHERIT"},
            "k8sCluster": {"clusterMode": "INHERIT"},
        },
        "bundleExporterSettings": {"remapping": {"connections": [], "codeEnvs": []}, "exportOptions": {}},
        "creationTag": version_tag(owner),
        "versionTag": version_tag(owner),
    }


def create(node: Node, key: str, name: str, owner: str = "admin", **changes: Any) -> Project:
    """Creates an empty project; ``changes`` replace defaults of ``params.json``.

    :raises DssError: 400, the key is not one; 409, the project exists.
    """
    safe_name(key, "project key")
    with node.lock(key):
        if Project.exists(node, key):
            raise conflict(f"project {key} already exists on node {node.id}")
        project = Project(node, key)
        for folder in (project.config_dir, project.uploads_dir, project.data_dir, project.library_dir / "python"):
            folder.mkdir(mode=PRIVATE_DIR, parents=True, exist_ok=True)
        given = {field: value for field, value in changes.items() if value is not None}
        write_json(project.config_dir / "params.json", {**default_params(name, owner), **given})
        write_json(project.config_dir / "variables.json", {})
        write_json(project.config_dir / "localvariables.json", {})
        write_json(project.library_dir / "external-libraries.json", DEFAULT_LIBRARIES)
        project.commit(f"Created project {key}", owner)
        return project


DEFAULT_LIBRARIES = {
    "gitReferences": {},
    "pythonPath": ["python"],
    "rsrcPath": ["R"],
    "importLibrariesFromProjects": [],
}
