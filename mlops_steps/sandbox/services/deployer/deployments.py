"""Deployments: what should run on an infrastructure, and what was last sent there."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from typing import Any, cast

from mlops_steps.sandbox.node.errors import bad_request, conflict, not_found
from mlops_steps.sandbox.node.node import Node
from mlops_steps.sandbox.node.store import now_ms, read_json, safe_name, write_json
from mlops_steps.sandbox.services.deployer.infras import Infras
from mlops_steps.sandbox.services.deployer.places import Places
from mlops_steps.sandbox.services.deployer.published import PublishedProjects

FIXED = ("id", "infraId", "publishedProjectKey")
# Settings that reach the node by an update only.
DEPLOYED = (
    "bundleId",
    "enabled",
    "deployedProjectKey",
    "bundleContainerSettings",
    "localVariables",
    "scenariosToActivate",
    "disableAutomaticTriggers",
)


class Deployments:
    """The deployments of a deployer: settings on one side, the state of the last update on the other."""

    def __init__(self, node: Node) -> None:
        self.node = node
        self.places = Places(node)
        self.infras = Infras(node)
        self.projects = PublishedProjects(node)

    def ids(self) -> list[str]:
        """The ids of all deployments."""
        return sorted(path.parent.name for path in (self.places.root / "deployments").glob("*/settings.json"))

    def settings(self, deployment_id: str) -> dict[str, Any]:
        """The settings. Raises 404."""
        settings = read_json(self.places.deployment(deployment_id) / "settings.json")
        if settings is None:
            raise not_found(f"deployment {deployment_id} does not exist")
        return cast(dict[str, Any], settings)

    def all_settings(self) -> Iterator[dict[str, Any]]:
        """The settings of every deployment."""
        for deployment_id in self.ids():
            yield self.settings(deployment_id)

    # ---- what was sent to the node

    def deployed(self, deployment_id: str) -> dict[str, Any] | None:
        """The settings that the last update worked with, whatever came of it; ``None`` before the first."""
        return cast("dict[str, Any] | None", read_json(self.places.deployment(deployment_id) / "deployed.json"))

    def set_deployed(self, deployment_id: str, settings: dict[str, Any]) -> None:
        """Notes the settings that an update works with."""
        write_json(
            self.places.deployment(deployment_id) / "deployed.json", {name: settings.get(name) for name in DEPLOYED}
        )

    def pending(self, deployment_id: str) -> list[str]:
        """The settings that were changed and not sent to the node yet."""
        deployed, settings = self.deployed(deployment_id), self.settings(deployment_id)
        return [name for name in DEPLOYED if deployed is not None and deployed.get(name) != settings.get(name)]

    # ---- changes

    def create(self, wanted: dict[str, Any], user: str) -> dict[str, Any]:
        """Creates a deployment; nothing happens on the node. Raises 400, 404 and 409."""
        deployment_id = safe_name(wanted.get("deploymentId", ""), "deployment id")
        key, infra_id = str(wanted.get("publishedProjectKey", "")), str(wanted.get("infraId", ""))
        bundle_id = str(wanted.get("bundleId", ""))
        with self.places.lock:
            if deployment_id in self.ids():
                raise conflict(f"deployment {deployment_id} already exists")
            self.infras.settings(infra_id)
            self.projects.bundles(key).get(bundle_id)
            deployed_key = safe_name(wanted.get("deployedProjectKey") or key, "project key")
            now = now_ms()
            tag = {"versionNumber": 0, "lastModifiedBy": {"login": user}, "lastModifiedOn": now}
            settings: dict[str, Any] = {
                "id": deployment_id,
                "infraId": infra_id,
                "publishedProjectKey": key,
                "bundleId": bundle_id,
                "deployedProjectKey": deployed_key,
                "projectFolderId": wanted.get("projectFolderId"),
                "enabled": True,
                "tags": [],
                "bundleContainerSettings": {
                    "remapping": {"connections": [], "codeEnvs": [], "containerExecs": []},
                    "codeEnvsBehavior": {"importTimeMode": "FAIL_IF_MISS", "envImportSpecificationMode": "SPECIFIED"},
                },
                "localVariables": {},
                "scenariosToActivate": {},
                "disableAutomaticTriggers": False,
                "creationTag": tag,
                "versionTag": tag,
            }
            write_json(self.places.deployment(deployment_id) / "settings.json", settings)
        return settings

    def save(self, deployment_id: str, wanted: dict[str, Any], user: str) -> None:
        """Replaces the settings; the node is changed by an update only. Raises 400 and 404."""
        with self.places.lock:
            known = self.settings(deployment_id)
            for name in FIXED:
                if wanted.get(name, known[name]) != known[name]:
                    raise bad_request(f"{name} of deployment {deployment_id} can't be changed")
            settings = {**known, **wanted}
            if not isinstance(settings["enabled"], bool):
                raise bad_request("enabled of a deployment must be true or false")
            self.projects.bundles(known["publishedProjectKey"]).get(str(settings["bundleId"]))
            if settings["deployedProjectKey"] != known["deployedProjectKey"]:
                if self.deployed(deployment_id) is not None:
                    raise bad_request(f"deployment {deployment_id} was deployed: deployedProjectKey can't be changed")
                safe_name(settings["deployedProjectKey"], "project key")
            version = int(known["versionTag"]["versionNumber"]) + 1
            settings["versionTag"] = {
                "versionNumber": version,
                "lastModifiedBy": {"login": user},
                "lastModifiedOn": now_ms(),
            }
            write_json(self.places.deployment(deployment_id) / "settings.json", settings)

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

    def infra_status(self, infra_id: str) -> dict[str, Any]:
        """An infrastructure with its deployments. Raises 404."""
        used = [settings["id"] for settings in self.all_settings() if settings["infraId"] == infra_id]
        return {
            "isAdmin": True,
            "canDeploy": True,
            "infraBasicInfo": self.infras.basic_info(infra_id),
            "deployments": [self.basic_info(deployment_id) for deployment_id in used],
        }

    def project_status(self, key: str) -> dict[str, Any]:
        """A published project with its bundles, deployments and their infrastructures. Raises 404."""
        project = self.projects.settings(key)
        used = [settings for settings in self.all_settings() if settings["publishedProjectKey"] == key]
        return {
            "isAdmin": True,
            "canWrite": True,
            "canDeploy": True,
            "projectBasicInfo": {"id": key, "name": project.get("name", key), "tags": project.get("tags", [])},
            "packages": self.projects.packages(key),
            "deployments": [self.basic_info(settings["id"]) for settings in used],
            "infras": [self.infras.basic_info(infra_id) for infra_id in sorted({s["infraId"] for s in used})],
        }

    # ---- what is in use

    def refuse_used_infra(self, infra_id: str) -> None:
        """Raises 409 when deployments use this infrastructure."""
        self._refuse_used(f"infrastructure {infra_id}", infraId=infra_id)

    def refuse_used_project(self, key: str) -> None:
        """Raises 409 when deployments use this published project."""
        self._refuse_used(f"published project {key}", publishedProjectKey=key)

    def refuse_used_bundle(self, key: str, bundle_id: str) -> None:
        """Raises 409 when deployments are set to this bundle."""
        self._refuse_used(f"bundle {bundle_id}", publishedProjectKey=key, bundleId=bundle_id)

    def _refuse_used(self, what: str, **fields: str) -> None:
        for settings in self.all_settings():
            if all(settings[name] == value for name, value in fields.items()):
                raise conflict(f"{what} is used by deployment {settings['id']}")
