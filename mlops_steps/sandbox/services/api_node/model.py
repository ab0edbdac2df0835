"""The services of an API node: their generations on disk, and which of them answer."""

from __future__ import annotations

import secrets
import shutil
import threading
import weakref
from pathlib import Path
from typing import Any, cast

from mlops_steps.sandbox.node.archives import file_sha256
from mlops_steps.sandbox.node.errors import DssError, bad_request, conflict, not_found
from mlops_steps.sandbox.node.node import Node
from mlops_steps.sandbox.node.store import now_ms, read_json, safe_name, write_json
from mlops_steps.sandbox.runtime.scoring import SCORING, ScoringError
from mlops_steps.sandbox.services.api_node.activity import Activity
from mlops_steps.sandbox.services.api_services.mapping import SINGLE, Shares, shares_of
from mlops_steps.sandbox.services.api_services.packages import SETTINGS, check_package, unpack_package

GENERATION_FILE = "generation.json"
# Seconds that models and functions of a package may take to load.
LOAD_SECONDS = 120.0


class State:
    """What an API node holds in memory."""

    def __init__(self, node: Node) -> None:
        self.lock = threading.RLock()
        self.activity = Activity(node.dir / "logs")
        #: Service → its record with the settings of its generations, as read from disk.
        self.services: dict[str, Served] = {}
        self.loaded: set[Path] = set()


class Served:
    """A service as calls need it."""

    def __init__(self, record: dict[str, Any], settings: dict[str, dict[str, Any]]) -> None:
        self.enabled = bool(record["enabled"])
        self.shares: Shares | None = shares_of(record["mapping"]) if record.get("mapping") else None
        self.settings = settings

    def endpoint(self, generation: str, endpoint_id: str) -> dict[str, Any] | None:
        """The definition of an endpoint; ``None`` when the generation has none of this id."""
        return next((item for item in self.settings[generation]["endpoints"] if item["id"] == endpoint_id), None)


_STATES: weakref.WeakKeyDictionary[Node, State] = weakref.WeakKeyDictionary()
_STATES_LOCK = threading.Lock()


def state_of(node: Node) -> State:
    """The state of an API node in memory."""
    with _STATES_LOCK:
        if node not in _STATES:
            _STATES[node] = State(node)
        return _STATES[node]


def activity_of(node: Node) -> Activity:
    """The node's own account of the calls that it has answered."""
    return state_of(node).activity


