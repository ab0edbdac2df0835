"""What a change asks of the place where something is made live, whatever kind it is."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from mlops_steps.config import Settings
from mlops_steps.dss.deployments import Deployment, Health
from mlops_steps.system.console import Console
from mlops_steps.system.waiting import Deadline


@dataclass(frozen=True)
class Live:
    """What is live on a stage, as the deployer and the Automation node itself say."""

    infra: str
    bundle: str | None
    deployment: Deployment | None
    health: Health | None

    def is_healthy(self, bundle: str | None) -> bool:
        """Whether exactly this bundle is active, named by the settings, and the deployment is HEALTHY."""
        return bool(
            bundle
            and self.bundle == bundle
            and self.deployment
            and self.deployment.bundle == bundle
            and self.health
            and self.health.healthy
        )

    @property
    def answers(self) -> tuple[str, str]:
        """What the deployer says, and what the node says, in words."""
        deployer = "there is no deployment"
        if self.deployment:
            off = "" if self.deployment.enabled else ", which is disabled"
            health = self.health.status if self.health else "of unknown health"
            deployer = f"deployment {self.deployment.id}{off}, of bundle {self.deployment.bundle}, is {health}"
        return deployer, f"bundle {self.bundle} is active" if self.bundle else "no bundle of the project is active"

    def __str__(self) -> str:
        if self.bundle is None:
            healthy = self.deployment and self.deployment.enabled and self.health and self.health.healthy
            # Not "nothing": one of the two is wrong, and this is what the reader of a log acts on.
            return f"unknown on {self.infra}: {', but '.join(self.answers)}" if healthy else f"nothing on {self.infra}"
        parts = [self.health.status if self.health else "no deployment"]
        if self.deployment and self.deployment.bundle != self.bundle:
            parts.append(f"its settings say {self.deployment.bundle}")
        if self.deployment and not self.deployment.enabled:
            parts.append("disabled")
        return f"bundle {self.bundle} on {self.infra} ({', '.join(parts)})"


class Target(Protocol):
    """A unit of a stage, with connections to the nodes that can change it. All raise :class:`NodeError`."""

    settings: Settings
    stage: str
    infra: str
    default_deployment: str

    def within(self, deadline: Deadline) -> AbstractContextManager[None]:
        """Requests in the block end at the deadline."""

    def observe(self) -> Live:
        """What is live, as all witnesses say."""

    def make_live(
        self,
        bundle: str,
        deadline: Deadline,
        console: Console,
        *,
        live: Live,
        expected: Callable[[Deployment], bool],
        enabled: bool = True,
        abort_at_limit: bool = False,
    ) -> Live:
        """Makes the version live, and waits until all witnesses say so."""

    def take_back(
        self, deadline: Deadline, console: Console, *, expected: Callable[[Deployment], bool]
    ) -> Deployment | None:
        """Takes what was created out of service."""

    def check_still_live(self, bundle: str, deadline: Deadline) -> Live:
        """Looks again whether the version is live and healthy, and still ours."""
