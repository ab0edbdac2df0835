"""Deployments of a deployer: what should run on an infrastructure, and what was last sent there."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar, cast

from mlops_steps.sandbox.node.errors import bad_request, conflict, not_found
from mlops_steps.sandbox.node.store import now_ms, read_json, write_json
from mlops_steps.sandbox.services.deployers.infras import Infras
from mlops_steps.sandbox.services.deployers.places import Places


class Deployments:
    """The deployments of a deployer: settings on one side, the state of the last update on the other.

    A subclass names the settings that never change (``fixed``), those that reach the nodes by an update only
    (``updated``), and says what a deployment looks like in a status (:meth:`basic_info`).
    """

    fixed: ClassVar[tuple[str, ...]]
    updated: ClassVar[tuple[str, ...]]

    def __init__(self, places: Places, infras: Infras) -> None:
        self.node = places.node
        self.places = places
        self.infras = infras

    def ids(self) -> list[str]:
        """The ids of all deployments."""
        return sorted(path.parent.name for path in (self.places.root / "deployments").glob("*/settings.json"))

    def settings(self, deployment_id: str) -> dict[str, Any]:
        """The settings. Raises 404."""
        settings = read_json(self.places.deployment(deployment_id) / "settings.json")
        if settings is None:
            raise not_found(f"deployment {deployment_id} does not exist on the {self.places.title}")
        return cast(dict[str, Any], settings)

    def all_settings(self) -> Iterator[dict[str, Any]]:
        """The settings of all deployments."""
        for deployment_id in self.ids():
            yield self.settings(deployment_id)

    # ---- what was sent to the nodes

    def deployed(self, deployment_id: str) -> dict[str, Any] | None:
        """The settings that the last update worked with, whatever came of it; ``None`` before the first."""
        return cast("dict[str, Any] | None", read_json(self.places.deployment(deployment_id) / "deployed.json"))

    def set_deployed(self, deployment_id: str, settings: dict[str, Any]) -> None:
        """Notes that an update with these settings has begun."""
        write_json(
            self.places.deployment(deployment_id) / "deployed.json", {name: settings.get(name) for name in self.updated}
        )

    def pending(self, deployment_id: str) -> list[str]:
        """The settings that were changed and not sent to the nodes yet."""
        deployed, settings = self.deployed(deployment_id), self.settings(deployment_id)
        return [name for name in self.updated if deployed is not None and deployed.get(name) != settings.get(name)]

    # ---- changes

    def save_new(self, settings: dict[str, Any], user: str) -> dict[str, Any]:
        """Writes the settings of a new deployment, and returns them with the tags of its creation. Raises 409.

        The caller holds the deployer's lock.
        """
        deployment_id = settings["id"]
        if deployment_id in self.ids():
            raise conflict(f"deployment {deployment_id} already exists on the {self.places.title}")
        self.infras.settings(settings["infraId"])
        tag = {"versionNumber": 0, "lastModifiedBy": {"login": user}, "lastModifiedOn": now_ms()}
        settings = {**settings, "enabled": True, "tags": [], "creationTag": tag, "versionTag": tag}
        write_json(self.places.deployment(deployment_id) / "settings.json", settings)
        return settings

    def save(self, deployment_id: str, wanted: dict[str, Any], user: str) -> None:
        """Replaces the settings; the nodes are changed by an update only. Raises 400 and 404."""
        with self.places.lock:
            known = self.settings(deployment_id)
            for name in self.fixed:
                if wanted.get(name, known[name]) != known[name]:
                    raise bad_request(f"{name} of deployment {deployment_id} can't be changed")
            settings = {**known, **wanted}
            if not isinstance(settings["enabled"], bool):
                raise bad_request("enabled of a deployment must be true or false")
            self.check(known, settings)
            settings["versionTag"] = {
                "versionNumber": int(known["versionTag"]["versionNumber"]) + 1,
                "lastModifiedBy": {"login": user},
                "lastModifiedOn": now_ms(),
            }
            write_json(self.places.deployment(deployment_id) / "settings.json", settings)

    def check(self, known: dict[str, Any], wanted: dict[str, Any]) -> None:
        """Raises 400 or 404 when the wanted settings can't replace the known ones."""
        raise NotImplementedError

    def create(self, wanted: dict[str, Any], user: str) -> dict[str, Any]:
        """Creates a deployment; nothing happens on the nodes. Raises 400, 404 and 409."""
        raise NotImplementedError

    # ---- summaries

    def basic_info(self, deployment_id: str) -> dict[str, Any]:
        """The summary that stands in statuses. Raises 404."""
        raise NotImplementedError

    def light_status(self, deployment_id: str) -> dict[str, Any]:
        """Everything but the health. Raises 404."""
        raise NotImplementedError

    def infra_status(self, infra_id: str) -> dict[str, Any]:
        """An infrastructure with its deployments. Raises 404."""
        used = [settings["id"] for settings in self.all_settings() if settings["infraId"] == infra_id]
        return {
            "isAdmin": True,
            "canDeploy": True,
            "infraBasicInfo": self.infras.basic_info(infra_id),
            "deployments": [self.basic_info(deployment_id) for deployment_id in used],
        }

    def published_status(self, info: dict[str, Any], packages: list[dict[str, Any]], **where: str) -> dict[str, Any]:
        """A published project or service with what may be deployed, its deployments and their infrastructures.

        ``where`` is the setting of a deployment that names it; ``info`` its own summary.
        """
        used = [settings for settings in self.all_settings() if _matches(settings, where)]
        return {
            "isAdmin": True,
            "canWrite": True,
            "canDeploy": True,
            **info,
            "packages": packages,
            "deployments": [self.basic_info(settings["id"]) for settings in used],
            "infras": [self.infras.basic_info(infra_id) for infra_id in sorted({s["infraId"] for s in used})],
        }

    # ---- what is in use

    def refuse_used_infra(self, infra_id: str) -> None:
        """Raises 409 when deployments use this infrastructure."""
        self.refuse_used(f"infrastructure {infra_id}", infraId=infra_id)

    def refuse_used(self, what: str, **where: str) -> None:
        """Raises 409 when a deployment has these settings."""
        for settings in self.all_settings():
            if _matches(settings, where):
                raise conflict(f"{what} is used by deployment {settings['id']}")


def _matches(settings: dict[str, Any], where: dict[str, str]) -> bool:
    return all(settings[name] == value for name, value in where.items())
