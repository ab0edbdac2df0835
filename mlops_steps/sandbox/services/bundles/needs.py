"""What a bundle needs of the node on which it is activated: connections, code environments and plugins."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mlops_steps.sandbox.node.node import Node
from mlops_steps.sandbox.node.store import read_json
from mlops_steps.sandbox.services.bundles.archive import MANIFEST
from mlops_steps.sandbox.services.flow.references import (
    referenced_code_envs,
    referenced_connections,
    referenced_plugins,
)

# The parts of a bundle that tell what it needs.
TELLING = ("project_config/datasets/", "project_config/managed_folders/", "project_config/recipes/")
TELLING_FILES = (MANIFEST, "project_config/params.json")


def tells_needs(name: str) -> bool:
    """Whether this file of a bundle must be unpacked to know what the bundle needs."""
    return name in TELLING_FILES or (name.startswith((*TELLING, "project_config/scenarios/")) and name[-5:] == ".json")


def needs_of(tree: Path, manifest: Mapping[str, Any]) -> dict[str, dict[str, list[str]]]:
    """``connections``, ``codeEnvs``, ``plugins``: name → the objects that name it (none, when only the manifest does).

    What the manifest allows to be missing is left out.
    """
    needs = {
        "connections": referenced_connections(tree),
        "codeEnvs": referenced_code_envs(tree),
        "plugins": referenced_plugins(tree),
    }
    for kind, listed, allowed in (
        ("connections", "requiredConnections", "allowedMissingConnections"),
        ("codeEnvs", "usedCodeEnvRefs", "allowedMissingCodeEnvs"),
    ):
        for name in _names(manifest.get(listed)):
            needs[kind].setdefault(name, [])
        for name in _names(manifest.get(allowed)):
            needs[kind].pop(name, None)
    return needs


def missing_on(node: Node, needs: Mapping[str, Mapping[str, list[str]]], remapping: Mapping[str, Any]) -> list[str]:
    """What ``node`` lacks after the remapping, as phrases such as ``connection x (dataset y)``."""
    there = {
        "connections": set(node.connections()),
        "codeEnvs": {str(code_env.get("envName")) for code_env in node.code_envs()},
        "plugins": {str(plugin.get("id")) for plugin in node.plugins()},
    }
    renamed = remapped_names(remapping)
    missing = []
    for kind, noun in (("connections", "connection"), ("codeEnvs", "code environment"), ("plugins", "plugin")):
        for name, users in sorted(needs[kind].items()):
            target = renamed.get(kind, {}).get(name, name)
            if target not in there[kind]:
                missing.append(f"{noun} {target}" + (f" ({', '.join(users[:3])})" if users else ""))
    return missing


def manifest_entries(node: Node, tree: Path) -> dict[str, Any]:
    """What an exported manifest says of the needs of the project in ``tree``."""
    connections = node.connections()
    return {
        "requiredConnections": {
            name: {"name": name, "type": connections.get(name, {}).get("type"), "isMissing": name not in connections}
            for name in sorted(referenced_connections(tree))
        },
        "allowedMissingConnections": [],
        "usedCodeEnvRefs": [
            {"envLang": "PYTHON", "envName": name, "bundled": False, **_python(node, name)}
            for name in sorted(referenced_code_envs(tree))
        ],
        "allowedMissingCodeEnvs": [],
    }


def _python(node: Node, name: str) -> dict[str, str]:
    """The Python of a code environment, where the node knows it."""
    known = (one.get("pythonInterpreter") for one in node.code_envs() if one.get("envName") == name)
    found = next(known, None)
    return {"pythonInterpreter": str(found)} if found else {}


def remapped_names(remapping: Mapping[str, Any]) -> dict[str, dict[str, str]]:
    """``bundleContainerSettings.remapping`` as name → name, for ``connections`` and ``codeEnvs``."""
    return {
        kind: {
            str(item["source"]): str(item["target"])
            for item in remapping.get(kind) or []
            if isinstance(item, dict) and item.get("source") and item.get("target")
        }
        for kind in ("connections", "codeEnvs")
    }


def needs_of_unpacked(tree: Path) -> dict[str, dict[str, list[str]]]:
    """The needs of an unpacked bundle."""
    manifest = read_json(tree / MANIFEST, {})
    return needs_of(tree, manifest if isinstance(manifest, dict) else {})


def _names(value: Any) -> list[str]:
    """Names out of a manifest, where lists hold names or objects and objects have names as fields."""
    if isinstance(value, dict):
        return [str(name) for name in value]
    if not isinstance(value, list):
        return []
    names = [item.get("envName") or item.get("name") if isinstance(item, dict) else item for item in value]
    return [name for name in names if isinstance(name, str) and name]
