"""Infrastructures: which API nodes stand behind an id, and in which stage."""

from __future__ import annotations

from typing import Any, cast

from mlops_steps.sandbox.faults.board import NodeFaults
from mlops_steps.sandbox.node.errors import bad_request, conflict, not_found
from mlops_steps.sandbox.node.node import Node
from mlops_steps.sandbox.node.store import read_json, write_json
from mlops_steps.sandbox.services.api_deployer.places import Places
from mlops_steps.sandbox.services.api_deployer.remote import ApiNode
from mlops_steps.sandbox.services.deployer.infras import GOVERN_POLICIES, HIDDEN, STAGES


class Infras:
    """The infrastructures of an API Deployer. Those of the sandbox's own API nodes are there from the beginning."""

    def __init__(self, node: Node) -> None:
        self.places = Places(node)
        self._seed()

    def _seed(self) -> None:
        with self.places.lock:
            if (self.places.root / "infras").exists():
                return
            for infra_id, (nodes, stage) in self.places.node.site.api_infrastructures().items():
                # Ports change: a node of the sandbox is kept by its id, and its URL is looked up.
                entries = [{"nodeId": node.id, "url": "", "adminAPIKey": "", "graphitePrefix": None} for node in nodes]
                write_json(
                    self.places.infra(infra_id), {**_new_settings(infra_id, stage, "NO_CHECK"), "apiNodes": entries}
                )

    def ids(self) -> list[str]:
        """The ids of all infrastructures."""
        return sorted(path.stem for path in (self.places.root / "infras").glob("*.json") if path.name[0] != ".")

    def _load(self, infra_id: str) -> dict[str, Any]:
        settings = read_json(self.places.infra(infra_id))
        if settings is None:
            raise not_found(f"infrastructure {infra_id} does not exist on the API Deployer")
        return cast(dict[str, Any], settings)

    def settings(self, infra_id: str) -> dict[str, Any]:
        """The settings, with the present URLs of nodes of the sandbox and without the keys. Raises 404."""
        settings = self._load(infra_id)
        shown = [
            {**entry, "url": self._access(entry)[0], "adminAPIKey": HIDDEN if self._access(entry)[1] else ""}
            for entry in settings["apiNodes"]
        ]
        return {**settings, "apiNodes": shown}

    def create(self, infra_id: str, stage: str, kind: str, policy: str) -> dict[str, Any]:
        """Creates an infrastructure without nodes. Raises 400 and 409."""
        path = self.places.infra(infra_id)
        if stage not in [known["id"] for known in STAGES]:
            raise bad_request(f"Unknown stage {stage!r}: use one of {', '.join(known['id'] for known in STAGES)}")
        if kind != "STATIC":
            raise bad_request(f"Infrastructures of type {kind!r} are not supported by the sandbox: use STATIC")
        if policy not in GOVERN_POLICIES:
            raise bad_request(f"Unknown governCheckPolicy {policy!r}: use one of {', '.join(GOVERN_POLICIES)}")
        with self.places.lock:
            if path.exists():
                raise conflict(f"infrastructure {infra_id} already exists on the API Deployer")
            write_json(path, _new_settings(infra_id, stage, policy))
        return self.settings(infra_id)

    def save(self, infra_id: str, settings: dict[str, Any]) -> None:
        """Replaces the settings; the id stays, and so do keys that are the hidden one. Raises 400 and 404."""
        with self.places.lock:
            known = self._load(infra_id)
            if settings.get("id", infra_id) != infra_id:
                raise bad_request("The id of an infrastructure can't be changed")
            if settings.get("stage") not in [stage["id"] for stage in STAGES]:
                raise bad_request(f"Unknown stage {settings.get('stage')!r}")
            entries = settings.get("apiNodes")
            if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
                raise bad_request("apiNodes of an infrastructure must be a list of objects with url and adminAPIKey")
            kept = {self._access(entry)[0]: entry for entry in known["apiNodes"]}
            entries = [_with_its_key(entry, kept.get(str(entry.get("url")))) for entry in entries]
            write_json(self.places.infra(infra_id), {**settings, "id": infra_id, "apiNodes": entries})

    def delete(self, infra_id: str) -> None:
        """Deletes an infrastructure that no deployment uses. Raises 404."""
        with self.places.lock:
            self._load(infra_id)
            self.places.infra(infra_id).unlink()

    def basic_info(self, infra_id: str) -> dict[str, Any]:
        """The summary that stands in statuses. Raises 404."""
        settings = self.settings(infra_id)
        info: dict[str, Any] = {name: settings[name] for name in ("id", "stage", "type", "governCheckPolicy")}
        return {**info, "apiNodeUrls": [entry["url"] for entry in settings["apiNodes"]]}

    def nodes(self, infra_id: str) -> list[ApiNode]:
        """Clients of the nodes. Raises 404, and 409 when the infrastructure has none."""
        found = []
        for entry in self._load(infra_id)["apiNodes"]:
            url, key = self._access(entry)
            if url and key:
                found.append(ApiNode(str(entry.get("nodeId") or url), url, key, self._faults(entry)))
        if not found:
            raise conflict(f"infrastructure {infra_id} has no API node with a url and an adminAPIKey")
        return found

    def faults(self, infra_id: str) -> list[NodeFaults]:
        """The faults of the nodes behind the infrastructure, and of the Design node."""
        own = self.places.node.faults
        return [*(self._faults(entry) for entry in self._load(infra_id)["apiNodes"]), own]

    def _faults(self, entry: dict[str, Any]) -> NodeFaults:
        node = self.places.node.site.nodes.get(str(entry.get("nodeId")))
        return (node or self.places.node).faults

    def _access(self, entry: dict[str, Any]) -> tuple[str, str]:
        """URL and key of a node."""
        node = self.places.node.site.nodes.get(str(entry.get("nodeId")))
        if node is not None:
            return node.url, node.api_key
        return str(entry.get("url") or "").rstrip("/"), str(entry.get("adminAPIKey") or "")


def _with_its_key(entry: dict[str, Any], known: dict[str, Any] | None) -> dict[str, Any]:
    if entry.get("adminAPIKey") != HIDDEN:
        return {name: value for name, value in entry.items() if name != "nodeId"}
    if known is None:
        raise bad_request(f"API node {entry.get('url')} has no adminAPIKey")
    return {**entry, "adminAPIKey": known.get("adminAPIKey", "")}


def _new_settings(infra_id: str, stage: str, policy: str) -> dict[str, Any]:
    return {
        "id": infra_id,
        "stage": stage,
        "type": "STATIC",
        "governCheckPolicy": policy,
        "apiNodes": [],
        "permissions": [],
    }
