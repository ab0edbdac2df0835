"""What a change asks of the place where something is made live, whatever kind it is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
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


@dataclass(frozen=True)
class MadeLive:
    """A version that an update of the deployment has made live. ``started``: milliseconds since 1970."""

    started: int
    version: str


@dataclass(frozen=True)
class SmokeResult:
    """How a smoke test ended: ``outcome`` is its word for it, ``log`` what it has written. Took ``seconds``."""

    passed: bool
    outcome: str
    message: str
    log: str
    seconds: float


class Target(Protocol):
    """A unit of a stage, with connections to the nodes that can change it. All raise :class:`NodeError`.

    Everything else of delivery works on this: another kind of unit is another implementation. ``found_dead``: a process
    that is gone has left its claim behind. ``smoke_test`` names the smoke test, for people.
    """

    settings: Settings
    stage: str
    infra: str
    default_deployment: str
    found_dead: bool

    @property
    def smoke_test(self) -> str:
        """What is run, and where."""

    def within(self, deadline: Deadline) -> AbstractContextManager[None]:
        """Requests in the block end at the deadline."""

    def observe(self) -> Live:
        """What is live, as all witnesses say."""

    def look(self, deadline: Deadline, console: Console) -> Live:
        """The same, where the witnesses do not contradict each other."""

    def wait_until_idle(self, deadline: Deadline, console: Console) -> None:
        """Waits for the end of an update that is under way, if there is one."""

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

    def made_live(self, live: Live) -> Iterator[MadeLive]:
        """The versions that updates of the deployment have made live, as far as they are known, the newest first."""

    def never_updated(self, live: Live) -> bool:
        """Whether a history is kept, and shows that no update of the deployment has succeeded."""

    def update_name(self, version: str) -> str | None:
        """The name of the update that has made the version live: the same after a crash, and on any agent.

        ``None`` when it is not known: then a smoke test of an earlier update would be taken for one of this.
        """

    def verdicts(self) -> dict[int, bool]:
        """Whether what an update (by its start, in milliseconds) made live has passed a smoke test; none: no entry."""

    def run_smoke_test(
        self, limit: float, say: Callable[[str], None], *, token: str | None, prefix: str | None, alone: bool
    ) -> SmokeResult:
        """Smoke-tests what is live, for ``limit`` seconds at most.

        A run that carries the ``token``, or one that begins with ``prefix``, is awaited instead of starting another;
        with ``alone`` one that does not is aborted.
        """
