"""Reads what a bundle needs from its archive. Asks no node, unpacks nothing to the disk."""

from __future__ import annotations

import json
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from mlops_steps.archive.contents import BadArchive, check_entries
from mlops_steps.errors import CheckFailed
from mlops_steps.needs import definitions
from mlops_steps.needs.model import BundleNeeds, Reads, Source, Undecided
from mlops_steps.needs.variables import read_variables

CONFIG = "project_config/"
MANIFEST = "export-manifest.json"
_LIBRARY = f"{CONFIG}lib/"
# Kinds of objects by the folder that holds them, with what they are called in reports.
_KINDS = {
    "datasets": "dataset",
    "managed_folders": "managed folder",
    "saved_models": "saved model",
    "recipes": "recipe",
    "scenarios": "scenario",
}
_PYTHON_RECIPES = frozenset({"python", "pyspark", "cpython"})
# Code in which ``${name}`` is a matter of its own language.
_OWN_LANGUAGE = (".py", ".r", ".sh", ".scala", ".ipynb")
_CODE_KEYS = frozenset({"script", "code"})
# Bytes of one file, and of all that are read.
_LARGEST_FILE = 8 * 1024 * 1024
_LARGEST_TOTAL = 256 * 1024 * 1024


def read_needs(path: Path, bundle_id: str, project: str) -> BundleNeeds:
    """What the bundle in the archive needs.

    Reads the entries that tell, one after the other, with limits. Raises :class:`CheckFailed` for an archive that is
    not safe to read; its checksums are those of the entries that are read.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            check_entries(archive, path.stat().st_size)
            return _Reader(_Files(archive), project).needs()
    except (BadArchive, zipfile.BadZipFile, zlib.error, RuntimeError, EOFError, OSError, ValueError) as error:
        text = str(error).partition("\n")[0][:200]
        raise CheckFailed(f"bundle {bundle_id}: the archive cannot be read: {text}") from None


class _Files:
    """The texts and JSON documents of an archive."""

    def __init__(self, archive: zipfile.ZipFile) -> None:
        self._archive = archive
        self._left = _LARGEST_TOTAL
        self.names = sorted(info.filename for info in archive.infolist() if not info.is_dir())
        self.known = frozenset(self.names)
        self.skipped: list[Undecided] = []

    def text(self, name: str) -> str | None:
        if name not in self.known:
            return None
        info = self._archive.getinfo(name)
        if info.file_size > min(_LARGEST_FILE, self._left):
            self.skipped.append(Undecided(f"file {name}", f"{info.file_size} bytes are too many to be looked at"))
            return None
        self._left -= info.file_size
        with self._archive.open(info) as file:
            data = file.read(info.file_size + 1)
        return data.decode("utf-8", "replace")

    def json(self, name: str) -> dict[str, Any]:
        text = self.text(name)
        if text is None:
            return {}
        try:
            document = json.loads(text)
        except (ValueError, RecursionError):
            self.skipped.append(Undecided(f"file {name}", "it is not JSON"))
            return {}
        return document if isinstance(document, dict) else {}


class _Reader:
    def __init__(self, files: _Files, project: str) -> None:
        self.files = files
        self.project = project
        self.manifest = files.json(MANIFEST)
        self.connections: dict[str, list[str]] = {}
        self.writes: dict[tuple[str, str], list[str]] = {}
        self.scenarios: dict[str, int] = {}
        # Connections of datasets that are not managed, and what recipes write.
        self.plain: dict[str, str] = {}
        self.written: set[str] = set()
        self.code_envs: dict[tuple[str, str], list[str]] = {}
        self.pythons: dict[tuple[str, str], str] = {}
        self.components: dict[str, list[str]] = {}
        self.channels: dict[str, list[str]] = {}
        self.projects: dict[str, list[str]] = {}
        self.variables: dict[str, list[str]] = {}
        self.provided: set[str] = set()
        self.undecided: list[Undecided] = []
        self.sources: list[Source] = []

    def needs(self) -> BundleNeeds:
        self._settings()
        for folder, kind in _KINDS.items():
            for name, definition in self._definitions(folder):
                self._object(folder, f"{kind} {name}", definition)
                if folder == "recipes":
                    self._recipe(name, definition)
                    self.written.update(definitions.outputs_of(definition))
                elif folder == "datasets":
                    self._dataset(name, definition)
                elif folder == "scenarios":
                    self.scenarios[name] = definitions.changed_on(definition)
                    self._scenario(name, definition)
        for name in sorted(self.written & self.plain.keys()):
            _add(self.writes, (self.plain[name], definitions.WRITE), f"dataset {name}")
        self._library()
        bundled = self._manifest()
        reads = read_variables(self.sources, self.project)
        own = {*self.files.json(f"{CONFIG}variables.json"), *self.provided, *reads.provided}
        plugins = self._plugins()
        return BundleNeeds(
            connections=self.connections,
            connection_types=self._connection_types(),
            code_envs=self.code_envs,
            bundled_code_envs=bundled,
            plugins=plugins,
            plugin_versions=self._plugin_versions(),
            pythons=self.pythons,
            writes={key: labels for key, labels in self.writes.items() if key[0] in self.connections},
            scenarios=self.scenarios,
            channels=self.channels,
            variables=_without(self._all_variables(reads), own),
            tolerated_variables=_without(reads.tolerated, {*own, *reads.needed, *self.variables}),
            own_variables=frozenset(own),
            projects=self.projects,
            version=str(self.manifest.get("generatedWithDSSVersion") or ""),
            undecided=(*self.undecided, *reads.undecided, *self.files.skipped),
        )

    def _definitions(self, folder: str) -> Iterator[tuple[str, dict[str, Any]]]:
        prefix = f"{CONFIG}{folder}/"
        for name in self.files.names:
            if name.startswith(prefix) and name.endswith(".json") and "/" not in name[len(prefix) :]:
                yield name[len(prefix) : -len(".json")], self.files.json(name)

    def _settings(self) -> None:
        settings = self.files.json(f"{CONFIG}params.json").get("settings")
        chosen = settings.get("codeEnvs") if isinstance(settings, dict) else None
        for language in ("python", "r"):
            for name in definitions.code_envs_of((chosen or {}).get(language) if isinstance(chosen, dict) else None):
                _add(self.code_envs, (language.upper(), name), "project settings")

    def _object(self, folder: str, label: str, definition: Mapping[str, Any]) -> None:
        if connection := definitions.connection_of(definition):
            _add(self.connections, connection, label)
            if folder == "managed_folders":
                _add(self.writes, (connection, definitions.FOLDERS), label)
        for component in definitions.components_of(definition):
            _add(self.components, component, label)
        language = "R" if str(definition.get("type")) in ("r", "sparkr") else "PYTHON"
        for name in definitions.code_envs_of(definition):
            _add(self.code_envs, (language, name), label)
        if folder != "scenarios":
            for name in definitions.placeholders(definition.get("params")):
                _add(self.variables, name, label)

    def _dataset(self, name: str, definition: Mapping[str, Any]) -> None:
        connection = definitions.connection_of(definition)
        if connection and definition.get("managed") is True:
            _add(self.writes, (connection, definitions.DATASETS), f"dataset {name}")
        elif connection:
            self.plain[name] = connection

    def _recipe(self, name: str, definition: Mapping[str, Any]) -> None:
        label, own = f"recipe {name}", definition.get("variables")
        overridden = set(own) if isinstance(own, dict) else set()
        for reference in definitions.references_of(definition):
            project, dot, _ = reference.partition(".")
            if dot and project != self.project:
                _add(self.projects, project, label)
        for file in self.files.names:
            prefix = f"{CONFIG}recipes/{name}."
            if not file.startswith(prefix) or "." in file[len(prefix) :] or file.endswith(".json"):
                continue
            if file.endswith(".py") and definition.get("type") in _PYTHON_RECIPES:
                self._source(label, file)
            elif not file.lower().endswith(_OWN_LANGUAGE):
                for variable in definitions.placeholders(self.files.text(file)) - overridden:
                    _add(self.variables, variable, label)

    def _scenario(self, name: str, definition: Mapping[str, Any]) -> None:
        label = f"scenario {name}"
        for channel in definitions.channels_of(definition):
            _add(self.channels, channel, label)
        set_by_steps = definitions.variables_set_by(definition)
        self.provided |= set_by_steps
        for step, code in definitions.scripts_of(definition):
            self.sources.append(Source(f"{label}, {step}" if step else label, code))
        for variable in definitions.placeholders(definition.get("params"), _CODE_KEYS) - set_by_steps:
            _add(self.variables, variable, label)
        self._source(label, f"{CONFIG}scenarios/{name}.py")

    def _library(self) -> None:
        libraries = self.files.json(f"{_LIBRARY}external-libraries.json")
        roots = [str(one).strip("/") for one in libraries.get("pythonPath") or ["python"] if isinstance(one, str)]
        for name in self.files.names:
            path = name[len(_LIBRARY) :]
            if name.startswith(_LIBRARY) and name.endswith(".py") and not _is_test(path):
                root = next((one for one in roots if path.startswith(f"{one}/")), "")
                module = path[len(root) : -len(".py")].strip("/").replace("/", ".").removesuffix(".__init__")
                self._source(f"library {path}", name, module)

    def _source(self, label: str, file: str, module: str = "") -> None:
        text = self.files.text(file)
        if text is not None:
            self.sources.append(Source(label, text, module))

    def _manifest(self) -> frozenset[tuple[str, str]]:
        """What the manifest lists beyond what the objects say; returns the code environments that the bundle brings."""
        for name in self._connection_types():
            self.connections.setdefault(name, [])
        for name in _names(self.manifest.get("allowedMissingConnections")):
            self.connections.pop(name, None)
        bundled = set()
        for item in self.manifest.get("usedCodeEnvRefs") or []:
            if isinstance(item, dict) and item.get("envName"):
                key = (str(item.get("envLang") or "PYTHON"), str(item["envName"]))
                self.code_envs.setdefault(key, [])
                if python := definitions.python_of(item):
                    self.pythons[key] = python
                if item.get("bundled"):
                    bundled.add(key)
        for name in _names(self.manifest.get("allowedMissingCodeEnvs")):
            for key in [key for key in self.code_envs if key[1] == name]:
                del self.code_envs[key]
        return frozenset(bundled)

    def _connection_types(self) -> dict[str, str]:
        listed = self.manifest.get("requiredConnections")
        if not isinstance(listed, dict):
            return dict.fromkeys(_names(listed), "")
        return {name: str(item.get("type") or "") if isinstance(item, dict) else "" for name, item in listed.items()}

    def _plugins(self) -> dict[str, list[str]]:
        """The manifest lists the plugins of the whole exporting node, so what counts is which components are used."""
        listed = self.manifest.get("exportedWithPlugins")
        known = [str(one.get("id")) if isinstance(one, dict) else str(one) for one in listed or []]
        plugins: dict[str, list[str]] = {}
        for component, labels in self.components.items():
            plugin = definitions.plugin_of(component, known)
            if plugin is None:
                self.undecided.append(
                    Undecided(f"plugin component {component}", f"which plugin brings it ({', '.join(labels[:3])})")
                )
            for label in labels if plugin else []:
                _add(plugins, str(plugin), label)
        return plugins

    def _plugin_versions(self) -> dict[str, str]:
        listed = self.manifest.get("exportedWithPlugins") or []
        return {
            str(one.get("id")): str(one["version"]) for one in listed if isinstance(one, dict) and one.get("version")
        }

    def _all_variables(self, reads: Reads) -> dict[str, list[str]]:
        found = {name: list(labels) for name, labels in reads.needed.items() if not definitions.is_built_in(name)}
        for name, labels in self.variables.items():
            for label in labels:
                _add(found, name, label)
        return found


def _is_test(path: str) -> bool:
    """Tests of the library run where the bundle is tested, not where it is released to."""
    name = path.rpartition("/")[2]
    return name.startswith("test_") or name.endswith("_test.py") or name == "conftest.py"


def _without(found: Mapping[str, list[str]], own: set[str]) -> dict[str, list[str]]:
    return {name: labels for name, labels in found.items() if name not in own}


def _names(value: object) -> list[str]:
    """Names out of a manifest, where lists hold names or objects."""
    if isinstance(value, dict):
        return [str(name) for name in value]
    items = value if isinstance(value, list) else []
    names = [item.get("envName") or item.get("name") if isinstance(item, dict) else item for item in items]
    return [name for name in names if isinstance(name, str) and name]


def _add(where: dict[Any, list[str]], key: Any, label: str) -> None:
    labels = where.setdefault(key, [])
    if label not in labels:
        labels.append(label)
