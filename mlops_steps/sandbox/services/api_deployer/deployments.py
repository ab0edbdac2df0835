"""Deployments: which versions of a service should answer on an infrastructure, and what was last sent there."""

from __future__ import annotations

import shutil
from typing import Any

from mlops_steps.sandbox.node.errors import DssError, conflict
from mlops_steps.sandbox.node.node import Node
from mlops_steps.sandbox.node.store import safe_name
from mlops_steps.sandbox.services.api_deployer.infras import Infras
from mlops_steps.sandbox.services.api_deployer.places import Places
from mlops_steps.sandbox.services.api_deployer.published import PublishedServices
from mlops_steps.sandbox.services.api_services.mapping import SINGLE, shares_of
from mlops_steps.sandbox.services.deployers import deployments
from mlops_steps.sandbox.services.deployers.remote import RemoteError


class Deployments(deployments.Deployments):
    """The deployments of an API Deployer."""

    fixed = ("id", "infraId", "publishedServiceId", "deployedServiceId")
    updated = ("generationsMapping", "enabled")
    infras: Infras

    def __init__(self, node: Node) -> None:
        super().__init__(Places(node), Infras(node))
        self.services = PublishedServices(node)

    # ---- changes

    def create(self, wanted: dict[str, Any], user: str) -> dict[str, Any]:
        """Creates a deployment; nothing happens on the nodes. Raises 400, 404 and 409."""
        deployment_id = safe_name(wanted.get("deploymentId", ""), "deployment id")
        service_id, infra_id = str(wanted.get("publishedServiceId", "")), str(wanted.get("infraId", ""))
        version = str(wanted.get("version", ""))
        with self.places.lock:
            self.services.versions(service_id).get(version)
            deployed_id = safe_name(wanted.get("deployedServiceId") or service_id, "service id")
            settings: dict[str, Any] = {
                "id": deployment_id,
                "infraId": infra_id,
                "publishedServiceId": service_id,
                "deployedServiceId": deployed_id,
                "generationsMapping": {"mode": SINGLE, "generation": version},
                "endpointId": wanted.get("endpointId"),
                "authorizationsToQueryThroughDeployer": wanted.get("authorizationsToQueryThroughDeployer") or [],
            }
            if deployment_id not in self.ids():
                self._refuse_taken_id(infra_id, deployed_id)
            return self.save_new(settings, user)

    def check(self, known: dict[str, Any], wanted: dict[str, Any]) -> None:
        """Raises 404 for an unknown version, 400 for a mapping that is none."""
        versions = self.services.versions(known["publishedServiceId"])
        for generation in shares_of(wanted["generationsMapping"]).generations:
            versions.get(generation)

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

    def service_status(self, service_id: str) -> dict[str, Any]:
        """A published service with its versions, deployments and their infrastructures. Raises 404."""
        service = self.services.settings(service_id)
        info = {"id": service_id, "name": service.get("name", service_id), "tags": service.get("tags", [])}
        packages = self.services.packages(service_id)
        return self.published_status({"serviceBasicInfo": info}, packages, publishedServiceId=service_id)

    # ---- what is in use

    def refuse_used_service(self, service_id: str) -> None:
        """Raises 409 when deployments use this service."""
        self.refuse_used(f"service {service_id}", publishedServiceId=service_id)

    def refuse_used_version(self, service_id: str, version: str) -> None:
        """Raises 409 when deployments are set to this version."""
        for settings in self.all_settings():
            used = shares_of(settings["generationsMapping"]).generations
            if settings["publishedServiceId"] == service_id and version in used:
                raise conflict(f"version {version} of service {service_id} is used by deployment {settings['id']}")
