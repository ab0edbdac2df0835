"""The two deployers of DSS. What the client asks of both in the same way is written once, for either."""

from __future__ import annotations

from typing import Any, Protocol


class Deployer(Protocol):
    """How the client reaches a deployment of one of the deployers, and what is published there."""

    name: str

    def deployment(self, client: Any, deployment_id: str) -> Any:
        """The client's handle of a deployment. Sends nothing."""

    def published(self, client: Any, key: str) -> Any:
        """The client's handle of a published project, or of a published service. Sends nothing."""


class _ProjectDeployer:
    name = "Project Deployer"

    def deployment(self, client: Any, deployment_id: str) -> Any:
        return client.get_projectdeployer().get_deployment(deployment_id)

    def published(self, client: Any, key: str) -> Any:
        return client.get_projectdeployer().get_project(key)


class _ApiDeployer:
    name = "API Deployer"

    def deployment(self, client: Any, deployment_id: str) -> Any:
        return client.get_apideployer().get_deployment(deployment_id)

    def published(self, client: Any, key: str) -> Any:
        return client.get_apideployer().get_service(key)


PROJECTS: Deployer = _ProjectDeployer()
SERVICES: Deployer = _ApiDeployer()
