"""Infrastructures: which API nodes stand behind an id, and in which stage."""

from __future__ import annotations

from typing import Any

from mlops_steps.sandbox.faults.board import NodeFaults
from mlops_steps.sandbox.node.errors import bad_request, conflict
from mlops_steps.sandbox.node.node import Node
from mlops_steps.sandbox.services.api_deployer.places import Places
from mlops_steps.sandbox.services.api_deployer.remote import ApiNode
from mlops_steps.sandbox.services.deployers import infras
from mlops_steps.sandbox.services.deployers.infras import HIDDEN


class Infras(infras.Infras):
    """The infrastructures of an API Deployer: each stands for some API nodes."""

    def __init__(self, node: Node) -> None:
        super().__init__(Places(node))

    def seeds(self) -> dict[str, dict[str, Any]]:
        """Those of the sandbox's own API nodes. A node is kept by its id: ports change, and its URL is looked up."""
        return {
            infra_id: {
                **self.new_settings(infra_id, stage, "NO_CHECK"),
                "apiNodes": [
                    {"nodeId": node.id, "url": "", "adminAPIKey": "", "graphitePrefix": None} for node in nodes
                ],
            }
            for infra_id, (nodes, stage) in self.places.node.site.api_infrastructures().items()
        }

    def new_settings(self, infra_id: str, stage: str, policy: str) -> dict[str, Any]:
        """The settings of an infrastructure without nodes."""
        return {
            "id": infra_id,
            "stage": stage,
            "type": "STATIC",
            "governCheckPolicy": policy,
            "apiNodes": [],
            "permissions": [],
        }

    def shown(self, settings: dict[str, Any]) -> dict[str, Any]:
        """With the present URLs of nodes of the sandbox, and without keys."""
        entries = [
            {**entry, "url": self._access(entry)[0], "adminAPIKey": HIDDEN if self._access(entry)[1] else ""}
            for entry in settings["apiNodes"]
        ]
        return {**settings, "apiNodes": entries}

    def kept(self, known: dict[str, Any], wanted: dict[str, Any]) -> dict[str, Any]:
        """With the known keys of nodes whose wanted key is the hidden one. Raises 400."""
        entries = wanted.get("apiNodes")
        if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
            raise bad_request("apiNodes of an infrastructure must be a list of objects with url and adminAPIKey")
        before = {self._access(entry)[0]: entry for entry in known["apiNodes"]}
        return {**wanted, "apiNodes": [_with_its_key(entry, before.get(str(entry.get("url")))) for entry in entries]}

    def basic_info(self, infra_id: str) -> dict[str, Any]:
        """The summary that stands in statuses. Raises 404."""
        settings = self.settings(infra_id)
        info: dict[str, Any] = {name: settings[name] for name in ("id", "stage", "type", "governCheckPolicy")}
        return {**info, "apiNodeUrls": [entry["url"] for entry in settings["apiNodes"]]}

    def nodes(self, infra_id: str) -> list[ApiNode]:
        """Clients of the nodes. Raises 404, and 409 when the infrastructure has none."""
        found = []
        for entry in self.load(infra_id)["apiNodes"]:
            url, key = self._access(entry)
            if url and key:
                found.append(ApiNode(str(entry.get("nodeId") or url), url, key, self._faults(entry)))
        if not found:
            raise conflict(f"infrastructure {infra_id} has no API node with a url and an adminAPIKey")
        return found

    def faults(self, infra_id: str) -> list[NodeFaults]:
        """The faults of the nodes behind the infrastructure, and of the Design node."""
        own = self.places.node.faults
        return [*(self._faults(entry) for entry in self.load(infra_id)["apiNodes"]), own]

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
