"""What the steps assume of deployments: how they go live, what the deployer says of them, how they go away."""

from __future__ import annotations

from collections.abc import Callable

from mlops_steps.acceptance.model import Assumptions, Differs
from mlops_steps.acceptance.world import FIRST, SECOND, World
from mlops_steps.dss import automation, deployments, throwaway, updates
from mlops_steps.dss.deployments import HEALTHY, Deployment
from mlops_steps.dss.updates import UpdateResult
from mlops_steps.errors import DeadlineExceeded
from mlops_steps.system.waiting import Deadline, poll

#: Before the scenarios are run, and after that.
GOING_LIVE: Assumptions[World] = Assumptions()
AFTERWARDS: Assumptions[World] = Assumptions()

_WORDS = ("UNKNOWN", "ERROR", "WARNING", "HEALTHY", "UNHEALTHY", "OUT_OF_SYNC")


@GOING_LIVE.that(
    "deployment",
    "A deployment that was created is in the list, with its project, bundle and infrastructure.",
    deployments.create,
    deployments.find,
    needs=("publish", "infrastructure"),
)
def _deployment(world: World) -> str:
    site = world.site
    deployments.create(site.deployer, world.deployment, world.key, site.infra, FIRST)
    found = deployments.find(site.deployer, world.key, site.infra, None, world.deployment)
    if found is None:
        raise Differs("the deployment is not in the list")
    if found.version != FIRST:
        raise Differs(f"its bundle is {found.version}")
    return "in the list"


@GOING_LIVE.that(
    "not-live-yet",
    "Creating a deployment changes nothing on the node, and it is not HEALTHY then.",
    deployments.health,
    automation.active_bundle,
    needs=("deployment",),
)
def _not_live_yet(world: World) -> str:
    for node in world.site.nodes:
        active = automation.active_bundle(node, world.key)
        if active is not None:
            raise Differs(f"bundle {active} is active on {node.name} before any update")
    status = _status(world)
    if status == HEALTHY:
        raise Differs("the deployer says HEALTHY before any update")
    return f"nothing is active; the deployer says {status}"


def _status(world: World) -> str:
    status = deployments.health(world.site.deployer, world.deployment).status
    if status not in _WORDS:
        raise Differs(f"the deployer says {status}, which is none of {', '.join(_WORDS)}")
    return status


@GOING_LIVE.that(
    "update",
    "An update ends with a result that says whether it succeeded.",
    updates.update,
    needs=("deployment",),
)
def _update(world: World) -> str:
    result = _run_update(world)
    if not result.succeeded:
        raise Differs(f"the update failed: {'; '.join(result.messages) or 'without a message'}")
    return "; ".join(result.messages) or "it succeeded"


def _run_update(world: World) -> UpdateResult:
    limit = Deadline(world.site.settings.deploy.timeout)
    return updates.update(world.site.deployer, world.deployment, limit, world.site.say, abort_at_limit=True)


@GOING_LIVE.that(
    "active-bundle",
    "After an update the Automation node itself says that the bundle is active.",
    automation.active_bundle,
    needs=("update",),
)
def _active_bundle(world: World) -> str:
    _expect_active(world, FIRST)
    return "the bundle is active"


def _expect_active(world: World, wanted: str) -> None:
    """All nodes must say so."""
    seen: dict[str, str | None] = {}

    def look() -> bool | None:
        seen.update({node.name: automation.active_bundle(node, world.key) for node in world.site.nodes})
        return True if set(seen.values()) == {wanted} else None

    try:
        poll(look, deadline=_health_limit(world), what="the active bundle")
    except DeadlineExceeded:
        said = ", ".join(f"{name} says that {bundle or 'nothing'} is active" for name, bundle in seen.items())
        raise Differs(f"{said}, not {wanted}") from None


def _health_limit(world: World) -> Deadline:
    return Deadline(world.site.settings.deploy.health_timeout)


@GOING_LIVE.that(
    "healthy",
    "After an update the deployer says HEALTHY.",
    deployments.health,
    needs=("active-bundle", "not-live-yet"),
)
def _healthy(world: World) -> str:
    return _expect_health(world, lambda status: status == HEALTHY, HEALTHY)


