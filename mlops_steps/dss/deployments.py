"""Deployments of the Project Deployer: find, create, change, read their health."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from mlops_steps.dss.http import LONGEST_MESSAGE
from mlops_steps.dss.session import Dss, expect
from mlops_steps.dss.url_parts import node_id
from mlops_steps.errors import ConfigError, Refusal, SomebodyElse
from mlops_steps.system.text import one_line

HEALTHY = "HEALTHY"
_MOST_MESSAGES = 100


@dataclass(frozen=True)
class Deployment:
    """A deployment as its settings say. ``published`` is the key of the project on the Project Deployer,
    ``project_key`` its key on the Automation node. ``settings`` are those of DSS, for what is only looked at.
    """

    id: str
    infra: str
    bundle: str
    published: str
    project_key: str
    enabled: bool = True
    settings: Mapping[str, Any] = field(default_factory=dict, compare=False, repr=False)


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
        infos = [expect(expect(item, dict, "a deployment")["deploymentBasicInfo"], dict, "info") for item in items]
        ids = [
            node_id(info["id"], "the id of a deployment")
            for info in infos
            if info.get("publishedProjectKey") == project_key and info.get("infraId") == infra
        ]
        elsewhere = [info for info in infos if info.get("id") == (configured or default) and info["id"] not in ids]
    wanted = configured or (default if default in ids else None)
    if wanted is None and len(ids) > 1:
        raise ConfigError(
            f"project {project_key} has several deployments on infrastructure {infra}: {', '.join(sorted(ids))}",
            next_step="name the one that is meant: nodes.<stage>.deployment in mlops.yml",
        )
    if elsewhere and not (ids and wanted is None):
        info = elsewhere[0]
        raise ConfigError(
            f"deployment {info['id']} is of project {info.get('publishedProjectKey')} on infrastructure "
            f"{info.get('infraId')}, not of project {project_key} on {infra}",
            next_step="choose another id: nodes.<stage>.deployment in mlops.yml",
        )
    if wanted in ids:
        return read(deployer, wanted, project_key, infra)
    return read(deployer, ids[0], project_key, infra) if ids and wanted is None else None


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
            bundle=node_id(raw["bundleId"], "bundleId"),
            published=expect(raw.get("publishedProjectKey", project_key), str, "publishedProjectKey"),
            project_key=node_id(raw.get("deployedProjectKey") or project_key, "the project key"),
            enabled=bool(raw.get("enabled", True)),
            settings=raw,
        )
        if (found.id, found.published, found.infra) != (deployment_id, project_key, infra):
            raise ValueError(f"it is of deployment {found.id}, project {found.published} on {found.infra}")
        return found, settings


def create(deployer: Dss, deployment_id: str, project_key: str, infra: str, bundle_id: str) -> Deployment:
    """Creates the deployment; nothing runs on the node until it is updated. A lost answer is made up for by looking."""
    try:
        with deployer.asking(f"create deployment {deployment_id}"):
            deployer.client.get_projectdeployer().create_deployment(deployment_id, project_key, infra, bundle_id)
    except Refusal as refusal:
        if find(deployer, project_key, infra, None, deployment_id) is None:
            raise
        raise SomebodyElse(
            f"somebody else has created deployment {deployment_id} meanwhile; it was not overwritten",
            details=[str(refusal)],
        ) from None
    except Exception as error:
        found = find(deployer, project_key, infra, None, deployment_id)
        if found is None:
            raise error from None
        return found
    return read(deployer, deployment_id, project_key, infra)


def change(
    deployer: Dss,
    deployment: Deployment,
    *,
    bundle_id: str | None = None,
    enabled: bool | None = None,
    expected: Callable[[Deployment], bool] = lambda _deployment: True,
) -> None:
    """Saves the bundle or the enabled flag in the settings; the node is changed by an update only.

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
        settings.save()


def changed_by_another(found: Deployment) -> SomebodyElse:
    """The one error for a deployment that somebody else has changed, as its settings are now."""
    to = f"set deployment {found.id} to bundle {found.bundle}" if found.enabled else f"disabled deployment {found.id}"
    return SomebodyElse(
        f"somebody else has {to} meanwhile; it was not overwritten",
        next_step="look who deploys to this infrastructure, then run the step again",
    )


def health(deployer: Dss, deployment_id: str) -> Health:
    """The deployment's health as the deployer sees it now. Raises :class:`NodeError`."""
    with deployer.asking(f"read the health of deployment {deployment_id}"):
        status = deployer.client.get_projectdeployer().get_deployment(deployment_id).get_status()
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
