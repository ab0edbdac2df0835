"""The sandbox: all its nodes in one process, one server per node, on loopback only."""

from __future__ import annotations

import fcntl
import logging
import secrets
import threading
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from mlops_steps.errors import ConfigError
from mlops_steps.sandbox.faults.board import Active
from mlops_steps.sandbox.faults.plan import Planned
from mlops_steps.sandbox.node.errors import DssError
from mlops_steps.sandbox.node.futures import Futures
from mlops_steps.sandbox.node.node import Node, NodeType
from mlops_steps.sandbox.node.store import PRIVATE_DIR, read_json, write_json
from mlops_steps.sandbox.runtime.forks import FORKS
from mlops_steps.sandbox.server import HOST, NodeServer, bind, listen
from mlops_steps.sandbox.services.api_node import model as api_node
from mlops_steps.sandbox.services.bundles.activation import recover
from mlops_steps.sandbox.specs import NODES, InfraSpec, NodeSpec

DEFAULT_PROJECT = "DKU_CHURN"
STATE_FILE = "sandbox.json"
VERSION = 1


log = logging.getLogger(__name__)


class Sandbox:
    """The nodes of one folder. Use it as a context manager, or call :meth:`start` and :meth:`stop`."""

    def __init__(self, directory: Path, state: dict[str, Any], lock: Any) -> None:
        self.dir = directory
        self._state = state
        self._lock = lock
        self._servers: dict[str, NodeServer] = {}
        # Held while a node starts or stops: faults do that too, at any time.
        self._changing = threading.RLock()
        self._refused: set[str] = set()
        self.nodes: dict[str, Node] = {
            node_id: Node(self, node_id, entry["type"], directory / node_id, entry["apiKey"])
            for node_id, entry in state["nodes"].items()
        }

    @classmethod
    def open(cls, directory: Path, infras: Sequence[InfraSpec] = ()) -> Sandbox:
        """The sandbox in ``directory``, made when there is none yet. Nothing runs before :meth:`start`.

        ``infras`` take the place of the Automation nodes of their stages, in a new sandbox.

        Raises :class:`ConfigError` when another process uses the folder, or when it holds something else.
        """
        directory = directory.resolve()
        try:
            directory.mkdir(mode=PRIVATE_DIR, parents=True, exist_ok=True)
            if not (directory / STATE_FILE).exists() and any(path.name != ".lock" for path in directory.iterdir()):
                raise ConfigError(f"{directory} is not empty and holds no sandbox: choose another folder")
            lock = _lock(directory)
        except OSError as error:
            raise ConfigError(f"{directory} can't be used for a sandbox: {error.strerror or error}") from error
        try:
            return cls(directory, _state(directory, infras), lock)
        except OSError as error:
            lock.close()
            raise ConfigError(f"{directory} can't be used for a sandbox: {error.strerror or error}") from error
        except BaseException:
            lock.close()
            raise

    def infrastructures(self) -> dict[str, tuple[list[Node], str]]:
        """Infrastructure id → its Automation nodes and its stage."""
        return self._by_infra("AUTOMATION")

    def api_infrastructures(self) -> dict[str, tuple[list[Node], str]]:
        """Id of an infrastructure of the API Deployer → its API nodes and its stage."""
        return self._by_infra("API")

    def _by_infra(self, node_type: NodeType) -> dict[str, tuple[list[Node], str]]:
        found: dict[str, tuple[list[Node], str]] = {}
        for node_id, entry in self._state["nodes"].items():
            if entry["type"] == node_type and entry.get("infra"):
                found.setdefault(entry["infra"], ([], entry["stage"]))[0].append(self.nodes[node_id])
        return found

    @property
    def design(self) -> Node:
        """The Design node, which hosts the deployers."""
        return next(node for node in self.nodes.values() if node.type == "DESIGN")

    def node_names(self) -> list[str]:
        """What a node may be called: its id (``auto-prod``) and its name in mlops.yml (``prod``)."""
        return sorted({name for node_id, entry in self._state["nodes"].items() for name in (node_id, entry["name"])})

    def node(self, name: str) -> Node:
        """The node of this id or name. Raises :class:`KeyError`."""
        ids = {entry["name"]: node_id for node_id, entry in self._state["nodes"].items()}
        return self.nodes[ids.get(name, name)]

    def add_faults(self, plan: Iterable[Planned]) -> None:
        """Gives each node its faults."""
        for planned in plan:
            self.node(planned.node).faults.add(planned.fault)

    def environment(self, project: str | None = None) -> dict[str, str]:
        """The environment variables with which mlops-steps finds the nodes. Holds the keys."""
        environment = {"MLOPS_PROJECT": project or self._state["project"]}
        for node_id, entry in self._state["nodes"].items():
            prefix = f"MLOPS_{entry['name'].upper().replace('-', '_')}"
            environment[f"{prefix}_URL"] = self.nodes[node_id].url
            environment[f"{prefix}_API_KEY"] = self.nodes[node_id].api_key
            if entry.get("infra"):
                # No stage of a project: nothing but this tells an API node from an Automation node.
                name = "API_INFRA" if entry["type"] == "API" else "INFRA"
                environment[f"{prefix}_{name}"] = entry["infra"]
            if entry.get("partOf"):
                environment[f"{prefix}_STAGE"] = entry["partOf"]
        return environment

    def use_ports(self, base: int) -> None:
        """Gives the nodes the ports from ``base`` on. Raises :class:`ConfigError` when one of them is taken."""
        for port, (node_id, entry) in enumerate(self._state["nodes"].items(), base):
            try:
                bind(port).close()
            except OSError as error:
                raise ConfigError(f"Port {port} for node {node_id} cannot be used: {error.strerror}") from error
            entry["port"] = port
        write_json(self.dir / STATE_FILE, self._state)

    def start(self) -> None:
        """Starts every node and returns when all of them answer. Raises :class:`NodeError`."""
        FORKS.join(self)
        self._start_nodes(list(self.nodes))

    def start_node(self, node_id: str) -> None:
        """Starts one node, on its old port when that is free."""
        self._start_nodes([node_id])

    def _start_nodes(self, node_ids: list[str]) -> None:
        with self._changing:
            for node_id in node_ids:
                node = self.nodes[node_id]
                if node.type != "API":
                    recover(node)
                node.futures = Futures(node.faults)
            self._open_ports(node_ids)

    def _open_ports(self, node_ids: list[str]) -> None:
        """Begins to serve nodes, all at the same time, and returns when they answer."""
        ports = [self._open_port(node_id) for node_id in node_ids]
        if any(ports):
            write_json(self.dir / STATE_FILE, self._state)
        for node_id in node_ids:
            self._servers[node_id].wait_until_started()

    def _open_port(self, node_id: str) -> bool:
        """Begins to serve a node; returns whether its port is a new one."""
        node, entry = self.nodes[node_id], self._state["nodes"][node_id]
        listener = listen(int(entry.get("port") or 0))
        port = listener.getsockname()[1]
        node.url = f"http://{HOST}:{port}"
        is_new = bool(entry.get("port") != port)
        entry["port"] = port
        node.faults.refusing = False
        self._servers[node_id] = NodeServer(node, listener)
        self._servers[node_id].start()
        return is_new

    def stop_node(self, node_id: str) -> None:
        """Stops one node: it can't be reached any more. Its state stays."""
        with self._changing:
            self._refused.discard(node_id)
            self._prepare_to_stop(node_id)
            server = self._servers.pop(node_id, None)
            if server is not None:
                server.stop()

    def _prepare_to_stop(self, node_id: str) -> None:
        node = self.nodes[node_id]
        node.faults.let_go()
        node.futures.close()
        if node.type == "API":
            api_node.stop(node)

    def restart_node(self, node_id: str) -> None:
        """Stops a node and starts it again; what it holds in memory is gone. Nothing happens when it does not run."""
        with self._changing:
            if node_id in self._servers:
                self.stop_node(node_id)
                self.start_node(node_id)

    def refuse_connections(self, node_id: str, outage: Active) -> None:
        """Closes a node's port until the fault is over; the node works on, unheard. Returns at once."""
        self.nodes[node_id].faults.refusing = node_id in self._servers
        name = f"outage-{node_id}"
        threading.Thread(target=self._keep_refusing, args=(node_id, outage), name=name, daemon=True).start()

    def _keep_refusing(self, node_id: str, outage: Active) -> None:
        with self._changing:
            server = self._servers.pop(node_id, None)
            if server is None:
                return
            self._refused.add(node_id)
            server.break_off()
        outage.wait()
        with self._changing:
            if node_id in self._refused:
                self._refused.discard(node_id)
                self._open_ports([node_id])

    def stop(self) -> None:
        """Stops every node. The state stays in the folder."""
        with self._changing:
            for node_id, server in self._servers.items():
                self._prepare_to_stop(node_id)
                server.ask_to_stop()
            for node_id in self.nodes:
                self.stop_node(node_id)
        FORKS.leave(self)

    def close(self) -> None:
        """Stops everything and gives the folder free for another process."""
        self.stop()
        self._lock.close()

    def __enter__(self) -> Sandbox:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _state(directory: Path, infras: Sequence[InfraSpec] = ()) -> dict[str, Any]:
    """The ports and keys of the sandbox, new ones for a new sandbox. Raises :class:`ConfigError`."""
    file = directory / STATE_FILE
    try:
        state = read_json(file)
    except DssError as error:
        raise ConfigError(f"{file} is damaged: choose another folder, or delete this one") from error
    specs = [spec for spec in NODES if spec.name not in {infra.stage for infra in infras}]
    if state is None:
        nodes = {spec.id: _entry(spec) for spec in [*specs, *(node for infra in infras for node in infra.nodes())]}
        state = {"version": VERSION, "project": DEFAULT_PROJECT, "nodes": nodes}
        write_json(file, state)
    if not isinstance(state, dict) or state.get("version") != VERSION:
        raise ConfigError(f"{file} is of another version of mlops-steps: choose another folder, or delete this one")
    replaced = {str(entry.get("partOf")).partition("/")[0] for entry in state["nodes"].values()}
    if infras and not {infra.stage for infra in infras} <= replaced:
        raise ConfigError(f"{directory} holds a sandbox with other infrastructures: choose another folder")
    added = {spec.id: _entry(spec) for spec in NODES if spec.id not in state["nodes"] and spec.name not in replaced}
    if added:
        # A sandbox from before there were these nodes.
        state["nodes"].update(added)
        write_json(file, state)
    return state


def _entry(spec: NodeSpec) -> dict[str, Any]:
    entry = {"name": spec.name, "type": spec.type, "port": 0, "apiKey": "dku-sandbox-" + secrets.token_urlsafe(32)}
    if spec.part_of:
        entry["partOf"] = spec.part_of
    return {**entry, "infra": spec.infra, "stage": spec.stage} if spec.infra else entry


def _lock(directory: Path) -> Any:
    file = (directory / ".lock").open("w")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        file.close()
        raise ConfigError(f"Another sandbox runs in {directory}: stop it, or choose another folder") from error
    return file