def _expect_health(world: World, wanted: Callable[[str], bool], words: str) -> str:
    seen: list[str] = []

    def look() -> str | None:
        seen.append(_status(world))
        return seen[-1] if wanted(seen[-1]) else None

    try:
        return poll(look, deadline=_health_limit(world), what="the health")
    except DeadlineExceeded:
        raise Differs(f"the deployer goes on saying {seen[-1]}, not {words}") from None


@GOING_LIVE.that(
    "history",
    "The deployer keeps a history of updates, with the time, the bundle, and a status that is known.",
    updates.known_history,
    needs=("active-bundle",),
)
def _history(world: World) -> str:
    past = updates.known_history(world.site.deployer, world.deployment)
    if past is None:
        raise Differs("this deployer keeps no history")
    if not past:
        raise Differs("the history is empty after an update")
    if not past[0].succeeded:
        raise Differs(f"the status of an update that succeeded is {past[0].status}")
    if past[0].version != FIRST:
        raise Differs("the update does not name its bundle (bundleId)")
    return f"{len(past)} updates; status {past[0].status}"


@GOING_LIVE.that(
    "history-details", "An update of the history can be read in full.", updates.details, needs=("history",)
)
def _history_details(world: World) -> str:
    newest = updates.history(world.site.deployer, world.deployment)[0]
    found = updates.details(world.site.deployer, world.deployment, newest.started)
    return f"{len(found)} fields"


@AFTERWARDS.that(
    "settings-alone",
    "Saved settings change nothing on the node until an update; the deployer says that they differ.",
    deployments.change,
    needs=("healthy",),
)
def _settings_alone(world: World) -> str:
    site = world.site
    deployments.change(site.deployer, _read(world), bundle_id=SECOND)
    _expect_active(world, FIRST)
    return "nothing changed on the node; the deployer says " + _expect_health(
        world, lambda status: status != HEALTHY, "anything but HEALTHY"
    )


def _read(world: World) -> Deployment:
    return deployments.read(world.site.deployer, world.deployment, world.key, world.site.infra)


@AFTERWARDS.that(
    "second-bundle", "The update after that makes the other bundle active.", updates.update, needs=("settings-alone",)
)
def _second_bundle(world: World) -> str:
    _go_to(world, SECOND)
    return "the second bundle is active, HEALTHY"


def _go_to(world: World, bundle: str) -> None:
    current = _read(world)
    if current.version != bundle:
        deployments.change(world.site.deployer, current, bundle_id=bundle)
    result = _run_update(world)
    if not result.succeeded:
        raise Differs(f"the update failed: {'; '.join(result.messages) or 'without a message'}")
    _expect_active(world, bundle)
    _expect_health(world, lambda status: status == HEALTHY, HEALTHY)


@AFTERWARDS.that(
    "rollback",
    "An earlier bundle becomes active again in the same way.",
    deployments.change,
    updates.update,
    needs=("second-bundle",),
)
def _rollback(world: World) -> str:
    _go_to(world, FIRST)
    return "the first bundle is active again, HEALTHY"


@AFTERWARDS.that(
    "broken",
    "When the project is gone from the node, the deployer does not say HEALTHY; an update mends it.",
    deployments.health,
    needs=("rollback",),
)
def _broken(world: World) -> str:
    throwaway.delete_project(world.site.node, world.key)
    said = _expect_health(world, lambda status: status != HEALTHY, "anything but HEALTHY")
    _go_to(world, FIRST)
    return f"{said}; HEALTHY again after an update"


@AFTERWARDS.that(
    "disable",
    "A deployment can be disabled, and updated after that.",
    deployments.change,
    needs=("update",),
)
def _disable(world: World) -> str:
    deployments.change(world.site.deployer, _read(world), enabled=False)
    result = _run_update(world)
    if not result.succeeded:
        raise Differs(f"the update failed: {'; '.join(result.messages) or 'without a message'}")
    if _read(world).enabled:
        raise Differs("the settings of the deployment say that it is enabled")
    return f"disabled; the deployer says {_status(world)}"


@AFTERWARDS.that(
    "deletion",
    "A deployment that was deleted is not in the list any more.",
    throwaway.remove_deployment,
    deployments.find,
    needs=("disable",),
)
def _deletion(world: World) -> str:
    site = world.site
    throwaway.remove_deployment(site.deployer, world.deployment)
    if deployments.find(site.deployer, world.key, site.infra, None, world.deployment) is not None:
        raise Differs("the deployment is still in the list")
    return "deleted"
