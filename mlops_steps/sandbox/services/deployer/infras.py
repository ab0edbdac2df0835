"""Infrastructures: which Automation node stands behind an id, and in which stage."""

from __future__ import annotations

from typing import Any

from mlops_steps.sandbox.faults.board import NodeFaults
from mlops_steps.sandbox.node.errors import conflict
from mlops_steps.sandbox.node.node import Node
from mlops_steps.sandbox.services.deployer.places import Places
from mlops_steps.sandbox.services.deployer.remote import AutomationNode
from mlops_steps.sandbox.services.deployers import infras
from mlops_steps.sandbox.services.deployers.infras import HIDDEN


class Infras(infras.Infras):
    """The infrastructures of a Project Deployer: each stands for one Automation node."""

    def __init__(self, node: Node) -> None:
        super().__init__(Places(node))

    def seeds(self) -> dict[str, dict[str, Any]]:
        """One for each infrastructure of the sandbox."""
        return {
            infra_id: self.new_settings(infra_id, stage, "NO_CHECK") | self._stands_for(nodes)
            for infra_id, (nodes, stage) in self.places.node.site.infrastructures().items()
        }

    def _stands_for(self, nodes: list[Node]) -> dict[str, Any]:
        found: dict[str, Any] = {"autoconfigureFromNodesDirectory": True, "nodeId": nodes[0].id}
        if len(nodes) > 1:
            # Inferred: the client only names "multi automation node infrastructures".
            found["automationNodes"] = [{"automationNodeId": node.id} for node in nodes]
            found["type"] = "MULTI_AUTOMATION_NODE"
        return found

    def new_settings(self, infra_id: str, stage: str, policy: str) -> dict[str, Any]:
        """The settings of an infrastructure that stands for no node yet."""
        return {
            "id": infra_id,
            "stage": stage,
            "type": "AUTOMATION_NODE",
            "governCheckPolicy": policy,
            "autoconfigureFromNodesDirectory": False,
            "nodeId": None,
            "automationNodeUrl": "",
            "automationNodeExternalUrl": "",
            "adminApiKey": "",
            "trustAllSSLCertificates": False,
            "permissions": [],
        }

    def shown(self, settings: dict[str, Any]) -> dict[str, Any]:
        """With the present URL of a node of the sandbox, and without the key."""
        url, key = self._endpoint(settings)
        return {
            **settings,
            "automationNodeUrl": url,
            "automationNodeExternalUrl": settings.get("automationNodeExternalUrl") or url,
            "adminApiKey": HIDDEN if key else "",
        }

    def kept(self, known: dict[str, Any], wanted: dict[str, Any]) -> dict[str, Any]:
        """With the known key where the wanted one is the hidden one."""
        hidden = wanted.get("adminApiKey") == HIDDEN
        return {**wanted, "adminApiKey": known.get("adminApiKey", "")} if hidden else wanted

    def basic_info(self, infra_id: str) -> dict[str, Any]:
        """The summary that stands in statuses. Raises 404."""
        settings = self.settings(infra_id)
        names = ("id", "stage", "governCheckPolicy", "automationNodeUrl", "automationNodeExternalUrl", "type")
        return {name: settings[name] for name in names if name in settings}

    def automation_nodes(self, infra_id: str) -> list[AutomationNode]:
        """A client of each node of the infrastructure. Raises 404, and 409 when it stands for none."""
        settings = self.load(infra_id)
        members = [self.places.node.site.nodes[one["automationNodeId"]] for one in settings.get("automationNodes", [])]
        return [AutomationNode(node.id, node.url, node.api_key) for node in members] or [self.automation_node(infra_id)]

    def automation_node(self, infra_id: str) -> AutomationNode:
        """A client of the node, or of the first one. Raises 404, and 409 when the infrastructure stands for none."""
        settings = self.load(infra_id)
        url, key = self._endpoint(settings)
        if not url or not key:
            raise conflict(f"infrastructure {infra_id} has no automationNodeUrl or no adminApiKey")
        name = str(settings.get("nodeId") or infra_id)
        return AutomationNode(name, url, key, verify=not settings.get("trustAllSSLCertificates", False))

    def faults(self, infra_id: str) -> NodeFaults:
        """The faults of the node behind the infrastructure; of the Design node when it is not of this sandbox."""
        node = self.places.node.site.nodes.get(str(self.load(infra_id).get("nodeId")))
        return (node or self.places.node).faults

    def _endpoint(self, settings: dict[str, Any]) -> tuple[str, str]:
        if settings.get("autoconfigureFromNodesDirectory"):
            node = self.places.node.site.nodes.get(str(settings.get("nodeId")))
            return (node.url, node.api_key) if node is not None else ("", "")
        return str(settings.get("automationNodeUrl") or ""), str(settings.get("adminApiKey") or "")
