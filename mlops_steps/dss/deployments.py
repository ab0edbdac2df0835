"""Deployments of the Project Deployer: find, create, change, read their health."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

from mlops_steps.dss import project_state
from mlops_steps.dss.deployers import PROJECTS, Deployer
from mlops_steps.dss.http import LONGEST_MESSAGE
from mlops_steps.dss.session import Dss, expect
from mlops_steps.dss.url_parts import node_id
from mlops_steps.errors import ConfigError, Refusal, SomebodyElse
from mlops_steps.system.text import one_line

T = TypeVar("T")

HEALTHY = "HEALTHY"
_MOST_MESSAGES = 100


@dataclass(frozen=True)
class Deployment:
    """A deployment as its settings say. ``published`` is the key of the project on the Project Deployer,
    ``project_key`` its key on the Automation node. ``settings`` are those of DSS, for what is only looked at.
    """

    id: str
    infra: str
    version: str
    published: str
    project_key: str
    enabled: bool = True
    settings: Mapping[str, Any] = field(default_factory=dict, compare=False, repr=False)

    @property
    def title(self) -> str:
        """How people call it."""
        return f"deployment {self.id}"

    @property
    def sharing(self) -> frozenset[str]:
        """None: a deployment of a project has one bundle."""
        return frozenset()


@dataclass(frozen=True)
class Health:
    """UNKNOWN, ERROR, WARNING, HEALTHY, UNHEALTHY or OUT_OF_SYNC, with the deployer's messages. Only HEALTHY is."""

    status: str
    messages: list[str] = field(default_factory=list)

    @property
    def healthy(self) -> bool:
        return self.status == HEALTHY

    def __str__(self) -> str:
        return f"{self.status}: {'; '.join(self.messages)}" if self.messages else self.status


def find(deployer: Dss, project_key: str, infra: str, configured: str | None, default: str) -> Deployment | None:
    """The project's deployment on the infrastructure, or ``None``.

    A configured id is taken by name. Otherwise the only one there is is taken, whatever its name; of several the one
    with the default id. Raises :class:`ConfigError` when it cannot be told which one is meant, :class:`NodeError`.
    """
    with deployer.asking(f"list the deployments of project {project_key} on infrastructure {infra}"):
        items = expect(deployer.client.get_projectdeployer().list_deployments(as_objects=False), list, "the list")
        found = listed(items, "publishedProjectKey", f"project {project_key}", infra)
    chosen = choose(found, f"project {project_key}", "nodes.<stage>.deployment", infra, configured, default)
    return read(deployer, chosen, project_key, infra) if chosen else None


def on_infrastructure(deployer: Dss, infra: str) -> dict[str, str]:
    """The ids of all deployments on the infrastructure, by the key of their project; the first one of several.

    Raises :class:`NodeError`.
    """
    with deployer.asking(f"list the deployments on infrastructure {infra}"):
        items = expect(deployer.client.get_projectdeployer().list_deployments(as_objects=False), list, "the list")
        found: dict[str, str] = {}
        for one in sorted(listed(items, "publishedProjectKey", "project ", infra), key=lambda one: one.id):
            if one.infra == infra:
                found.setdefault(one.owner.removeprefix("project "), node_id(one.id, "the id of a deployment"))
        return found


@dataclass(frozen=True)
class Listed:
    """A deployment as either deployer lists it. ``owner``: ``project KEY`` or ``API service ID``."""

    id: str
    infra: str
    owner: str


def listed(items: Any, published: str, owner: str, infra: str) -> list[Listed]:
    """Reads a deployer's list; ``published`` is the field that names the owner. Raises as in :meth:`Dss.asking`."""
    kind = owner.rpartition(" ")[0]
    infos = [expect(expect(item, dict, "a deployment")["deploymentBasicInfo"], dict, "info") for item in items]
    found = [Listed(str(info["id"]), str(info.get("infraId")), f"{kind} {info.get(published)}") for info in infos]
    for info, one in zip(infos, found, strict=True):
        if (one.owner, one.infra) == (owner, infra):
            node_id(info["id"], "the id of a deployment")
    return found


def choose(
    found: list[Listed], owner: str, setting: str, infra: str, configured: str | None, default: str
) -> str | None:
    """The id of the owner's deployment on the infrastructure, or ``None``: see :func:`find`.

    ``setting`` is the key of ``mlops.yml`` that names it. Raises :class:`ConfigError`.
    """
    ids = [one.id for one in found if (one.owner, one.infra) == (owner, infra)]
    elsewhere = [one for one in found if one.id == (configured or default) and one.id not in ids]
    wanted = configured or (default if default in ids else None)
    if wanted is None and len(ids) > 1:
        raise ConfigError(
            f"{owner} has several deployments on infrastructure {infra}: {', '.join(sorted(ids))}",
            next_step=f"name the one that is meant: {setting} in mlops.yml",
        )
    if elsewhere and not (ids and wanted is None):
        other = elsewhere[0]
        raise ConfigError(
            f"deployment {other.id} is of {other.owner} on infrastructure {other.infra}, not of {owner} on {infra}",
            next_step=f"choose another id: {setting} in mlops.yml",
        )
    if wanted in ids:
        return wanted
    return ids[0] if ids and wanted is None else None


def read(deployer: Dss, deployment_id: str, project_key: str, infra: str) -> Deployment:
    """The settings of the project's deployment on the infrastructure.

    Raises :class:`NodeError`, also when the answer is about another deployment.
    """
    return _read(deployer, deployment_id, project_key, infra)[0]


