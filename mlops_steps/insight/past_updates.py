"""The past updates of the release stage, as the deployers, or an Automation node without one, have kept them."""

from __future__ import annotations

from mlops_steps.config import NodeSettings, Settings
from mlops_steps.dss import api_deployer, deployments, direct, updates
from mlops_steps.dss.deployers import PROJECTS, SERVICES, Deployer
from mlops_steps.dss.session import Dss, connect
from mlops_steps.dss.updates import PastUpdate
from mlops_steps.insight.history import Update
from mlops_steps.system.text import one_line
from mlops_steps.system.waiting import Deadline

#: What the name of an API service begins with.
SERVICE = "API service "
_LIMIT = 300.0  # seconds for all that the nodes are asked


def service_name(settings: Settings) -> str:
    """How a history calls the API service."""
    return SERVICE + settings.api.required_service()


def of_projects(settings: Settings, *, all_: bool) -> dict[str, list[Update]]:
    """Those of the release stage by project; those of all projects on its infrastructure with ``all_``.

    None where no stage takes bundles. Raises :class:`NodeError`.
    """
    if not settings.stages():
        return {}
    stage = settings.release_stage()
    if stage.is_direct:
        return {settings.project: _activations(settings, stage)}
    with connect(settings, settings.deployer()) as deployer, deployer.within(Deadline(_LIMIT)):
        ids = {}
        own = deployments.find(
            deployer, settings.project, str(stage.infra), stage.deployment, settings.deployment_id(stage)
        )
        if own:
            ids[settings.project] = own.id
        if all_:
            ids = {**deployments.on_infrastructure(deployer, str(stage.infra)), **ids}
        return {
            project: [_update(project, past) for past in _past(deployer, deployment, PROJECTS)]
            for project, deployment in ids.items()
        }


def of_service(settings: Settings) -> list[Update] | None:
    """Those of the API service on the stage that it is released to; ``None`` where it has no deployment there.

    Raises :class:`NodeError`.
    """
    api, stage = settings.api, settings.api.release_stage_name()
    service = api.required_service()
    with connect(settings, settings.deployer()) as deployer, deployer.within(Deadline(_LIMIT)):
        infra, configured = api.stage(stage).infra, api.stage(stage).deployment
        found = api_deployer.find(deployer, service, infra, configured, api.deployment_id(stage))
        if found is None:
            return None
        return [_service_update(service_name(settings), past) for past in _past(deployer, found.id, SERVICES)]


def _past(deployer: Dss, deployment: str, of: Deployer) -> list[PastUpdate]:
    return [past for past in updates.history(deployer, deployment, of) if not past.running]


def _update(project: str, past: PastUpdate) -> Update:
    return Update(
        project,
        past.started / 1000,
        past.ended / 1000,
        past.succeeded,
        past.version,
        one_line(str(past.raw.get("requester") or ""), 100),
    )


def _service_update(service: str, past: PastUpdate) -> Update:
    made = _update(service, past)
    return Update(
        made.project,
        made.began,
        made.ended,
        made.succeeded,
        api_deployer.version_of_update(past.raw),
        made.who,
        api_deployer.shares_of_update(past.raw),
    )


def _activations(settings: Settings, stage: NodeSettings) -> list[Update]:
    """Those of a stage without a deployer, by the note on its node, which does not say how long they took."""
    with connect(settings, stage) as node, node.within(Deadline(_LIMIT)):
        past = direct.state(node, settings.project).note.activations
    return [Update(settings.project, one.began / 1000, one.began / 1000, True, one.bundle) for one in past if one.done]
