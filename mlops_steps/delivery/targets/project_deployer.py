"""A stage with its connections: what is live on it, and how a bundle is made live."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mlops_steps.dss import automation, claims, deployments, updates
from mlops_steps.dss.claims import Claim
from mlops_steps.dss.deployments import Deployment, Health
from mlops_steps.dss.session import Dss, connect
from mlops_steps.errors import CheckFailed, DeadlineExceeded, SomebodyElse
from mlops_steps.system.console import Console
from mlops_steps.system.waiting import BackgroundCall, Deadline, duration, poll

if TYPE_CHECKING:
    from mlops_steps.config import Settings


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

    def __str__(self) -> str:
        if self.bundle is None:
            return f"nothing on {self.infra}"
        parts = [self.health.status if self.health else "no deployment"]
        if self.deployment and self.deployment.bundle != self.bundle:
            parts.append(f"its settings say {self.deployment.bundle}")
        if self.deployment and not self.deployment.enabled:
            parts.append("disabled")
        return f"bundle {self.bundle} on {self.infra} ({', '.join(parts)})"


class Target:
    """A stage of the configuration, with connections to the deployer and to the stage's Automation node."""

    def __init__(self, settings: Settings, stage: str, deployer: Dss, node: Dss) -> None:
        node_settings = settings.stage(stage)
        self.settings = settings
        self.stage = stage
        self.project = settings.project
        self.infra = str(node_settings.infra)
        self.configured_deployment = node_settings.deployment
        self.default_deployment = settings.deployment_id(stage)
        self.deployer = deployer
        self.node = node
        # The claim that this process holds, and whether it may take another one's place (`steps/claim.py`).
        self.claim: Claim | None = None
        self.takes_over = False
        # Whether a process that is gone has left its claim behind.
        self.found_dead = False

    @contextmanager
    def within(self, deadline: Deadline) -> Iterator[None]:
        """Requests to both nodes end at the deadline."""
        with self.deployer.within(deadline), self.node.within(deadline):
            yield

    def find_deployment(self) -> Deployment | None:
        """The stage's deployment, or ``None``."""
        return deployments.find(
            self.deployer, self.project, self.infra, self.configured_deployment, self.default_deployment
        )

    def observe(self) -> Live:
        """Asks the deployer and the node, side by side, what is live. Raises :class:`NodeError`."""
        active = BackgroundCall(lambda: automation.active_bundle(self.node, self.project))
        deployment = self.find_deployment()
        health = deployments.health(self.deployer, deployment.id) if deployment else None
        bundle = active.result()
        if deployment and deployment.project_key != self.project:
            bundle = automation.active_bundle(self.node, deployment.project_key)
        return Live(self.infra, bundle, deployment, health)

    @property
    def deployed_key(self) -> str:
        """The key of the project on the Automation node."""
        deployment = self.find_deployment()
        return deployment.project_key if deployment else self.project

    def check_claim(self) -> None:
        """Raises :class:`SomebodyElse` when another process has taken the stage over; asked before each change."""
        if self.claim is None:
            return
        others = [claim for claim in claims.read(self.deployer, self.project, self.infra) if claim != self.claim]
        if others:
            raise SomebodyElse(
                f"{others[0]} has taken over {self.infra} meanwhile; this process changes nothing there any more",
                next_step="look what the other one does before you run anything",
            )

    def make_live(
        self,
        bundle: str,
        deadline: Deadline,
        console: Console,
        expected: Callable[[Deployment], bool] = lambda _deployment: True,
        enabled: bool = True,
        abort_at_limit: bool = False,
    ) -> Live:
        """Creates or updates the deployment so that the bundle is live, and waits until both nodes say so.

        With ``abort_at_limit`` an update that has not ended at the deadline is aborted, so that another one may follow.
        Raises :class:`CheckFailed` when the update failed or the deployment does not become healthy,
        :class:`NodeError` when a node cannot be asked.
        """
        with self.within(deadline), console.waiting(f"deploying bundle {bundle} to {self.infra}") as wait:
            deployment = self.find_deployment()
            if deployment is None:
                deployment = deployments.create(
                    self.deployer, self.default_deployment, self.project, self.infra, bundle
                )
                wait.state(f"deployment {deployment.id} created")
            else:
                self.check_claim()
                ended = updates.wait_until_idle(self.deployer, deployment.id, deadline, wait.state)
                if (deployment.bundle, deployment.enabled) == (bundle, enabled):
                    # An earlier attempt, which was cut off, may have started just this update.
                    if ended and ended.succeeded and ended.bundle == bundle:
                        return self.await_healthy(bundle, deadline, wait.state, enabled)
                    live = self.observe()
                    if enabled and live.is_healthy(bundle):
                        return live
                else:
                    deployments.change(
                        self.deployer, deployment.id, bundle_id=bundle, enabled=enabled, expected=expected
                    )
            self.check_claim()
            result = updates.update(self.deployer, deployment.id, deadline, wait.state, abort_at_limit=abort_at_limit)
            if not result.succeeded:
                raise CheckFailed(
                    f"the update of deployment {deployment.id} to bundle {bundle} failed"
                    + (f": {result.messages[0]}" if result.messages else ""),
                    details=result.messages[1:],
                )
            return self.await_healthy(bundle, deadline, wait.state, enabled)

    def await_healthy(self, bundle: str, deadline: Deadline, say: Callable[[str], None], enabled: bool = True) -> Live:
        """Waits until the deployer says HEALTHY and the node that the bundle is active.

        A deployment may need a moment (``deploy.health_timeout``). A disabled one only has to have the bundle active.
        """
        last: list[Live] = []

        def look() -> Live | None:
            live = self.observe()
            last[:] = [live]
            say(str(live))
            if not enabled:
                return live if live.bundle == bundle else None
            return live if live.is_healthy(bundle) else None

        patience = deadline.at_most(self.settings.deploy.health_timeout)
        try:
            return poll(look, deadline=patience, what=f"deployment on {self.infra}", longest=3.0)
        except DeadlineExceeded:
            if not last:
                raise
            health = last[0].health
            raise CheckFailed(
                f"bundle {bundle} is not healthy on {self.infra} after {duration(patience.seconds)}: {last[0]}",
                details=health.messages if health else [],
            ) from None

    def check_still_live(self, bundle: str, deadline: Deadline) -> Live:
        """Looks again after a smoke test, which took its time, whether the bundle is live and healthy.

        Raises :class:`SomebodyElse` when another process or person has replaced it, :class:`CheckFailed` when it is
        not healthy and does not become so in ``deploy.health_timeout``, :class:`NodeError`.
        """
        with self.within(deadline):
            self.check_claim()
            live = self.observe()
            if live.deployment and live.deployment.bundle != bundle:
                raise SomebodyElse(
                    f"somebody else has set deployment {live.deployment.id} to bundle {live.deployment.bundle} "
                    "meanwhile; it was not overwritten"
                )
            if live.is_healthy(bundle):
                return live
            return self.await_healthy(bundle, deadline, lambda _state: None)

    def disable(
        self, deadline: Deadline, console: Console, expected: Callable[[Deployment], bool] = lambda _deployment: True
    ) -> Deployment | None:
        """Disables the stage's deployment and updates it; returns its settings, or ``None`` when there is none."""
        with self.within(deadline), console.waiting(f"disabling what was created on {self.infra}") as wait:
            deployment = self.find_deployment()
            if deployment is None:
                return None
            updates.wait_until_idle(self.deployer, deployment.id, deadline, wait.state)
            self.check_claim()
            disabled = deployments.change(self.deployer, deployment.id, enabled=False, expected=expected)
            result = updates.update(self.deployer, deployment.id, deadline, wait.state)
            if disabled.enabled or not result.succeeded:
                raise CheckFailed(
                    f"deployment {deployment.id} could not be disabled"
                    + (f": {result.messages[0]}" if result.messages else ""),
                )
            return disabled


@contextmanager
def open_target(settings: Settings, stage: str) -> Iterator[Target]:
    """The stage with its connections, closed at the end. Raises :class:`ConfigError` before anything is asked."""
    node_settings = settings.stage(stage)
    with connect(settings, settings.deployer()) as deployer, connect(settings, node_settings) as node:
        yield Target(settings, stage, deployer, node)
