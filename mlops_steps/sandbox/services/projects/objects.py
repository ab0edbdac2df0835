"""Objects of a project that are a JSON file, some with code beside it: datasets, recipes, scenarios, saved models …"""

from __future__ import annotations

import secrets
import string
from pathlib import Path
from typing import Any

from mlops_steps.sandbox.node.errors import conflict, not_found
from mlops_steps.sandbox.node.store import read_json, safe_name
from mlops_steps.sandbox.services.projects.model import Project, version_tag

# What code is called beside the definition of a recipe or a scenario.
_EXTENSIONS = {
    "python": "py",
    "pyspark": "py",
    "cpython": "py",
    "custom_python": "py",
    "r": "r",
    "sparkr": "r",
    "sql_script": "sql",
    "sql_query": "sql",
    "shell": "sh",
    "spark_scala": "scala",
}


class Objects:
    """One kind of object of a project.

    :param folder: the folder in ``project_config/``.
    :param label: how messages call one of them.
    """

    def __init__(self, project: Project, folder: str, label: str) -> None:
        self.project = project
        self.label = label
        self.dir = project.config_dir / folder

    def ids(self) -> list[str]:
        """The ids, sorted."""
        return sorted(path.stem for path in self.dir.glob("*.json"))

    def all(self) -> list[dict[str, Any]]:
        """The definitions, by id."""
        return [self.get(identity) for identity in self.ids()]

    def all_named(self) -> list[dict[str, Any]]:
        """The definitions, each with its id as ``name``: files of bundles do not repeat it."""
        return [{**self.get(identity), "name": identity} for identity in self.ids()]

    def exists(self, identity: str) -> bool:
        """Whether there is an object of this id."""
        return self._path(identity).is_file()

    def get(self, identity: str) -> dict[str, Any]:
        """A definition.

        :raises DssError: 404, there is none.
        """
        document: dict[str, Any] | None = read_json(self._path(identity))
        if document is None:
            raise not_found(f"{self.label} {identity} does not exist in project {self.project.key}")
        return {"projectKey": self.project.key, **document}

    def create(self, identity: str, definition: dict[str, Any], user: str, payload: str | None = None) -> None:
        """Creates an object.

        :raises DssError: 409, it exists.
        """
        safe_name(identity, f"{self.label} name")
        with self.project.node.lock(self.project.key):
            if self.exists(identity):
                raise conflict(f"{self.label} {identity} already exists in project {self.project.key}")
            tags = {"creationTag": version_tag(user), "versionTag": version_tag(user)}
            self._write(identity, {**tags, **definition}, payload, f"Created {self.label} {identity}", user)

    def save(self, identity: str, definition: dict[str, Any], user: str, payload: str | None = None) -> dict[str, Any]:
        """Replaces a definition, and its code when ``payload`` is given. Returns the new version tag.

        :raises DssError: 404, there is none.
        """
        with self.project.node.lock(self.project.key):
            old = self.get(identity)
            tag = version_tag(user, (old.get("versionTag") or {}).get("versionNumber", 0) + 1)
            document = {**definition, "versionTag": tag}
            self._write(identity, document, payload, f"Updated {self.label} {identity}", user)
            return tag

    def _write(self, identity: str, document: dict[str, Any], payload: str | None, message: str, user: str) -> None:
        also = []
        if payload is not None:
            path = self.payload_path(identity, document.get("type", ""))
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(payload, encoding="utf-8")
            also.append(self._relative(path))
        kept = {name: value for name, value in document.items() if name != "projectKey"}
        self.project.write(self._relative(self._path(identity)), kept, message, user, also)

    def _relative(self, path: Path) -> str:
        return str(path.relative_to(self.project.config_dir))

    def delete(self, identity: str, user: str) -> None:
        """Deletes an object with its code.

        :raises DssError: 404, there is none.
        """
        with self.project.node.lock(self.project.key):
            self.get(identity)
            paths = [path for path in self.dir.glob(f"{identity}.*") if path.stem == identity]
            for path in paths:
                path.unlink()
            self.project.commit(f"Deleted {self.label} {identity}", user, [self._relative(path) for path in paths])

    # ---- code

    def payload_path(self, identity: str, kind: str) -> Path:
        """Where the code of an object lies: what lies there already, or ``<id>.<extension of its type>``."""
        for path in sorted(self.dir.glob(f"{safe_name(identity, self.label)}.*")):
            if path.stem == identity and path.suffix != ".json":
                return path
        return self.dir / f"{identity}.{_EXTENSIONS.get(kind, kind or 'txt')}"

    def payload(self, identity: str, kind: str) -> str | None:
        """The code, or None when there is none."""
        path = self.payload_path(identity, kind)
        return path.read_text(encoding="utf-8") if path.is_file() else None

    def _path(self, identity: str) -> Path:
        return self.dir / f"{safe_name(identity, f'{self.label} name')}.json"


def list_item(definition: dict[str, Any], *fields: str) -> dict[str, Any]:
    """The short form of an object in a list: name, tags, who changed it, and ``fields``."""
    names = (
        "projectKey",
        "id",
        "name",
        "type",
        "tags",
        "shortDesc",
        "description",
        "versionTag",
        "creationTag",
        *fields,
    )
    item = {name: definition[name] for name in names if name in definition}
    return {"tags": [], "customFields": {}, "checklists": {"checklists": []}, **item}


def free_id(objects: Objects, wanted: str) -> str:
    """``wanted``, or with a number behind it when it is taken."""
    number, identity = 1, wanted
    while objects.exists(identity):
        identity, number = f"{wanted}_{number}", number + 1
    return identity


def new_id() -> str:
    """A short id of eight letters and digits, as DSS gives to folders and models."""
    alphabet = string.ascii_letters + string.digits
    return "".join(secrets.choice(alphabet) for _ in range(8))


def metadata_of(definition: dict[str, Any]) -> dict[str, Any]:
    """The metadata of an object: label, description, tags, custom fields."""
    return {
        "label": definition.get("name", ""),
        "shortDesc": definition.get("shortDesc", ""),
        "description": definition.get("description", ""),
        "tags": definition.get("tags", []),
        "custom": definition.get("customMeta", {"kv": {}}),
        "checklists": definition.get("checklists", {"checklists": []}),
    }


def with_metadata(definition: dict[str, Any], metadata: dict[str, Any]) -> dict[str, Any]:
    """A definition with new metadata."""
    fields = {"shortDesc": "shortDesc", "description": "description", "tags": "tags", "checklists": "checklists"}
    changes = {target: metadata[source] for source, target in fields.items() if source in metadata}
    if "custom" in metadata:
        changes["customMeta"] = metadata["custom"]
    return {**definition, **changes}
