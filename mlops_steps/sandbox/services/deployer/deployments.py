"""Deployments of projects: which bundle should be active on an infrastructure, and what was last sent there."""

from __future__ import annotations

import shutil
from typing import Any

from mlops_steps.sandbox.node.errors import bad_request, conflict
from mlops_steps.sandbox.node.node import Node
from mlops_steps.sandbox.node.store import safe_name
from mlops_steps.sandbox.services.deployer.infras import Infras
from mlops_steps.sandbox.services.deployer.places import Places
from mlops_steps.sandbox.services.deployer.published import PublishedProjects
from mlops_steps.sandbox.services.deployers import deployments


class Deployments(deployments.Deployments):
    """The deployments of a Project Deployer."""

    fixed = ("id", "infraId", "publishedProjectKey")
    updated = (
        "bundleId",
        "enabled",
        "deployedProjectKey",
        "bundleContainerSettings",
        "localVariables",
        "scenariosToActivate",
        "disableAutomaticTriggers",
    )
    infras: Infras

    def __init__(self, node: Node) -> None:
        super().__init__(Places(node), Infras(node))
        self.projects = PublishedProjects(node)

    # ---- changes

    def create(self, wanted: dict[str, Any], user: str) -> dict[str, Any]:
        """Creates a deployment; nothing happens on the node. Raises 400, 404 and 409."""
        deployment_id = safe_name(wanted.get("deploymentId", ""), "deployment id")
        key, bundle_id = str(wanted.get("publishedProjectKey", "")), str(wanted.get("bundleId", ""))
        with self.places.lock:
            self.projects.bundles(key).get(bundle_id)
            settings: dict[str, Any] = {
                "id": deployment_id,
                "infraId": str(wanted.get("infraId", "")),
                "publishedProjectKey": key,
                "bundleId": bundle_id,
                "deployedProjectKey": safe_name(wanted.get("deployedProjectKey") or key, "project key"),
                "projectFolderId": wanted.get("projectFolderId"),
                "bundleContainerSettings": {
                    "remapping": {"connections": [], "codeEnvs": [], "containerExecs": []},
                    "codeEnvsBehavior": {"importTimeMode": "FAIL_IF_MISS", "envImportSpecificationMode": "SPECIFIED"},
                },
                "localVariables": {},
                "scenariosToActivate": {},
                "disableAutomaticTriggers": False,
            }
            return self.save_new(settings, user)

    def check(self, known: dict[str, Any], wanted: dict[str, Any]) -> None:
        """Raises 404 for an unknown bundle, 400 when the project's key on the node would change too late."""
        self.projects.bundles(known["publishedProjectKey"]).get(str(wanted["bundleId"]))
        if wanted["deployedProjectKey"] != known["deployedProjectKey"]:
            if self.deployed(known["id"]) is not None:
                raise bad_request(f"deployment {known['id']} was deployed: deployedProjectKey can't be changed")
            safe_name(wanted["deployedProjectKey"], "project key")

    def delete(self, deployment_id: str) -> None:
        """Deletes a deployment that was never deployed, or was updated after it was disabled. Raises 404 and 409."""
        with self.places.lock:
            settings, deployed = self.settings(deployment_id), self.deployed(deployment_id)
            if settings["enabled"] and deployed is not None:
                raise conflict(f"deployment {deployment_id} is enabled: disable it and update it before deleting it")
            if deployed is not None and deployed["enabled"]:
                raise conflict(f"deployment {deployment_id} was disabled and not updated yet: update it first")
            shutil.rmtree(self.places.deployment(deployment_id))

    # ---- summaries

    def basic_info(self, deployment_id: str) -> dict[str, Any]:
        """The summary that stands in statuses. Raises 404."""
        settings = self.settings(deployment_id)
        names = ("id", "infraId", "tags", "publishedProjectKey", "bundleId", "deployedProjectKey", "enabled")
        return {
            **{name: settings[name] for name in names},
            "createdBy": settings["creationTag"]["lastModifiedBy"]["login"],
            "createdByDisplayName": settings["creationTag"]["lastModifiedBy"]["login"],
            "lastModifiedByDisplayName": settings["versionTag"]["lastModifiedBy"]["login"],
        }

    def light_status(self, deployment_id: str) -> dict[str, Any]:
        """Everything but the health. Raises 404."""
        settings = self.settings(deployment_id)
        key = settings["publishedProjectKey"]
        project = self.projects.settings(key)
        return {
            "deploymentBasicInfo": self.basic_info(deployment_id),
            "infraBasicInfo": self.infras.basic_info(settings["infraId"]),
            "projectBasicInfo": {"id": key, "name": project.get("name", key)},
            "packages": self.projects.packages(key),
            "neverEverDeployed": self.deployed(deployment_id) is None,
            "isAdmin": True,
            "canDeploy": True,
        }

    def project_status(self, key: str) -> dict[str, Any]:
        """A published project with its bundles, deployments and their infrastructures. Raises 404."""
        project = self.projects.settings(key)
        info = {"projectBasicInfo": {"id": key, "name": project.get("name", key), "tags": project.get("tags", [])}}
        return self.published_status(info, self.projects.packages(key), publishedProjectKey=key)

    # ---- what is in use

    def refuse_used_project(self, key: str) -> None:
        """Raises 409 when deployments use this published project."""
        self.refuse_used(f"published project {key}", publishedProjectKey=key)

    def refuse_used_bundle(self, key: str, bundle_id: str) -> None:
        """Raises 409 when deployments are set to this bundle."""
        self.refuse_used(f"bundle {bundle_id}", publishedProjectKey=key, bundleId=bundle_id)
