"""What a project needs of its node: connections, code environments and plugins, and who names them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mlops_steps.sandbox.node.errors import DssError
from mlops_steps.sandbox.node.store import read_json
from mlops_steps.sandbox.services.projects.model import CONFIG


def referenced_connections(project_tree: Path) -> dict[str, list[str]]:
    """Connection → the objects that name it, such as ``dataset customers``.

    :param project_tree: a folder in the layout of a bundle.
    """
    found: dict[str, list[str]] = {}
    for label, definition in _definitions(project_tree, {"datasets": "dataset", "managed_folders": "managed folder"}):
        params = definition.get("params") or {}
        # Uploaded files travel with the project: where a node keeps them is the node's business.
        if params.get("connection") and definition.get("type") not in ("UploadedFiles", "FilesInFolder"):
            found.setdefault(params["connection"], []).append(label)
    return found


def referenced_code_envs(project_tree: Path) -> dict[str, list[str]]:
    """Code environment → the objects that name it."""
    found: dict[str, list[str]] = {}

    def note(selection: Any, label: str) -> None:
        if isinstance(selection, dict) and selection.get("envName"):
            explicit = "EXPLICIT_ENV" in (selection.get("envMode"), selection.get("mode"))
            if explicit:
                found.setdefault(str(selection["envName"]), []).append(label)

    params = read_json(project_tree / CONFIG / "params.json", {})
    note(((params.get("settings") or {}).get("codeEnvs") or {}).get("python"), "project settings")
    for label, definition in _definitions(project_tree, {"recipes": "recipe", "scenarios": "scenario"}):
        inner = definition.get("params") or {}
        note(inner.get("envSelection"), label)
        for step in inner.get("steps") or []:
            note((step.get("params") or {}).get("envSelection"), f"{label}, step {step.get('name')}")
    return found


# The types of components whose name begins with the id of their plugin.
_OF_PLUGINS = ("fsprovider_", "pystep_", "pyrunnable_")


def referenced_plugins(project_tree: Path) -> dict[str, list[str]]:
    """Plugin → the objects of a type that it brings. Only types whose name tells the plugin are known."""
    found: dict[str, list[str]] = {}

    def note(kind: Any, label: str) -> None:
        prefix = next((one for one in _OF_PLUGINS if str(kind).startswith(one)), None)
        if prefix:
            found.setdefault(str(kind)[len(prefix) :].partition("_")[0], []).append(label)

    for label, definition in _definitions(project_tree, {"datasets": "dataset", "scenarios": "scenario"}):
        note(definition.get("type"), label)
        for step in (definition.get("params") or {}).get("steps") or []:
            note(step.get("type"), f"{label}, step {step.get('name')}")
    return found


def _definitions(project_tree: Path, folders: dict[str, str]) -> Iterator[tuple[str, dict[str, Any]]]:
    for folder, label in folders.items():
        for path in sorted((project_tree / CONFIG / folder).glob("*.json")):
            try:
                definition = read_json(path, {})
            except DssError:
                # A damaged definition names nothing; it shows where it is used.
                continue
            if isinstance(definition, dict):
                yield f"{label} {path.stem}", definition
