"""Deployments: which versions of a service should answer on an infrastructure, and what was last sent there."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from typing import Any, cast

from mlops_steps.sandbox.node.errors import DssError, bad_request, conflict, not_found
from mlops_steps.sandbox.node.node import Node
from mlops_steps.sandbox.node.store import now_ms, read_json, safe_name, write_json
from mlops_steps.sandbox.services.api_deployer.infras import Infras
from mlops_steps.sandbox.services.api_deployer.places import Places
from mlops_steps.sandbox.services.api_deployer.published import PublishedServices
from mlops_steps.sandbox.services.api_services.mapping import SINGLE, shares_of
from mlops_steps.sandbox.services.deployer.remote import RemoteError

FIXED = ("id", "infraId", "publishedServiceId", "deployedServiceId")
# Settings that reach the nodes by an update only.
DEPLOYED = ("generationsMapping", "enabled")


class Deployments:
    """The deployments of an API Deployer: settings on one side, the state of the last update on the other."""

    def __init__(self, node: Node) -> None:
        self.node = node
        self.places = Places(node)
        self.infras = Infras(node)
        self.services = PublishedServices(node)

    def ids(self) -> list[str]:
        """The ids of all deployments."""
        return sorted(path.parent.name for path in (self.places.root / "deployments").glob("*/settings.json"))

    def settings(self, deployment_id: str) -> dict[str, Any]:
        """The settings. Raises 404."""
        settings = read_json(self.places.deployment(deployment_id) / "settings.json")
        if settings is None:
            raise not_found(f"deployment {deployment_id} does not exist on the API Deployer")
        return cast(dict[str, Any], settings)

    def all_settings(self) -> Iterator[dict[str, Any]]:
        """The settings of every deployment."""
        for deployment_id in self.ids():
            yield self.settings(deployment_id)

    # ---- what was sent to the nodes

    def deployed(self, deployment_id: str) -> dict[str, Any] | None:
        """The settings that the last update worked with, whatever came of it; ``None`` before the first."""
        return cast("dict[str, Any] | None", read_json(self.places.deployment(deployment_id) / "deployed.json"))

    def set_deployed(self, deployment_id: str, settings: dict[str, Any]) -> None:
        """Notes the settings that an update works with."""
        write_json(
            self.places.deployment(deployment_id) / "deployed.json", {name: settings.get(name) for name in DEPLOYED}
        )

    def pending(self, deployment_id: str) -> list[str]:
        """The settings that were changed and not sent to the nodes yet."""
        deployed, settings = self.deployed(deployment_id), self.settings(deployment_id)
        return [name for name in DEPLOYED if deployed is not None and deployed.get(name) != settings.get(name)]

    # ---- changes

    def create(self, wanted: dict[str, Any], user: str) -> dict[str, Any]:
        """Creates a deployment; nothing happens on the nodes. Raises 400, 404 and 409."""
        deployment_id = safe_name(wanted.get("deploymentId", ""), "deployment id")
        service_id, infra_id = str(wanted.get("publishedServiceId", "")), str(wanted.get("infraId", ""))
        version = str(wanted.get("version", ""))
        with self.places.lock:
            if deployment_id in self.ids():
                raise conflict(f"deployment {deployment_id} already exists on the API Deployer")
            self.infras.settings(infra_id)
            self.services.versions(service_id).get(version)
            deployed_id = safe_name(wanted.get("deployedServiceId") or service_id, "service id")
            self._refuse_taken_id(infra_id, deployed_id)
            tag = {"versionNumber": 0, "lastModifiedBy": {"login": user}, "lastModifiedOn": now_ms()}
            settings: dict[str, Any] = {
                "id": deployment_id,
                "infraId": infra_id,
                "publishedServiceId": service_id,
                "deployedServiceId": deployed_id,
                "enabled": True,
                "generationsMapping": {"mode": SINGLE, "generation": version},
                "endpointId": wanted.get("endpointId"),
                "authorizationsToQueryThroughDeployer": wanted.get("authorizationsToQueryThroughDeployer") or [],
                "tags": [],
                "creationTag": tag,
                "versionTag": tag,
            }
            write_json(self.places.deployment(deployment_id) / "settings.json", settings)
        return settings

    def save(self, deployment_id: str, wanted: dict[str, Any], user: str) -> None:
        """Replaces the settings; the nodes are changed by an update only. Raises 400 and 404."""
        with self.places.lock:
            known = self.settings(deployment_id)
            for name in FIXED:
                if wanted.get(name, known[name]) != known[name]:
                    raise bad_request(f"{name} of deployment {deployment_id} can't be changed")
            settings = {**known, **wanted}
            if not isinstance(settings["enabled"], bool):
                raise bad_request("enabled of a deployment must be true or false")
            versions = self.services.versions(known["publishedServiceId"])
            for generation in shares_of(settings["generationsMapping"]).generations:
                versions.get(generation)
            number = int(known["versionTag"]["versionNumber"]) + 1
            settings["versionTag"] = {
                "versionNumber": number,
                "lastModifiedBy": {"login": user},
                "lastModifiedOn": now_ms(),
            }
            write_json(self.places.deployment(deployment_id) / "settings.json", settings)

    def delete(self, deployment_id: str, ignore_errors: bool) -> None:
        """Deletes a disabled deployment, and its service from the nodes. Raises 404, 409, and 502 for a node's refusal.

        With ``ignore_errors`` what goes wrong on the nodes does not matter.
        """
        settings = self.settings(deployment_id)
        if settings["enabled"]:
            raise conflict(f"deployment {deployment_id} is enabled: disable it before deleting it")
        if self.deployed(deployment_id) is not None:
            try:
                self._delete_from_nodes(settings)
            except (RemoteError, DssError) as error:
                if not ignore_errors:
                    raise DssError(502, "java.io.IOException", f"{deployment_id} was not deleted: {error}") from error
        with self.places.lock:
            shutil.rmtree(self.places.deployment(deployment_id), ignore_errors=True)

    def _delete_from_nodes(self, settings: dict[str, Any]) -> None:
        for node in self.infras.nodes(settings["infraId"]):
            with node:
                if node.service(settings["deployedServiceId"]) is not None:
                    node.delete_service(settings["deployedServiceId"])

    def _refuse_taken_id(self, infra_id: str, deployed_id: str) -> None:
        for other in self.all_settings():
            if (other["infraId"], other["deployedServiceId"]) == (infra_id, deployed_id):
                raise conflict(
                    f"service {deployed_id} on infrastructure {infra_id} belongs to deployment {other['id']} already"
                )

    # ---- summaries

    def basic_info(self, deployment_id: str) -> dict[str, Any]:
        """The summary that stands in statuses. Raises 404."""
        settings = self.settings(deployment_id)
        names = ("id", "infraId", "tags", "publishedServiceId", "deployedServiceId", "enabled", "generationsMapping")
        return {
            **{name: settings[name] for name in names},
            "createdBy": settings["creationTag"]["lastModifiedBy"]["login"],
            "lastModifiedByDisplayName": settings["versionTag"]["lastModifiedBy"]["login"],
        }

    def light_status(self, deployment_id: str) -> dict[str, Any]:
        """Everything but the health. Raises 404."""
        settings = self.settings(deployment_id)
        service_id = settings["publishedServiceId"]
        first = shares_of(settings["generationsMapping"]).generations[0]
        service = self.services.versions(service_id).get(first)["settings"]
        return {
            "deploymentBasicInfo": self.basic_info(deployment_id),
            "infraBasicInfo": self.infras.basic_info(settings["infraId"]),
            "serviceBasicInfo": {"id": service_id, "name": self.services.settings(service_id).get("name", service_id)},
            "packages": self.services.packages(service_id),
            "publicAccess": service["authMethod"] == "PUBLIC",
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

    def service_status(self, service_id: str) -> dict[str, Any]:
        """A published service with its versions, deployments and their infrastructures. Raises 404."""
        service = self.services.settings(service_id)
        used = [settings for settings in self.all_settings() if settings["publishedServiceId"] == service_id]
        return {
            "isAdmin": True,
            "canWrite": True,
            "canDeploy": True,
            "serviceBasicInfo": {
                "id": service_id,
                "name": service.get("name", service_id),
                "tags": service.get("tags", []),
            },
            "packages": self.services.packages(service_id),
            "deployments": [self.basic_info(settings["id"]) for settings in used],
            "infras": [self.infras.basic_info(infra_id) for infra_id in sorted({s["infraId"] for s in used})],
        }

    # ---- what is in use

    def refuse_used_infra(self, infra_id: str) -> None:
        """Raises 409 when deployments use this infrastructure."""
        for settings in self.all_settings():
            if settings["infraId"] == infra_id:
                raise conflict(f"infrastructure {infra_id} is used by deployment {settings['id']}")

    def refuse_used_service(self, service_id: str) -> None:
        """Raises 409 when deployments use this service."""
        for settings in self.all_settings():
            if settings["publishedServiceId"] == service_id:
                raise conflict(f"service {service_id} is used by deployment {settings['id']}")

    def refuse_used_version(self, service_id: str, version: str) -> None:
        """Raises 409 when deployments are set to this version."""
        for settings in self.all_settings():
            used = shares_of(settings["generationsMapping"]).generations
            if settings["publishedServiceId"] == service_id and version in used:
                raise conflict(f"version {version} of service {service_id} is used by deployment {settings['id']}")
