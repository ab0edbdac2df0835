"""Where the Project Deployer of a Design node keeps its files."""

from __future__ import annotations

from pathlib import Path

from mlops_steps.sandbox.node.store import safe_name
from mlops_steps.sandbox.services.deployers import places


class Places(places.Places):
    """The folders of the Project Deployer."""

    folder = "deployer"
    title = "Project Deployer"

    def project(self, key: str) -> Path:
        """The folder of a published project. Raises 400 for what can't be a key."""
        return self.root / "projects" / safe_name(key, "project key")
