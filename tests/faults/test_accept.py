"""`accept` on nodes that do something else than the steps assume, and killed at each of its requests."""

from __future__ import annotations

import signal
from dataclasses import dataclass
from typing import Any

import pytest

from mlops_steps.acceptance.list import assumptions
from mlops_steps.acceptance.world import PREFIX, SERVICE_PREFIX
from mlops_steps.sandbox.faults.model import Fault
from mlops_steps.sandbox.node.archives import ArchiveStore
from mlops_steps.sandbox.services.scenarios import service
from mlops_steps.steps import accept
from tests.faults.choice import chosen, parametrized
from tests.faults.cut import KILL, TERM, moments
from tests.faults.matrix import Point
from tests.faults.recorded import ACCEPT, own
from tests.faults.world import World, until
from tests.support.commands import Child

DESIGN, NODE, API_NODE = "design", "auto-test", "api-dev-1"
#: Not a status of a missing right, nor one that is asked again.
GONE = 410


def fault(node: str, kind: str, operation: str | None = None, **more: Any) -> tuple[str, Fault]:
    return node, Fault.model_validate({"kind": kind, "operation": operation, **more})


def health(words: list[str], **more: Any) -> tuple[str, Fault]:
    return fault(NODE, "health", health=words, **more)


#: What makes an assumption differ, and no other.
BROKEN: dict[str, list[tuple[str, Fault]]] = {
    "instance": [fault(NODE, "error", "instance info", status=GONE, count="for ever")],
    "unknown-project": [fault(DESIGN, "error", "GET /projects/*", status=GONE)],
    "project-list": [fault(DESIGN, "empty-list", "list projects")],
    "project-content": [fault(DESIGN, "empty-list", "GET /projects/*/recipes")],
    "saved-model": [fault(DESIGN, "empty-list", "GET /projects/*/savedmodels", after=1)],
    "git-log": [fault(DESIGN, "empty-list", "git log")],
    "export": [fault(DESIGN, "empty-list", "list exported bundles")],
    "export-once": [],  # see below
    "release-notes": [fault(DESIGN, "empty-list", "list exported bundles", after=1)],
    "publish": [fault(DESIGN, "empty-list", "published bundles", after=1)],
    "download": [fault(DESIGN, "corrupted", "download bundle", count="for ever")],
    "infrastructure": [fault(DESIGN, "empty-list", "GET /project-deployer/infras")],
    "claim": [fault(DESIGN, "empty", "PUT /project-deployer/projects/*/settings", act="before", count="for ever")],
    "seal-tag": [fault(DESIGN, "empty", "PUT /project-deployer/projects/*/settings", act="before", after=2)],
    "deployment": [fault(DESIGN, "empty-list", "list deployments")],
    "not-live-yet": [health(["HEALTHY"], count=1)],
    "update": [fault(NODE, "update-fails")],
    "active-bundle": [fault(NODE, "update-lies")],
    "healthy": [health(["WARNING"], after=1)],
    "history": [fault(DESIGN, "empty-list", "list updates", after=1)],
    "history-details": [fault(DESIGN, "error", "update", status=GONE)],
    "scenario-list": [fault(NODE, "empty-list", "list scenarios", by="clients")],
    "scenario-passes": [fault(NODE, "scenario-ends", outcome="FAILED", target="ACCEPT_PASSES")],
    "run-log": [fault(NODE, "error", "run log", status=GONE)],
    "run-token": [fault(NODE, "empty-list", "last runs", by="clients", after=1)],
    "run-report": [fault(NODE, "error", "run report", status=GONE)],
    "scenario-fails": [fault(NODE, "scenario-ends", outcome="SUCCESS", target="ACCEPT_FAILS")],
    "scenario-runs": [fault(NODE, "trigger-cancelled", target="ACCEPT_HANGS")],
    "trigger-cancelled": [],  # see below
    "abort": [fault(NODE, "error", "abort scenario", status=GONE)],
    "testing-status": [fault(DESIGN, "error", "testing status", status=GONE)],
    "settings-alone": [health(["HEALTHY"], after=2)],
    "second-bundle": [fault(NODE, "update-lies", after=1)],
    "rollback": [fault(NODE, "update-lies", after=2)],
    "broken": [health(["HEALTHY"], after=5)],
    "disable": [fault(NODE, "update-fails", after=4)],
    "deletion": [fault(DESIGN, "error", "DELETE /project-deployer/deployments/*", status=GONE)],
}
#: The same for a service.
BROKEN_SERVICE: dict[str, list[tuple[str, Fault]]] = {
    "service-endpoints": [fault(DESIGN, "empty-list", "GET /projects/*/apiservices/*/settings", after=1)],
    "service-package": [fault(DESIGN, "empty-list", "list packages")],
    "service-publish": [fault(DESIGN, "empty-list", "published service")],
    "service-download": [fault(DESIGN, "corrupted", "download version", count="for ever")],
    "service-deployment": [fault(DESIGN, "empty-list", "list api deployments")],
    "service-update": [fault(API_NODE, "update-fails")],
    "service-answers": [fault(API_NODE, "error", "run function", status=GONE, count="for ever")],
    "service-healthy": [fault(API_NODE, "health", health=["WARNING"])],
    "service-history": [fault(DESIGN, "empty-list", "list api updates", after=1)],
    "service-second": [fault(API_NODE, "update-lies", after=1)],
    "service-back": [fault(API_NODE, "update-lies", after=2)],
    "service-disable": [fault(DESIGN, "error", "save api settings", status=GONE, after=2)],
    "service-deletion": [fault(DESIGN, "error", "DELETE /api-deployer/deployments/*", status=GONE)],
}


