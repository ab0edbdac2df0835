"""Where the API Deployer of a Design node keeps its files, and the lock around them."""

from __future__ import annotations

import threading
from pathlib import Path

from mlops_steps.sandbox.node.node import Node
from mlops_steps.sandbox.node.store import safe_name

# No project key: keys don't start with '~'.
_LOCK = "~api-deployer"


class Places:
    """The folders of the API Deployer that a Design node hosts."""

    def __init__(self, node: Node) -> None:
        self.node = node
        self.root = node.dir / "api-deployer"

    @property
    def lock(self) -> threading.RLock:
        """Held while the deployer's files are changed; never while a node is asked over HTTP."""
        return self.node.lock(_LOCK)

    def infra(self, infra_id: str) -> Path:
        """The settings of an infrastructure. Raises 400 for what can't be an id."""
        return self.root / "infras" / f"{safe_name(infra_id, 'infrastructure id')}.json"

    def service(self, service_id: str) -> Path:
        """The folder of a published service. Raises 400 for what can't be an id."""
        return self.root / "services" / safe_name(service_id, "service id")

    def deployment(self, deployment_id: str) -> Path:
        """The folder of a deployment. Raises 400 for what can't be an id."""
        return self.root / "deployments" / safe_name(deployment_id, "deployment id")

    def updates(self, deployment_id: str) -> Path:
        """The folder of a deployment's updates."""
        return self.deployment(deployment_id) / "updates"
