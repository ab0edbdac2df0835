"""Deployments of the API Deployer: find, create, change. Updates and health are as on the Project Deployer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from mlops_steps.dss.deployers import SERVICES
from mlops_steps.dss.deployments import changed_by_another, choose, create_once, listed
from mlops_steps.dss.session import Dss, expect
from mlops_steps.dss.updates import history
from mlops_steps.dss.url_parts import node_id
from mlops_steps.errors import CheckFailed

_SINGLE = "SINGLE_GENERATION"


@dataclass(frozen=True)
class ServiceDeployment:
    """A deployment as its settings say.

    ``service`` is the service on the API Deployer, ``deployed`` its id on the API nodes. ``version`` is the one that
    answers; ``None`` when several versions share the calls: ``shares`` (0 to 1) says which.
    """

    id: str
    infra: str
    service: str
    deployed: str
    version: str | None
    enabled: bool = True
    shares: tuple[tuple[str, float], ...] = ()

    @property
    def title(self) -> str:
        """How people call it."""
        return f"deployment {self.id}"

    @property
    def sharing(self) -> frozenset[str]:
        """The versions that share the calls; none where one gets them all."""
        return frozenset(version for version, _share in self.shares)

    def __str__(self) -> str:
        off = "" if self.enabled else ", disabled"
        return f"deployment {self.id} ({f'version {self.version}' if self.version else 'several versions'}{off})"


def find(deployer: Dss, service: str, infra: str, configured: str | None, default: str) -> ServiceDeployment | None:
    """The service's deployment on the infrastructure, or ``None``: chosen as that of a project is.

    Raises :class:`ConfigError` when it cannot be told which one is meant, :class:`NodeError`.
    """
    owner = f"API service {service}"
    with deployer.asking(f"list the deployments of {owner} on infrastructure {infra}"):
        items = expect(deployer.client.get_apideployer().list_deployments(as_objects=False), list, "the list")
        found = listed(items, "publishedServiceId", owner, infra)
    chosen = choose(found, owner, "api.stages.<stage>.deployment", infra, configured, default)
    return read(deployer, chosen, service, infra) if chosen else None


def read(deployer: Dss, deployment_id: str, service: str, infra: str) -> ServiceDeployment:
    """The settings of the service's deployment on the infrastructure.

    Raises :class:`NodeError`, also when the answer is about another deployment.
    """
    return _read(deployer, deployment_id, service, infra)[0]


def _read(deployer: Dss, deployment_id: str, service: str, infra: str) -> tuple[ServiceDeployment, Any]:
    with deployer.asking(f"read the settings of deployment {deployment_id}"):
        settings = SERVICES.deployment(deployer.client, deployment_id).get_settings()
        raw = expect(settings.get_raw(), dict, "the settings")
        mapping = expect(raw["generationsMapping"], dict, "generationsMapping")
        published = expect(raw["publishedServiceId"], str, "publishedServiceId")
        found = ServiceDeployment(
            id=expect(raw.get("id", deployment_id), str, "the id"),
            infra=expect(raw["infraId"], str, "infraId"),
            service=published,
            deployed=node_id(raw.get("deployedServiceId") or published, "deployedServiceId"),
            version=node_id(mapping["generation"], "generation") if mapping.get("mode") == _SINGLE else None,
            enabled=bool(raw.get("enabled", True)),
            shares=_shares(mapping),
        )
        if (found.id, found.service, found.infra) != (deployment_id, service, infra):
            raise ValueError(f"it is of deployment {found.id}, API service {found.service} on {found.infra}")
        return found, settings


def _shares(mapping: dict[str, Any]) -> tuple[tuple[str, float], ...]:
    """The shares of several versions; none where one answers alone, or where the entries have another form."""
    entries = mapping.get("entries") if mapping.get("mode") != _SINGLE else None
    found = [entry for entry in entries or [] if isinstance(entry, dict) and "generation" in entry]
    return tuple((str(entry["generation"]), float(entry.get("proba") or 0.0)) for entry in found)


def create(deployer: Dss, deployment_id: str, service: str, infra: str, version: str) -> ServiceDeployment:
    """Creates the deployment; nothing runs on a node until it is updated. A lost answer is made up for by looking."""

    def send() -> None:
        with deployer.asking(f"create deployment {deployment_id}"):
            deployer.client.get_apideployer().create_deployment(deployment_id, service, infra, version)

    found = create_once(deployment_id, send, lambda: find(deployer, service, infra, None, deployment_id))
    return found or read(deployer, deployment_id, service, infra)


def version_of_update(raw: dict[str, Any]) -> str | None:
    """The version that an update of the history let answer alone; ``None`` for several, or where it does not say."""
    mapping = raw.get("generationsMapping")
    if not isinstance(mapping, dict) or mapping.get("mode") != _SINGLE or raw.get("enabled") is False:
        return None
    return str(mapping["generation"]) if mapping.get("generation") else None


def shares_of_update(raw: dict[str, Any]) -> tuple[tuple[str, float], ...]:
    """The versions that shared the calls after an update of the history, and their shares (0 to 1); none for one."""
    mapping = raw.get("generationsMapping")
    return _shares(mapping) if isinstance(mapping, dict) and raw.get("enabled") is not False else ()


def change(
    deployer: Dss,
    deployment: ServiceDeployment,
    expected: Callable[[ServiceDeployment], bool] = lambda _deployment: True,
    *,
    version: str | None = None,
    enabled: bool = True,
) -> None:
    """Lets this version alone answer (``None``: as it is), and enables or disables the deployment.

    All other settings stay as they are written. The API nodes are changed by an update only. ``expected`` is asked
    about the settings just before they are saved: when somebody else has changed them, :class:`SomebodyElse` is raised.
    Raises :class:`NodeError`.
    """
    current, settings = _read(deployer, deployment.id, deployment.service, deployment.infra)
    if not expected(current):
        raise changed_by_another(current, "version")
    with deployer.asking(f"save the settings of deployment {deployment.id}"):
        if version is not None:
            settings.set_single_version(version)
        settings.set_enabled(enabled)
        settings.save()


def form_of_shares(deployer: Dss, deployment: ServiceDeployment, configured: str | None) -> dict[str, Any] | None:
    """A mapping of several versions as this API Deployer writes it, without its entries; ``None`` when none is known.

    The word for its mode, and the key of its strategy, are in no public source: they are taken from the deployment's
    settings, else from ``configured``, else from its history. Raises :class:`NodeError`.
    """
    _, settings = _read(deployer, deployment.id, deployment.service, deployment.infra)
    known = [settings.get_raw()["generationsMapping"], {"mode": configured, "entries": []} if configured else None]
    if not configured:
        known += [past.raw.get("generationsMapping") for past in history(deployer, deployment.id, SERVICES)]
    for mapping in known:
        if isinstance(mapping, dict) and isinstance(mapping.get("entries"), list) and mapping.get("mode") != _SINGLE:
            return {name: value for name, value in mapping.items() if name not in ("entries", "generation")}
    return None


def share(
    deployer: Dss,
    deployment: ServiceDeployment,
    expected: Callable[[ServiceDeployment], bool],
    shares: dict[str, float],
    form: dict[str, Any],
) -> ServiceDeployment:
    """Lets these versions share the calls (0 to 1, together 1), and returns the settings as the deployer has kept them.

    ``form`` is what else the mapping holds. The API nodes are changed by an update only. Raises as :func:`change` does,
    and :class:`CheckFailed` when the deployer has kept something else.
    """
    current, settings = _read(deployer, deployment.id, deployment.service, deployment.infra)
    if not expected(current):
        raise changed_by_another(current, "version")
    raw = settings.get_raw()
    before = raw["generationsMapping"].get("entries") or []
    kept = {str(entry.get("generation")): entry for entry in before if isinstance(entry, dict)}
    entries = [{**kept.get(name, {}), "generation": name, "proba": part} for name, part in shares.items()]
    with deployer.asking(f"save the settings of deployment {deployment.id}"):
        raw["generationsMapping"] = {**form, "entries": entries}
        settings.save()
    now = read(deployer, deployment.id, deployment.service, deployment.infra)
    if {name: round(part, 6) for name, part in now.shares} != {name: round(part, 6) for name, part in shares.items()}:
        raise CheckFailed(
            f"the API Deployer did not keep the shares of deployment {deployment.id}: {shares}, but {dict(now.shares)}",
            next_step="look how its page writes several versions, and set api.release.canary.mode in mlops.yml",
        )
    return now


def node_urls(deployer: Dss, deployment_id: str) -> list[str]:
    """The addresses of the API nodes behind a deployment, as the deployer tells them; none when it does not.

    Source: ``DSSAPIDeployerDeploymentStatus.get_service_urls`` of the client. Raises :class:`NodeError`.
    """
    with deployer.asking(f"read the status of deployment {deployment_id}"):
        heavy = SERVICES.deployment(deployer.client, deployment_id).get_status().get_heavy()
        nodes = expect(expect(heavy, dict, "the status").get("apiNodes") or [], list, "apiNodes")
        return [expect(expect(node, dict, "a node")["url"], str, "its URL").rstrip("/") for node in nodes]
