"""Where a deployer of a Design node keeps its files, and the lock around them."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import ClassVar

from mlops_steps.sandbox.node.node import Node
from mlops_steps.sandbox.node.store import safe_name


class Places:
    """The folders of a deployer that a Design node hosts. A subclass names its folder, and itself."""

    folder: ClassVar[str]
    title: ClassVar[str]

    def __init__(self, node: Node) -> None:
        self.node = node
        self.root = node.dir / self.folder

    @property
    def lock(self) -> threading.RLock:
        """Held while the deployer's files are changed; never while a node is asked over HTTP."""
        # No project key: keys don't start with '~'.
        return self.node.lock(f"~{self.folder}")

    def infra(self, infra_id: str) -> Path:
        """The settings of an infrastructure. Raises 400 for what can't be an id."""
        return self.root / "infras" / f"{safe_name(infra_id, 'infrastructure id')}.json"

    def deployment(self, deployment_id: str) -> Path:
        """The folder of a deployment. Raises 400 for what can't be an id."""
        return self.root / "deployments" / safe_name(deployment_id, "deployment id")

    def updates(self, deployment_id: str) -> Path:
        """The folder of a deployment's updates."""
        return self.deployment(deployment_id) / "updates"
