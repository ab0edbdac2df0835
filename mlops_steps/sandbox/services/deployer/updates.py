"""Updates: making an Automation node what a deployment's settings say, with a history."""

from __future__ import annotations

from typing import Any

from mlops_steps.sandbox.services.deployer import hooks
from mlops_steps.sandbox.services.deployer.deployments import Deployments
from mlops_steps.sandbox.services.deployer.remote import AutomationNode
from mlops_steps.sandbox.services.deployers import history
from mlops_steps.sandbox.services.deployers.history import UpdateFailed
from mlops_steps.sandbox.services.govern import policy


class Update(history.Update):
    """An update of an infrastructure: of one Automation node, or of several, one after the other."""

    code = "ERR_PROJECT_DEPLOYMENT_UPDATE"

    def __init__(self, deployments: Deployments, settings: dict[str, Any], started: int, user: str) -> None:
        self.deployments = deployments
        folder = deployments.places.updates(settings["id"])
        super().__init__(folder, settings, started, user, bundleId=settings["bundleId"])

    def work(self) -> None:
        """Makes the node what the settings say, unless a fault keeps the update from it."""
        faults = self.deployments.infras.faults(self.settings["infraId"])
        self._ask_hooks()
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

    def _ask_hooks(self) -> None:
        """Runs the infrastructure's hooks; the first error ends the update before it has changed anything."""
        infra = self.deployments.infras.load(self.settings["infraId"])
        if not infra.get(hooks.HOOKS):
            return
        key, user = self.settings["deployedProjectKey"], self.record["requester"]
        with self.deployments.infras.automation_node(self.settings["infraId"]) as node:
            call = hooks.Call(self.deployments.node, node, node.api_key, self.id, key, user)
            for found in hooks.run_hooks(infra, call):
                self.messages.append(found)
                self.log(f"{found['title']}: {found['severity']}: {found['message']}")
                if found["severity"] == "ERROR":
                    raise UpdateFailed(f"{found['title']}: {found['message']}")

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


class Updates(history.Updates):
    """Starts updates, one at a time for each deployment, and knows the past ones."""

    deployments: Deployments
    code = Update.code

    def make(self, settings: dict[str, Any], started: int, user: str) -> Update:
        """The update, with these settings."""
        return Update(self.deployments, settings, started, user)
