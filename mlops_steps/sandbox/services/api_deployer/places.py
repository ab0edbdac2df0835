"""Where the API Deployer of a Design node keeps its files."""

from __future__ import annotations

from pathlib import Path

from mlops_steps.sandbox.node.store import safe_name
from mlops_steps.sandbox.services.deployers import places


class Places(places.Places):
    """The folders of the API Deployer."""

    folder = "api-deployer"
    title = "API Deployer"

    def service(self, service_id: str) -> Path:
        """The folder of a published service. Raises 400 for what can't be an id."""
        return self.root / "services" / safe_name(service_id, "service id")
