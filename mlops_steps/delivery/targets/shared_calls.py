"""Several versions of an API service that share its calls: how a canary brings that about, and believes it."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

from mlops_steps.delivery.targets.api_deployer import ApiDeployerTarget
from mlops_steps.delivery.targets.base import Deployed, Live
from mlops_steps.delivery.targets.live_service import LiveService
from mlops_steps.dss import api_deployer, updates
from mlops_steps.dss.api_deployer import ServiceDeployment
from mlops_steps.dss.deployers import SERVICES
from mlops_steps.errors import CheckFailed, ConfigError, DeadlineExceeded
from mlops_steps.system.console import Console
from mlops_steps.system.waiting import Deadline, duration, poll


def check_form(target: ApiDeployerTarget, deployment: ServiceDeployment) -> None:
    """Raises :class:`ConfigError` where it is not known how this API Deployer names several versions."""
    _form(target, deployment)


def share(
    target: ApiDeployerTarget,
    shares: dict[str, float],
    deadline: Deadline,
    console: Console,
    *,
    live: Live,
    expected: Callable[[Deployed], bool],
) -> LiveService:
    """Lets these versions share the calls (0 to 1, together 1), and waits until every node can answer with each.

    Returns what is live. Raises as :meth:`ApiDeployerTarget.make_live` does, and :class:`ConfigError` as
    :func:`check_form`.
    """
    words = ", ".join(f"{100 * part:.4g} % to version {name}" for name, part in shares.items())
    with target.within(deadline), console.waiting(f"sharing the calls on {target.infra}: {words}") as wait:
        deployment = cast("ServiceDeployment", live.deployment)
        target.check_claim()
        updates.wait_until_idle(target.deployer, deployment.id, deadline, wait.state, SERVICES)
        api_deployer.share(target.deployer, deployment, expected, shares, _form(target, deployment))
        target.check_claim()
        target.update(deployment, f"update of deployment {deployment.id} ({words})", deadline, wait.state, abort=True)
        return _await(target, shares, deadline, wait.state)


def _await(
    target: ApiDeployerTarget, shares: dict[str, float], deadline: Deadline, say: Callable[[str], None]
) -> LiveService:
    last: list[LiveService] = []

    def look() -> LiveService | None:
        live = target.observe(list(shares))
        last[:] = [live]
        there = live.is_shared(shares)
        if not there:
            say(str(live))
        return live if there else None

    patience = deadline.at_most(target.settings.api.health_timeout)
    try:
        return poll(look, deadline=patience, what=f"deployment on {target.infra}", longest=3.0)
    except DeadlineExceeded:
        if not last:
            raise
        raise CheckFailed(
            f"not every API node of {target.infra} answers with each of the versions {', '.join(shares)} after "
            f"{duration(patience.seconds)}: {last[0]}",
            details=[*map(str, last[0].answers), *(last[0].health.messages if last[0].health else [])],
        ) from None


def _form(target: ApiDeployerTarget, deployment: ServiceDeployment) -> dict[str, object]:
    found = api_deployer.form_of_shares(target.deployer, deployment, target.settings.api.release.canary.mode)
    if found is None:
        raise ConfigError(
            f"deployment {deployment.id} has never had several versions, so it is not known how this API Deployer "
            "names that",
            next_step="set api.release.canary.mode in mlops.yml (docs/api-services.md says where to find the word)",
        )
    return found