class NodeServices:
    """The services of one API node."""

    def __init__(self, node: Node) -> None:
        self.node = node
        self.root = node.dir / "services"
        self.state = state_of(node)

    # ---- services

    def _folder(self, service_id: str) -> Path:
        return self.root / safe_name(service_id, "service id")

    def ids(self) -> list[str]:
        """The ids of all services."""
        return sorted(path.parent.name for path in self.root.glob("*/state.json"))

    def get(self, service_id: str) -> dict[str, Any]:
        """``serviceId``, ``enabled`` and ``mapping`` of a service. Raises 404."""
        record = read_json(self._folder(service_id) / "state.json")
        if record is None:
            raise not_found(f"service {service_id} does not exist on API node {self.node.id}")
        return cast(dict[str, Any], record)

    def create(self, service_id: str) -> None:
        """Creates a service without generations, disabled. Raises 400 and 409."""
        with self.state.lock:
            if service_id in self.ids():
                raise conflict(f"service {service_id} already exists on API node {self.node.id}")
            self._save(service_id, {"serviceId": service_id, "enabled": False, "mapping": None})

    def delete(self, service_id: str) -> None:
        """Deletes a service with its generations, whether it answers calls or not. Raises 404."""
        with self.state.lock:
            self.get(service_id)
            self.state.services.pop(service_id, None)
            (self._folder(service_id) / "state.json").unlink()
            self._end(self._folder(service_id))
            shutil.rmtree(self._folder(service_id))

    def _save(self, service_id: str, record: dict[str, Any]) -> None:
        write_json(self._folder(service_id) / "state.json", record)
        self.state.services.pop(service_id, None)

    def served(self, service_id: str) -> Served:
        """The service as calls need it, from memory when nothing has changed. Raises 404."""
        known = self.state.services.get(service_id)
        if known is not None:
            return known
        with self.state.lock:
            record = self.get(service_id)
            settings = {
                item["generation"]: self._settings(service_id, item["generation"])
                for item in self.generations(service_id)
            }
            served = self.state.services[service_id] = Served(record, settings)
        return served

    # ---- generations

    def generation_dir(self, service_id: str, generation: str) -> Path:
        """Where a generation was unpacked. Raises 400 for what can't be an id."""
        return self._folder(service_id) / "generations" / safe_name(generation, "generation")

    def _settings(self, service_id: str, generation: str) -> dict[str, Any]:
        settings = read_json(self.generation_dir(service_id, generation) / SETTINGS, {})
        return {"authMethod": "PUBLIC", "apiKeys": [], "endpoints": [], **settings}

    def generations(self, service_id: str) -> list[dict[str, Any]]:
        """The generations on disk, the newest first, each with its share of the calls. Raises 404."""
        record = self.get(service_id)
        shares = dict(shares_of(record["mapping"]).entries) if record["mapping"] else {}
        found = [read_json(path) for path in self._folder(service_id).glob(f"generations/*/{GENERATION_FILE}")]
        return [
            {
                **item,
                "mapped": item["generation"] in shares,
                "proba": shares.get(item["generation"], 0.0),
                "preloaded": self.generation_dir(service_id, item["generation"]) in self.state.loaded,
            }
            for item in sorted(found, key=lambda item: item["importedOn"], reverse=True)
        ]

    def import_generation(self, service_id: str, archive: Path) -> dict[str, Any]:
        """Unpacks a package as a generation; one of the same id is replaced when its archive is another one.

        Raises 400, 404, and 409 when the generation to replace answers calls.
        """
        if not archive.is_absolute() or not archive.is_file():
            raise bad_request(f"There is no package archive at {archive} on API node {self.node.id}")
        package = check_package(archive)
        sha256 = file_sha256(archive)
        with self.state.lock:
            known = {item["generation"]: item for item in self.generations(service_id)}
            if known.get(package.id, {}).get("archiveSha256") == sha256:
                return known[package.id]
            if known.get(package.id, {}).get("mapped"):
                raise conflict(f"generation {package.id} of service {service_id} answers calls: it can't be replaced")
            place = self.generation_dir(service_id, package.id)
            staged = self.node.tmp_dir / secrets.token_hex(8)
            last = max([item["importedOn"] for item in known.values()], default=0)
            try:
                unpack_package(package, staged)
                record = {
                    "generation": package.id,
                    "importedOn": max(now_ms(), last + 1),
                    "archiveSha256": sha256,
                    "endpoints": [{"id": item["id"], "type": item["type"]} for item in package.settings["endpoints"]],
                }
                write_json(staged / GENERATION_FILE, record)
                self._end(place)
                shutil.rmtree(place, ignore_errors=True)
                place.parent.mkdir(exist_ok=True)
                staged.rename(place)
            finally:
                shutil.rmtree(staged, ignore_errors=True)
            self.state.services.pop(service_id, None)
            return record

    def preload(self, service_id: str, generation: str) -> None:
        """Loads the models and functions of a generation. Raises 404, and 500 when one can't be loaded."""
        root = self.generation_dir(service_id, generation)
        if not (root / GENERATION_FILE).is_file():
            raise not_found(f"service {service_id} has no generation {generation} on API node {self.node.id}")
        header, _body = self.ask(root, {"do": "load"}, seconds=LOAD_SECONDS)
        if header["status"] >= 400:
            error = f"{header['type']}: {header['message']}"
            raise DssError(500, "java.io.IOException", f"generation {generation} can't be loaded: {error}")
        self.state.loaded.add(root)

    def ask(
        self, root: Path, header: dict[str, Any], body: bytes = b"", seconds: float | None = None
    ) -> tuple[dict[str, Any], bytes]:
        """Asks the processes of a generation. Raises 504 when they don't answer."""
        try:
            if seconds is None:
                return SCORING.ask(self.node, root, header, body)
            return SCORING.ask(self.node, root, header, body, seconds)
        except ScoringError as error:
            self.state.loaded.discard(root)
            raise DssError(504, "java.util.concurrent.TimeoutException", str(error)) from error

    def _end(self, folder: Path) -> None:
        SCORING.forget(folder)
        self.state.loaded = {root for root in self.state.loaded if root != folder and folder not in root.parents}

    # ---- which of them answer

    def set_mapping(self, service_id: str, mapping: dict[str, Any]) -> None:
        """Lets the generations of a mapping answer, and enables the service. Raises 400 and 404."""
        shares = shares_of(mapping)
        with self.state.lock:
            known = [item["generation"] for item in self.generations(service_id)]
            missing = [generation for generation in shares.generations if generation not in known]
            if missing:
                raise bad_request(f"service {service_id} has no generation {', '.join(missing)} on {self.node.id}")
            self._save(service_id, {**self.get(service_id), "enabled": True, "mapping": mapping})

    def switch_to(self, service_id: str, generation: str) -> None:
        """Lets one generation answer. Raises 400 and 404."""
        self.set_mapping(service_id, {"mode": SINGLE, "generation": generation})

    def switch_to_newest(self, service_id: str) -> str:
        """Lets the generation answer that was imported last, and returns its id. Raises 404 when there is none."""
        generations = self.generations(service_id)
        if not generations:
            raise not_found(f"service {service_id} has no generation on API node {self.node.id}")
        newest = str(generations[0]["generation"])
        self.switch_to(service_id, newest)
        return newest

    def set_enabled(self, service_id: str, enabled: bool) -> None:
        """Lets a service answer, or not. Raises 404, and 409 when no generation was ever chosen."""
        with self.state.lock:
            record = self.get(service_id)
            if enabled and not record["mapping"]:
                raise conflict(f"service {service_id} has no active generation: switch to one")
            self._save(service_id, {**record, "enabled": enabled})

    def clean_unused(self) -> dict[str, Any]:
        """Deletes disabled services, and generations that are in no mapping; returns what was deleted."""
        deleted: dict[str, Any] = {"services": [], "generations": []}
        with self.state.lock:
            for service_id in self.ids():
                if not self.get(service_id)["enabled"]:
                    self.delete(service_id)
                    deleted["services"].append(service_id)
                    continue
                for item in self.generations(service_id):
                    if not item["mapped"]:
                        place = self.generation_dir(service_id, item["generation"])
                        self._end(place)
                        shutil.rmtree(place)
                        deleted["generations"].append({"serviceId": service_id, "generation": item["generation"]})
                self.state.services.pop(service_id, None)
        return deleted


def stop(node: Node) -> None:
    """Ends the scoring processes of an API node that stops."""
    SCORING.leave(node, node.dir)
    state_of(node).loaded.clear()