def _read(deployer: Dss, deployment_id: str, project_key: str, infra: str) -> tuple[Deployment, Any]:
    with deployer.asking(f"read the settings of deployment {deployment_id}"):
        settings = deployer.client.get_projectdeployer().get_deployment(deployment_id).get_settings()
        raw = expect(settings.get_raw(), dict, "the settings")
        found = Deployment(
            id=expect(raw.get("id", deployment_id), str, "the id"),
            infra=expect(raw["infraId"], str, "infraId"),
            version=node_id(raw["bundleId"], "bundleId"),
            published=expect(raw.get("publishedProjectKey", project_key), str, "publishedProjectKey"),
            project_key=_deployed_key(raw.get("deployedProjectKey"), project_key),
            enabled=bool(raw.get("enabled", True)),
            settings=raw,
        )
        if (found.id, found.published, found.infra) != (deployment_id, project_key, infra):
            raise ValueError(f"it is of deployment {found.id}, project {found.published} on {found.infra}")
        return found, settings


def _deployed_key(value: Any, project_key: str) -> str:
    """The key on the Automation node: that of the published project where the settings name none."""
    return project_key if value in (None, "") else node_id(value, "the project key")


def create(deployer: Dss, deployment_id: str, project_key: str, infra: str, bundle_id: str) -> Deployment:
    """Creates the deployment; nothing runs on the node until it is updated. A lost answer is made up for by looking."""

    def send() -> None:
        with deployer.asking(f"create deployment {deployment_id}"):
            deployer.client.get_projectdeployer().create_deployment(deployment_id, project_key, infra, bundle_id)

    found = create_once(deployment_id, send, lambda: find(deployer, project_key, infra, None, deployment_id))
    return found or read(deployer, deployment_id, project_key, infra)


def create_once(deployment_id: str, send: Callable[[], None], look: Callable[[], T | None]) -> T | None:
    """Sends the request that creates a deployment; what ``look`` finds when its answer was lost, else ``None``.

    Raises :class:`SomebodyElse` when the deployer refuses and the deployment is there, :class:`NodeError`.
    """
    try:
        send()
    except Refusal as refusal:
        if look() is None:
            raise
        raise SomebodyElse(
            f"somebody else has created deployment {deployment_id} meanwhile; it was not overwritten",
            details=[str(refusal)],
        ) from None
    except Exception as error:
        found = look()
        if found is None:
            raise error from None
        return found
    return None


def change(
    deployer: Dss,
    deployment: Deployment,
    *,
    bundle_id: str | None = None,
    enabled: bool | None = None,
    state: project_state.State | None = None,
    expected: Callable[[Deployment], bool] = lambda _deployment: True,
) -> None:
    """Saves the bundle, the enabled flag or the state in the settings; the node is changed by an update only.

    ``expected`` is asked about the settings just before they are saved: when somebody else has changed them,
    :class:`SomebodyElse` is raised and nothing is overwritten. Raises :class:`NodeError`.
    """
    current, settings = _read(deployer, deployment.id, deployment.published, deployment.infra)
    if not expected(current):
        raise changed_by_another(current)
    with deployer.asking(f"save the settings of deployment {deployment.id}"):
        raw = settings.get_raw()
        if bundle_id is not None:
            raw["bundleId"] = bundle_id
        if enabled is not None:
            raw["enabled"] = enabled
        project_state.put_into(raw, state or {})
        settings.save()


class Changed(Protocol):
    """A deployment of either deployer."""

    @property
    def title(self) -> str: ...

    @property
    def version(self) -> str | None: ...

    @property
    def enabled(self) -> bool: ...


def changed_by_another(found: Changed, kind: str = "bundle") -> SomebodyElse:
    """The one error for a deployment that somebody else has changed, as its settings are now.

    ``kind`` is what is deployed: ``bundle``, or ``version`` of an API service.
    """
    version = f"{kind} {found.version}" if found.version else f"several {kind}s"
    to = f"set {found.title} to {version}" if found.enabled else f"disabled {found.title}"
    return SomebodyElse(
        f"somebody else has {to} meanwhile; it was not overwritten",
        next_step="look who deploys to this infrastructure, then run the step again",
    )


def health(deployer: Dss, deployment_id: str, of: Deployer = PROJECTS) -> Health:
    """The deployment's health as the deployer sees it now. Raises :class:`NodeError`."""
    with deployer.asking(f"read the health of deployment {deployment_id}"):
        status = of.deployment(deployer.client, deployment_id).get_status()
        heavy = expect(status.get_heavy(), dict, "the status")
        if heavy.get("deploymentId", deployment_id) != deployment_id:
            raise ValueError("it is of another deployment")
        messages = expect((heavy.get("healthMessages") or {}).get("messages") or [], list, "messages")
        return Health(expect(heavy["health"], str, "health"), message_texts(messages))


def message_texts(messages: list[Any]) -> list[str]:
    """DSS's messages (severity, title, message), each as one line; those that only say SUCCESS or INFO are left out.

    At most ``_MOST_MESSAGES`` of them.
    """
    lines: list[str] = []
    for message in messages:
        if len(lines) == _MOST_MESSAGES:
            break
        if isinstance(message, dict) and message.get("severity") in ("WARNING", "ERROR"):
            text = str(message.get("message") or message.get("details") or "")
            title = str(message.get("title") or "")
            line = ": ".join(part for part in (title if title not in text else "", text) if part)
            lines.append(one_line(line, LONGEST_MESSAGE))
    return lines
