"""Updates: making an Automation node what a deployment's settings say, with a history."""

from __future__ import annotations

from typing import Any

from mlops_steps.sandbox.node.futures import Future
from mlops_steps.sandbox.services.deployer import history
from mlops_steps.sandbox.services.deployer.deployments import Deployments
from mlops_steps.sandbox.services.deployer.history import History, UpdateFailed
from mlops_steps.sandbox.services.deployer.remote import AutomationNode
from mlops_steps.sandbox.services.govern import policy

_CODE = "ERR_PROJECT_DEPLOYMENT_UPDATE"


class Update(history.Update):
    """An update of an infrastructure: of one Automation node, or of several, one after the other."""

    code = _CODE

    def __init__(self, deployments: Deployments, settings: dict[str, Any], started: int, user: str) -> None:
        self.deployments = deployments
        folder = deployments.places.updates(settings["id"])
        super().__init__(folder, settings, started, user, bundleId=settings["bundleId"])

    def work(self) -> None:
        """Makes the node what the settings say, unless a fault keeps the update from it."""
        faults = self.deployments.infras.faults(self.settings["infraId"])
        failure = faults.take("update-fails", key=self.id)
        if failure is not None and failure.fault.act == "before":
            raise UpdateFailed(failure.fault.message or "The update failed")
        if faults.take("update-lies", key=self.id) is None:
            for node in self.deployments.infras.automation_nodes(self.settings["infraId"]):
                with node:
                    self.log(f"Update of deployment {self.id} on node {node.name} ({node.url})")
                    self._deploy(node) if self.settings["enabled"] else self._disable(node)
        if failure is not None:
            raise UpdateFailed(failure.fault.message or "The update failed after the bundle was activated")

    def _deploy(self, node: AutomationNode) -> None:
        settings, key, bundle_id = self.settings, self.settings["deployedProjectKey"], self.settings["bundleId"]
        self._check_govern(bundle_id)
        store = self.deployments.projects.bundles(settings["publishedProjectKey"])
        wanted = store.get(bundle_id)
        archive = str(store.archive_path(bundle_id))
        if node.project(key) is None:
            self.log(f"Project {key} does not exist on the node: creating it from bundle {bundle_id}")
            node.create_project(key, archive)
        else:
            self._import(node, key, bundle_id, archive, wanted["sha256"])
        self.log("Settings of the project on the node")
        paused = bool(settings.get("disableAutomaticTriggers"))
        container = settings.get("bundleContainerSettings") or {}
        node.change_settings(key, bundleContainerSettings=container, disableAutomaticTriggers=paused)
        if settings.get("localVariables"):
            self.log("Local variables of the project on the node")
            node.set_local_variables(key, settings["localVariables"])
        self.log(f"Preloading bundle {bundle_id}")
        self.take(node.preload(key, bundle_id))
        self.log(f"Activating bundle {bundle_id}")
        self.take(node.activate(key, bundle_id, settings.get("scenariosToActivate") or {}))
        active = ((node.project(key) or {}).get("activeBundleState") or {}).get("bundleId")
        if active != bundle_id:
            raise UpdateFailed(f"Bundle {bundle_id} was activated, but node {node.name} says that {active} is active")

    def _check_govern(self, bundle_id: str) -> None:
        """Refuses a bundle that Govern has not approved, where the infrastructure prevents that (inferred)."""
        checks = self.deployments.infras.settings(self.settings["infraId"]).get("governCheckPolicy", "NO_CHECK")
        if checks == "PREVENT":
            found = policy.status(self.deployments.node, checks, self.settings["publishedProjectKey"], bundle_id)
            if found["error"]:
                raise UpdateFailed(found["messages"][0]["message"])

    def _import(self, node: AutomationNode, key: str, bundle_id: str, archive: str, sha256: str) -> None:
        known = node.bundles(key).get(bundle_id)
        if known is not None and known.get("archiveSha256", sha256) == sha256:
            self.log(f"Bundle {bundle_id} is on the node already")
            return
        if known is not None:
            self.log(f"Node {node.name} has another archive under the id {bundle_id}: replacing it")
            node.delete_bundle(key, bundle_id)
        self.log(f"Importing bundle {bundle_id}")
        node.import_bundle(key, archive)

    def _disable(self, node: AutomationNode) -> None:
        key = self.settings["deployedProjectKey"]
        self.log(f"The deployment is disabled: switching off the triggers of project {key}")
        if node.project(key) is None:
            self.log(f"Project {key} does not exist on the node: nothing to switch off")
            return
        node.change_settings(key, disableAutomaticTriggers=True)


class Updates:
    """Starts updates, one at a time for each deployment, and knows the past ones."""

    def __init__(self, deployments: Deployments) -> None:
        self.deployments = deployments

    def _history(self, deployment_id: str) -> History:
        """The updates of a deployment. Raises 404."""
        self.deployments.settings(deployment_id)
        return History(self.deployments.node, deployment_id, self.deployments.places.updates(deployment_id), _CODE)

    def start(self, deployment_id: str, user: str) -> Future:
        """Starts an update with the settings of this moment. Raises 404, and 409 while another one runs."""

        def make(started: int) -> Update:
            self.deployments.set_deployed(deployment_id, settings)
            return Update(self.deployments, settings, started, user)

        with self.deployments.places.lock:
            settings = self.deployments.settings(deployment_id)
            return self._history(deployment_id).start(make, user)

    def list(self, deployment_id: str) -> list[dict[str, Any]]:
        """The updates, the newest first. Raises 404."""
        return self._history(deployment_id).list()

    def get(self, deployment_id: str, timestamp: str) -> dict[str, Any]:
        """One update. Raises 404."""
        return self._history(deployment_id).get(timestamp)

    def last(self, deployment_id: str) -> dict[str, Any] | None:
        """The newest update; ``None`` before the first. Raises 404."""
        return self._history(deployment_id).last()
