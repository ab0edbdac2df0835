"""What the environment adds to ``mlops.yml``: the nodes, the project, the organisation's minimums."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mlops_steps.config.file import Key, shown
from mlops_steps.config.nodes import name_at, variable_prefix
from mlops_steps.config.policy import MinimumSource
from mlops_steps.system.files import current_folder

#: The path of the public key that checks statements.
PUBLIC_KEY = "MLOPS_PUBLIC_KEY_FILE"

#: The organisation's minimums: the text of the library's file, the path or URL of one, and a file of the machine.
LIBRARY_POLICY = "MLOPS_LIBRARY_POLICY"
POLICY = "MLOPS_POLICY"
MACHINE_POLICY = Path("/etc/mlops-steps/policy.yml")

_NODE_URL = re.compile(r"^MLOPS_([A-Z][A-Z0-9_]*)_URL$")
_NODE_VARIABLES = {"_URL": "url", "_INFRA": "infra"}
# The stage that an Automation node belongs to, which has several; or the infrastructure that has, as STAGE/NAME.
_STAGE = "_STAGE"
_API_NODE_VARIABLES = {"_URL": "url", "_API_INFRA": "infra"}


def apply_environment(data: dict[str, Any], places: dict[Key, str], environ: Mapping[str, str]) -> None:
    """Puts the values of the environment into ``data``, and their variables into ``places``."""
    if environ.get("MLOPS_PROJECT"):
        data["project"] = environ["MLOPS_PROJECT"]
        places[("project",)] = "MLOPS_PROJECT"
    if environ.get(PUBLIC_KEY) and isinstance(release := data.setdefault("release", {}), dict):
        release["public_key"] = current_folder() / environ[PUBLIC_KEY]
        places[("release", "public_key")] = PUBLIC_KEY
    nodes = data.setdefault("nodes", _sections_of_environment(environ))
    _apply_to_nodes(nodes, ("nodes",), _NODE_VARIABLES, places, environ)
    api = data.get("api")
    if isinstance(api, dict):
        nodes = api.setdefault("nodes", {name: {} for name in _nodes_of_environment(environ, api=True)})
        _apply_to_nodes(nodes, ("api", "nodes"), _API_NODE_VARIABLES, places, environ)


def _apply_to_nodes(
    nodes: object, key: Key, fields: Mapping[str, str], places: dict[Key, str], environ: Mapping[str, str]
) -> None:
    for name, node in nodes.items() if isinstance(nodes, dict) else ():
        parts = [part for part in ("infras", "nodes") if isinstance(node, dict) and node.get(part)]
        for part in parts:
            _apply_to_nodes(node[part], (*key, str(name), part), fields, places, environ)
        for suffix, field in fields.items():
            variable = f"{variable_prefix(name_at((*key, str(name))))}{suffix}"
            of_its_whole = key[-1] == "nodes" and len(key) > 2 and field == "infra"
            if "infras" in parts or (parts and field == "url") or of_its_whole:
                continue
            if environ.get(variable) and isinstance(node, dict):
                node[field] = environ[variable]
                place: Key = (*key, name, field)
                places[place] = variable


def _sections_of_environment(environ: Mapping[str, str]) -> dict[str, Any]:
    """The sections of the nodes that the environment names; MLOPS_<NODE>_STAGE says what a node is a part of."""
    found: dict[str, Any] = {}
    for name in _nodes_of_environment(environ):
        stage = environ.get(f"{variable_prefix(name)}{_STAGE}", "")
        words = [word for word in stage.split("/") if word]
        owner = "-".join(words)
        if not words or not name.startswith(f"{owner}-"):
            found.setdefault(name, {})
            continue
        infras = found.setdefault(words[0], {}).setdefault("infras", {})
        own = name.removeprefix(f"{owner}-")
        if len(words) == 1:
            infras[own] = {}
        else:
            unit = infras.setdefault(words[1], {})
            unit.setdefault("nodes", {})[own] = {}
            if infra := environ.get(f"{variable_prefix(name)}_INFRA"):
                unit["infra"] = infra
    return found


def _nodes_of_environment(environ: Mapping[str, str], *, api: bool = False) -> list[str]:
    """The nodes that MLOPS_<NODE>_URL name: ``design`` first, names that begin with ``prod`` last.

    A node with MLOPS_<NODE>_API_INFRA is an API node: no project is deployed there. With ``api`` only those are meant.
    """
    found = [
        match[1].lower().replace("_", "-")
        for name in environ
        if environ[name]
        and (match := _NODE_URL.match(name))
        and bool(environ.get(f"MLOPS_{match[1]}_API_INFRA")) == api
    ]
    return sorted(
        found,
        key=lambda name: (
            name not in ("design", "deployer"),
            name.startswith("prod"),
            name,
        ),
    )


def minimum_sources(environ: Mapping[str, str]) -> tuple[MinimumSource, ...]:
    """Where an organisation says what it requires. All of them count: none takes away what another one requires."""
    found = []
    if environ.get(LIBRARY_POLICY, "").strip():
        found.append(MinimumSource("policy.yml of the Jenkins library", text=environ[LIBRARY_POLICY]))
    if MACHINE_POLICY.exists():
        found.append(MinimumSource(str(MACHINE_POLICY), place=str(MACHINE_POLICY)))
    if environ.get(POLICY):
        place = environ[POLICY]
        name = place.partition("#")[0]
        found.append(MinimumSource(shown(name, 300), place=place if "://" in name else str(current_folder() / place)))
    return tuple(found)
