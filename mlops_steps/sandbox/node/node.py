"""One node of the sandbox: its identity, its folder, its locks."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any, Literal, Protocol, cast

from mlops_steps.sandbox.faults.board import Active, NodeFaults
from mlops_steps.sandbox.node.auth import Tickets
from mlops_steps.sandbox.node.futures import Futures
from mlops_steps.sandbox.node.store import PRIVATE_DIR, read_json, safe_name, write_json

NodeType = Literal["DESIGN", "AUTOMATION", "API"]
# What every answer of a node names, and what exports are made with.
DSS_VERSION = "14.2.1"
# Inferred, from what published bundles of DSS 13 have.
DSS_CONF_VERSION = "14210"
# The first one with Project Standards.
_PROJECT_STANDARDS_SINCE = 14
TICKET_SECONDS = 6 * 3600.0
DEFAULT_CONNECTIONS: dict[str, Any] = {
    "filesystem_managed": {
        "name": "filesystem_managed",
        "type": "Filesystem",
        "params": {"root": "${dip.home}/managed_datasets"},
        "allowManagedDatasets": True,
        "allowManagedFolders": True,
        "usableBy": "ALL",
    },
    "filesystem_folders": {
        "name": "filesystem_folders",
        "type": "Filesystem",
        "params": {"root": "${dip.home}/managed_folders"},
        "allowManagedDatasets": False,
        "allowManagedFolders": True,
        "usableBy": "ALL",
    },
}


class Site(Protocol):
    """What a node knows of the sandbox that it belongs to: its folder, and the other nodes by their ids."""

    dir: Path
    nodes: dict[str, Node]

    def node_names(self) -> list[str]:
        """What a node may be called: its id (``auto-prod``) and its name in mlops.yml (``prod``)."""

    def node(self, name: str) -> Node:
        """The node of this id or name. Raises :class:`KeyError`."""

    def infrastructures(self) -> dict[str, tuple[list[Node], str]]:
        """Infrastructure id → its Automation nodes and its stage."""

    def api_infrastructures(self) -> dict[str, tuple[list[Node], str]]:
        """Id of an infrastructure of the API Deployer → its API nodes and its stage."""

    def restart_node(self, node_id: str) -> None:
        """Stops a node and starts it again; what it holds in memory is gone."""

    def refuse_connections(self, node_id: str, outage: Active) -> None:
        """Closes a node's port until the fault is over. Returns at once."""


class Node:
    """A Design node, an Automation node or an API node. ``url`` is known once the sandbox has started."""

    def __init__(self, site: Site, node_id: str, node_type: NodeType, directory: Path, api_key: str) -> None:
        self.site = site
        self.id = node_id
        self.type: NodeType = node_type
        self.dir = directory
        self.api_key = api_key
        self.url = ""
        # An older one may be put here: the node then answers as far as that version does.
        self.dss_version = DSS_VERSION
        # The shapes of a site's answers, where it is to answer in those (`http/shaped.py`).
        self.shapes: object = None
        self.faults = NodeFaults(node_id, lambda outage: site.refuse_connections(node_id, outage))
        self.futures = Futures(self.faults)
        self.tickets = Tickets()
        self._locks: dict[str, threading.RLock] = {}
        self._locks_guard = threading.Lock()
        self._create_folders()

    def _create_folders(self) -> None:
        self.dir.mkdir(mode=PRIVATE_DIR, parents=True, exist_ok=True)
        folders: tuple[str, ...] = ("config", "projects", "data", "bundles", "scenarios", "tmp")
        defaults: dict[str, Any] = {"connections.json": DEFAULT_CONNECTIONS, "code-envs.json": [], "variables.json": {}}
        if self.type == "API":
            folders, defaults = ("services", "tmp"), {}
        for name in folders:
            (self.dir / name).mkdir(mode=PRIVATE_DIR, exist_ok=True)
        for name, document in defaults.items():
            if not (self.config_dir / name).exists():
                write_json(self.config_dir / name, document)
        if not (self.dir / "node.json").exists():
            write_json(self.dir / "node.json", {"nodeId": self.id, "nodeType": self.type})

    @property
    def has_project_standards(self) -> bool:
        """Whether this version of DSS knows Project Standards."""
        return int(self.dss_version.partition(".")[0]) >= _PROJECT_STANDARDS_SINCE

    @property
    def config_dir(self) -> Path:
        """``config/``: connections.json, code-envs.json, variables.json."""
        return self.dir / "config"

    @property
    def tmp_dir(self) -> Path:
        """Scratch space on the same file system as the projects, so that a rename is enough to publish."""
        return self.dir / "tmp"

    def project_dir(self, key: str) -> Path:
        """The project in the layout of a bundle. Raises 400 for a key that can't be a file name."""
        return self.dir / "projects" / safe_name(key, "project key")

    def data_dir(self, key: str) -> Path:
        """Managed datasets, managed folders and saved model files of a project."""
        return self.dir / "data" / safe_name(key, "project key")

    def bundles_dir(self, key: str) -> Path:
        """The bundle archives of a project: exported ones on a Design node, imported ones on an Automation node."""
        return self.dir / "bundles" / safe_name(key, "project key")

    def runs_dir(self, key: str) -> Path:
        """The scenario runs of a project."""
        return self.dir / "scenarios" / safe_name(key, "project key")

    def lock(self, key: str) -> threading.RLock:
        """The lock of one project: held while its files are changed."""
        with self._locks_guard:
            return self._locks.setdefault(key, threading.RLock())

    def ticket(self, lifetime: float = TICKET_SECONDS) -> str:
        """A key for a child process, good for ``lifetime`` seconds; it goes into the header X-DKU-APITicket."""
        return self.tickets.issue(lifetime)

    def connections(self) -> dict[str, Any]:
        """The connections by name."""
        return cast(dict[str, Any], read_json(self.config_dir / "connections.json", {}))

    def code_envs(self) -> list[dict[str, Any]]:
        """The code environments, each with ``envLang`` and ``envName``."""
        return cast(list[dict[str, Any]], read_json(self.config_dir / "code-envs.json", []))

    def plugins(self) -> list[dict[str, Any]]:
        """The plugins, each with ``id`` and ``version``."""
        return cast(list[dict[str, Any]], read_json(self.config_dir / "plugins.json", []))

    def variables(self) -> dict[str, Any]:
        """The global variables of the node."""
        return cast(dict[str, Any], read_json(self.config_dir / "variables.json", {}))
