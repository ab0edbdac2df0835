"""Updates: letting the API nodes of an infrastructure answer as a deployment's settings say, with a history.

First every node gets the versions and loads their models; only when all of them have, each is switched. So a version
that can't be loaded somewhere is live nowhere.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

from mlops_steps.sandbox.services.api_deployer.deployments import Deployments
from mlops_steps.sandbox.services.api_deployer.remote import ApiNode
from mlops_steps.sandbox.services.api_services.mapping import shares_of
from mlops_steps.sandbox.services.deployers import history
from mlops_steps.sandbox.services.deployers.history import UpdateFailed
from mlops_steps.sandbox.services.deployers.remote import RemoteError


class Update(history.Update):
    """An update of the API nodes of one infrastructure."""

    code = "ERR_API_DEPLOYMENT_UPDATE"

    def __init__(self, deployments: Deployments, settings: dict[str, Any], started: int, user: str) -> None:
        self.deployments = deployments
        self.service_id = settings["deployedServiceId"]
        self._refused: set[str] = set()
        folder = deployments.places.updates(settings["id"])
        super().__init__(folder, settings, started, user, generationsMapping=settings["generationsMapping"])

    def work(self) -> None:
        """Makes the nodes what the settings say, unless a fault keeps a node from it."""
        with ExitStack() as stack:
            nodes = [stack.enter_context(node) for node in self.deployments.infras.nodes(self.settings["infraId"])]
            self.log(f"Update of deployment {self.id} on {len(nodes)} API nodes")
            if not self.settings["enabled"]:
                self._each("disabled", nodes, self._disable)
                return
            self._each("prepared", nodes, self._prepare)
            self._each("switched", nodes, self._switch)

    def _each(self, done: str, nodes: list[ApiNode], work: Callable[[ApiNode], None]) -> None:
        """Works on every node, also after one has failed. Raises :class:`UpdateFailed` with all that failed."""
        failed = []
        for node in nodes:
            try:
                work(node)
            except (RemoteError, UpdateFailed) as error:
                self.log(f"API node {node.name} was not {done}: {error}")
                failed.append(f"API node {node.name} was not {done}: {error}")
        if failed:
            more = f" ({len(nodes) - len(failed)} of {len(nodes)} nodes were {done})" if len(nodes) > 1 else ""
            raise UpdateFailed("; ".join(failed) + more)

    def _prepare(self, node: ApiNode) -> None:
        failure = node.faults.take("update-fails", key=self.id)
        if failure is not None and failure.fault.act == "before":
            raise UpdateFailed(failure.fault.message or "the update failed")
        if failure is not None:
            self._refused.add(node.name)
        if node.service(self.service_id) is None:
            self.log(f"Service {self.service_id} does not exist on API node {node.name}: creating it")
            node.create_service(self.service_id)
        known = node.generations(self.service_id)
        versions = self.deployments.services.versions(self.settings["publishedServiceId"])
        for generation in shares_of(self.settings["generationsMapping"]).generations:
            wanted = versions.get(generation)
            if known.get(generation, {}).get("archiveSha256") != wanted["sha256"]:
                self.log(f"Importing version {generation} on API node {node.name}")
                node.import_generation(self.service_id, str(versions.archive_path(generation)))
            self.log(f"Loading version {generation} on API node {node.name}")
            node.preload(self.service_id, generation)

    def _switch(self, node: ApiNode) -> None:
        if node.faults.take("update-lies", key=self.id) is None:
            self.log(f"Switching service {self.service_id} on API node {node.name}")
            node.set_mapping(self.service_id, self.settings["generationsMapping"])
        if node.name in self._refused:
            raise UpdateFailed("the update failed after the node was switched")

    def _disable(self, node: ApiNode) -> None:
        if node.service(self.service_id) is not None:
            self.log(f"The deployment is disabled: service {self.service_id} on API node {node.name} is disabled")
            node.disable(self.service_id)


class Updates(history.Updates):
    """Starts updates, one at a time for each deployment, and knows the past ones."""

    deployments: Deployments
    code = Update.code

    def make(self, settings: dict[str, Any], started: int, user: str) -> Update:
        """The update, with these settings."""
        return Update(self.deployments, settings, started, user)