def left(world: World) -> list[str]:
    """Everything of `accept` that the nodes still have."""
    found = []
    for node in (DESIGN, NODE, "auto-prod"):
        found += [f"{key} on {node}" for key in world.client(node).list_project_keys() if key.startswith(PREFIX)]
    found += [f"published {item.id}" for item in world.deployer.list_projects() if str(item.id).startswith(PREFIX)]
    deployments = world.deployer.list_deployments()
    found += [f"deployment {item.id}" for item in deployments if str(item.id).startswith(PREFIX)]
    services = world.design.get_apideployer()
    found += [f"service {item.id}" for item in services.list_services() if str(item.id).startswith(SERVICE_PREFIX)]
    deployed = services.list_deployments()
    return found + [f"deployment {item.id}" for item in deployed if str(item.id).startswith(SERVICE_PREFIX)]


def test_each_assumption_is_broken_in_this_file() -> None:
    assert [*BROKEN, *BROKEN_SERVICE] == [assumption.name for assumption in assumptions(service=True)]


@parametrized("name", chosen("accept, broken", BROKEN))
def test_exactly_the_one_that_is_broken_differs(world: World, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for node, one in BROKEN[name]:
        world.sandbox.nodes[node].faults.add(one)
    if name == "export-once":
        monkeypatch.setattr(ArchiveStore, "refuse_known", lambda _self, _bundle: None)
    if name == "trigger-cancelled":
        # A DSS that lets the second trigger wait, whatever the scenario's settings say.
        waits = {"suppressTriggersWhileRunning": False, "delayWhileRunning": True}
        original = service.definition_of
        monkeypatch.setattr(
            service, "definition_of", lambda *place: {**original(*place), "delayedTriggersBehavior": waits}
        )
    attempt = world.run(lambda context: accept.run(context, "test"), "accept")
    differs = [str(case.get("name")) for case in attempt.report.iter("testcase") if case.find("failure") is not None]
    assert differs == [name], attempt.said
    assert attempt.code == 1
    assert not [case for case in attempt.report.iter("testcase") if case.find("error") is not None], attempt.said
    world.clear()
    assert left(world) == []


@parametrized("name", chosen("accept, broken service", BROKEN_SERVICE))
def test_exactly_the_one_of_a_service_that_is_broken_differs(world: World, name: str) -> None:
    for node, one in BROKEN_SERVICE[name]:
        world.sandbox.nodes[node].faults.add(one)
    attempt = world.run(lambda context: accept.run(context, "test", api="dev"), "accept")
    differs = [str(case.get("name")) for case in attempt.report.iter("testcase") if case.find("failure") is not None]
    assert differs == [name], attempt.said
    world.clear()
    assert left(world) == []


@dataclass(frozen=True)
class Killed:
    """`accept` gets a signal while this request of it is held."""

    point: Point
    act: str
    signal: str

    def __str__(self) -> str:
        return f"{self.signal} {self.act} {self.point}"


#: Killed at each request, before and after it has an effect; told to stop before each that has one.
KILLED = [
    Killed(point, act, number)
    for point, act in moments(own(ACCEPT))
    for number in (KILL, TERM)
    if number == KILL or (act == "before" and not point.operation.startswith("GET "))
]


@parametrized("killed", chosen("accept, killed", KILLED))
def test_killed_at_a_request_clean_leaves_nothing(world: World, killed: Killed) -> None:
    point = killed.point
    held = world.sandbox.nodes[point.node].faults.add(
        Fault(kind="never", operation=point.operation, by="clients", after=point.nth, count=1, act=killed.act)
    )
    arguments = ["accept", "--stage", "test", "--config", "steady.yml"]
    child = Child([*arguments, "--api", "dev"], world.workspace, world.environment)
    until(lambda: held.fired > 0 or not child.running)
    child.send(signal.Signals[killed.signal])
    world.sandbox.nodes[point.node].faults.clear(held.id)
    code = child.wait()
    if killed.signal == TERM:
        world.settle()
        assert code in (0, 143), child.said
        assert left(world) == [], child.said
        return
    again = Child([*arguments, "--clean"], world.workspace, world.environment)
    assert again.wait() == 0, again.said
    world.settle()
    assert left(world) == []
