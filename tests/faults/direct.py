"""The world without a deployer for production: how it begins, and what the node says in the end."""

from __future__ import annotations

import copy
from typing import Any

from mlops_steps.config import Settings
from mlops_steps.sandbox.services.projects.model import Project, active_bundle_id
from mlops_steps.steps import deploy
from tests.faults.world import FIRST, INFRA, KEY, LIMITS, NEW, OLD, PATIENT, STAGE, STEADY, Attempt, World

#: Worlds to begin with: by direct deployment the old bundle is live; or nothing was ever on the node.
AGAIN, NEVER = "direct", "direct, first"
#: What mlops.yml says of the project on the node, with the old bundle and with the new one.
WITH = {
    OLD: {"variables": {"budget": 1}, "triggers": True},
    NEW: {"variables": {"budget": 2, "limit": 3}, "triggers": False, "mapping": {"connections": {"a": "b"}}},
}
CONFIG, PATIENT_CONFIG = "direct-steady.yml", "direct-patient.yml"


def settings(world: World, limits: dict[str, dict[str, Any]], name: str = "direct-own.yml") -> Settings:
    """What the steps are configured with."""
    return world._settings(name, {**limits, **_nodes(NEW)})


def _nodes(bundle: str) -> dict[str, Any]:
    return {"nodes": {"design": {}, "test": {}, "prod": {"strategy": "direct", **WITH[bundle]}}}


def ready(world: World, begin: str) -> None:
    """Puts the world back to this beginning."""
    world.reset(begin, _first if begin == NEVER else _again)


def _first(world: World) -> None:
    world.reset(FIRST)
    # An activation may take all the time that a change has: one whose answer a test holds must not last long.
    settings(world, {**STEADY, "release": {"timeout": "30s", "rollback_timeout": "30s"}}, CONFIG)
    settings(world, PATIENT, PATIENT_CONFIG)


def _again(world: World) -> None:
    _first(world)
    patient = world._settings("direct-old.yml", {**PATIENT, **_nodes(OLD)})
    made = world.run(lambda context: deploy.run(context, STAGE, bundle=OLD), "deploy", patient)
    assert (made.code, active(world)) == (0, OLD), made.said
    world._write_record()


def active(world: World) -> str | None:
    """What is active, by the files of the node."""
    return active_bundle_id(world.sandbox.nodes[INFRA], KEY)


def note(world: World) -> dict[str, Any]:
    """The note on the node."""
    node = world.sandbox.nodes[INFRA]
    if not Project.exists(node, KEY):
        return {}
    return copy.deepcopy(Project.load(node, KEY).variables["local"].get("mlops_steps") or {})


def besides(world: World) -> list[str]:
    """What the project has on the node besides its bundle, and should not with that bundle."""
    bundle = active(world)
    if bundle is None or note(world).get("taken_back"):
        return []
    project = Project.load(world.sandbox.nodes[INFRA], KEY)
    local = {name: value for name, value in project.variables["local"].items() if name != "mlops_steps"}
    remapping = (project.params.get("bundleContainerSettings") or {}).get("remapping") or {}
    found = (local, not project.params.get("disableAutomaticTriggers"), remapping.get("connections") or [])
    named = [{"source": "a", "target": "b"}] if bundle == NEW else []
    wanted = (WITH[bundle]["variables"], WITH[bundle]["triggers"], named)
    return [] if found == wanted else [f"with bundle {bundle}: {found}"]


def state(world: World) -> str:
    """``nothing``, the id of the bundle that is active, or ``disabled``."""
    bundle = active(world)
    if bundle is None:
        return "nothing"
    return "disabled" if note(world).get("taken_back") else bundle


def twice(world: World, since: int) -> list[str]:
    """What was done twice."""
    activated = [one["bundle"] for one in note(world).get("made_live", [])]
    runs = [run for run in world.smoke_runs(since) if run.get("bundleId") == NEW] if active(world) else []
    wrong = [f"activated: {activated}"] if activated.count(NEW) > 1 else []
    return wrong + ([f"{len(runs)} smoke tests of the new bundle"] if len(runs) > 1 else [])


def recover(world: World) -> Attempt:
    """`recover`, when the fault is over."""
    from mlops_steps.steps import recover as step

    return world.run(lambda context: step.run(context, STAGE), "recover", settings(world, PATIENT))


def release(world: World, *, patient: bool = False) -> Attempt:
    """A release of the new bundle."""
    return world.release(settings(world, PATIENT if patient else LIMITS))
