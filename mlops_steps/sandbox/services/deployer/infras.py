"""Infrastructures: which Automation node stands behind an id, and in which stage."""

from __future__ import annotations

from typing import Any, cast

from mlops_steps.sandbox.faults.board import NodeFaults
from mlops_steps.sandbox.node.errors import bad_request, conflict, not_found
from mlops_steps.sandbox.node.node import Node
from mlops_steps.sandbox.node.store import read_json, write_json
from mlops_steps.sandbox.services.deployer.places import Places
from mlops_steps.sandbox.services.deployer.remote import AutomationNode

STAGES = (
    {"id": "Development", "desc": "Development stage"},
    {"id": "Test", "desc": "Test stage"},
    {"id": "Production", "desc": "Production stage"},
)
GOVERN_POLICIES = ("PREVENT", "WARN", "NO_CHECK")
# A key that was saved is not given out again; saving this value keeps it.
HIDDEN = "********"


class Infras:
    """The infrastructures of a deployer. Those of the sandbox's own nodes are there from the beginning."""

    def __init__(self, node: Node) -> None:
        self.places = Places(node)
        self._seed()

    def _seed(self) -> None:
        with self.places.lock:
            if (self.places.root / "infras").exists():
                return
            for infra_id, (nodes, stage) in self.places.node.site.infrastructures().items():
                settings = _new_settings(infra_id, stage, "NO_CHECK")
                settings.update(autoconfigureFromNodesDirectory=True, nodeId=nodes[0].id)
                if len(nodes) > 1:
                    # Inferred: the client only names "multi automation node infrastructures".
                    members = [{"automationNodeId": node.id} for node in nodes]
                    settings.update(type="MULTI_AUTOMATION_NODE", automationNodes=members)
                write_json(self.places.infra(infra_id), settings)

    def ids(self) -> list[str]:
        """The ids of all infrastructures."""
        return sorted(path.stem for path in (self.places.root / "infras").glob("*.json") if path.name[0] != ".")

    def _load(self, infra_id: str) -> dict[str, Any]:
        settings = read_json(self.places.infra(infra_id))
        if settings is None:
            raise not_found(f"infrastructure {infra_id} does not exist")
        return cast(dict[str, Any], settings)

    def settings(self, infra_id: str) -> dict[str, Any]:
        """The settings, with the present URL of a node of the sandbox and without the key. Raises 404."""
        settings = self._load(infra_id)
        url, key = self._endpoint(settings)
        return {
            **settings,
            "automationNodeUrl": url,
            "automationNodeExternalUrl": settings.get("automationNodeExternalUrl") or url,
            "adminApiKey": HIDDEN if key else "",
        }

    def create(self, infra_id: str, stage: str, policy: str) -> dict[str, Any]:
        """Creates an infrastructure that stands for no node yet. Raises 400 and 409."""
        path = self.places.infra(infra_id)
        if stage not in [known["id"] for known in STAGES]:
            raise bad_request(f"Unknown stage {stage!r}: use one of {', '.join(known['id'] for known in STAGES)}")
        if policy not in GOVERN_POLICIES:
            raise bad_request(f"Unknown governCheckPolicy {policy!r}: use one of {', '.join(GOVERN_POLICIES)}")
        with self.places.lock:
            if path.exists():
                raise conflict(f"infrastructure {infra_id} already exists")
            write_json(path, _new_settings(infra_id, stage, policy))
        return self.settings(infra_id)

    def save(self, infra_id: str, settings: dict[str, Any]) -> None:
        """Replaces the settings; the id stays, and so does the key when it is the hidden one. Raises 404 and 400."""
        with self.places.lock:
            known = self._load(infra_id)
            if settings.get("id", infra_id) != infra_id:
                raise bad_request("The id of an infrastructure can't be changed")
            if settings.get("stage") not in [stage["id"] for stage in STAGES]:
                raise bad_request(f"Unknown stage {settings.get('stage')!r}")
            if settings.get("adminApiKey") == HIDDEN:
                settings = {**settings, "adminApiKey": known.get("adminApiKey", "")}
            write_json(self.places.infra(infra_id), {**settings, "id": infra_id})

    def delete(self, infra_id: str) -> None:
        """Deletes an infrastructure that no deployment uses. Raises 404."""
        with self.places.lock:
            self._load(infra_id)
            self.places.infra(infra_id).unlink()

    def basic_info(self, infra_id: str) -> dict[str, Any]:
        """The summary that stands in statuses. Raises 404."""
        settings = self.settings(infra_id)
        names = ("id", "stage", "governCheckPolicy", "automationNodeUrl", "automationNodeExternalUrl", "type")
        return {name: settings[name] for name in names if name in settings}

    def automation_nodes(self, infra_id: str) -> list[AutomationNode]:
        """A client of each node of the infrastructure. Raises 404, and 409 when it stands for none."""
        settings = self._load(infra_id)
        members = [self.places.node.site.nodes[one["automationNodeId"]] for one in settings.get("automationNodes", [])]
        return [AutomationNode(node.id, node.url, node.api_key) for node in members] or [self.automation_node(infra_id)]

    def automation_node(self, infra_id: str) -> AutomationNode:
        """A client of the node, or of the first one. Raises 404, and 409 when the infrastructure stands for none."""
        settings = self._load(infra_id)
        url, key = self._endpoint(settings)
        if not url or not key:
            raise conflict(f"infrastructure {infra_id} has no automationNodeUrl or no adminApiKey")
        name = str(settings.get("nodeId") or infra_id)
        return AutomationNode(name, url, key, verify=not settings.get("trustAllSSLCertificates", False))

    def faults(self, infra_id: str) -> NodeFaults:
        """The faults of the node behind the infrastructure; of the Design node when it is not of this sandbox."""
        node = self.places.node.site.nodes.get(str(self._load(infra_id).get("nodeId")))
        return (node or self.places.node).faults

    def _endpoint(self, settings: dict[str, Any]) -> tuple[str, str]:
        if settings.get("autoconfigureFromNodesDirectory"):
            node = self.places.node.site.nodes.get(str(settings.get("nodeId")))
            return (node.url, node.api_key) if node is not None else ("", "")
        return str(settings.get("automationNodeUrl") or ""), str(settings.get("adminApiKey") or "")


def _new_settings(infra_id: str, stage: str, policy: str) -> dict[str, Any]:
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
