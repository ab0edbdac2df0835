"""What is live of the API service on a stage: which version on which API node, with which share of the calls."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timezone

from mlops_steps.config import Settings
from mlops_steps.delivery.record import ReleaseRecord
from mlops_steps.delivery.service_gate import open_service, recorded_package
from mlops_steps.delivery.targets.api_deployer import ApiDeployerTarget
from mlops_steps.delivery.targets.live_service import LiveService
from mlops_steps.dss.api_deployer import form_of_shares
from mlops_steps.system.pace import pace
from mlops_steps.system.waiting import Deadline


@dataclass(frozen=True)
class ServiceStatus:
    """A stage of the API service.

    ``version``: the one that answers alone; ``shares``: those that share the calls, with their shares (0 to 1).
    ``nodes``: for each API node what it answers, by its own word. ``since``: the last update that made a version live
    alone. ``shareable``: whether it is known how a canary tells the API Deployer to share the calls; ``None`` where
    there is none. ``problem``: why the rest is not known.
    """

    service: str
    stage: str
    infra: str
    version: str | None = None
    shares: dict[str, float] = field(default_factory=dict)
    health: str | None = None
    since: str | None = None
    nodes: dict[str, str] = field(default_factory=dict)
    shareable: bool | None = None
    problem: str | None = None

    @property
    def live(self) -> str:
        """What answers, in a few words."""
        if self.problem:
            return "(not known)"
        if self.version:
            return self.version
        shared = ", ".join(f"{version} {100 * share:g} %" for version, share in self.shares.items())
        return shared or ("several versions" if len(set(self.nodes.values())) > 1 else "nothing")


def service_status(settings: Settings, record: ReleaseRecord, stage: str) -> ServiceStatus:
    """Asks the API Deployer and each API node. Raises :class:`MlopsError`."""
    package = recorded_package(settings, record)
    deadline = Deadline(pace().look)
    with open_service(settings, stage, package, deadline) as target, target.within(deadline):
        live = target.observe()
        newest = next(target.made_live(live), None)
        return ServiceStatus(
            service=target.service,
            stage=stage,
            infra=live.infra,
            version=live.version if live.deployment and live.deployment.version else None,
            shares=dict(live.deployment.shares) if live.deployment else {},
            health=live.health.status if live.health else None,
            since=_text(newest.started) if newest and newest.version == live.version else None,
            nodes=_by_node(live),
            shareable=_shareable(target, live),
        )


def _shareable(target: ApiDeployerTarget, live: LiveService) -> bool | None:
    release = target.settings.api.release
    if (
        release.strategy != "canary"
        or live.deployment is None
        or not target.settings.api.is_release_stage(target.stage)
    ):
        return None
    return form_of_shares(target.deployer, live.deployment, release.canary.mode) is not None


def _by_node(live: LiveService) -> dict[str, str]:
    found: dict[str, list[str]] = {}
    for answer in live.answers:
        found.setdefault(answer.node, []).append(answer.version or "no answer")
    return {node: ", ".join(sorted(set(said))) for node, said in found.items()}


def _text(started: int) -> str:
    return datetime.fromtimestamp(started / 1000, timezone.utc).strftime("%Y-%m-%d %H:%M:%SZ")
