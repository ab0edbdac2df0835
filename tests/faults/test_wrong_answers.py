"""Answers that are well-formed and wrong, at each look of a release: an empty list, another project's, an old state.

What is said of production is true all the same, and a deployment that was enabled is never disabled. A sample by
default; `MLOPS_FAULTS=all` runs every combination.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch

import pytest
import requests

from mlops_steps.dss.http import NodeSession
from mlops_steps.steps import recover, release
from tests.faults.choice import chosen, parametrized
from tests.faults.matrix import FOR_EVER, ONCE, Case, Point, play
from tests.faults.recorded import RELEASE, recorded
from tests.faults.world import DEPLOYMENT, INFRA, NEW, OLD, STAGE, World

KINDS = ("empty-list", "other-project")


def cases(clean: list[Point]) -> list[Case]:
    """Each kind at each look, once and for ever."""
    return [
        Case(
            point.node,
            {"kind": kind, "operation": point.operation, "by": "clients", "after": point.nth, "count": often},
            kind,
            often,
            point,
        )
        for point in clean
        if point.by == "clients" and point.operation.startswith("GET ") and "/bundles/" not in point.operation
        for kind in KINDS
        for often in (ONCE, FOR_EVER)
    ]


@parametrized("case", chosen("wrong answers", cases(recorded(RELEASE))))
def test_whatever_wrong_answer_a_look_gets_what_is_said_is_true(world: World, case: Case) -> None:
    found = play(world, case)
    assert not found.wrong, f"exit code {found.code}\n{found.said}"
    assert world.deployed["enabled"]


@contextmanager
def answers_of_before(*ends: str) -> Iterator[None]:
    """Requests whose path ends so get the answer that the first of them has got."""
    first: dict[str, requests.Response] = {}
    send = NodeSession.request

    def request(self: NodeSession, method: str, url: str, **options: object) -> requests.Response:
        response = send(self, method, url, **options)  # type: ignore[arg-type]
        old = method == "GET" and url.rstrip("/").endswith(ends)
        return first.setdefault(url, response) if old else response

    with patch.object(NodeSession, "request", request):
        yield


@pytest.mark.parametrize(
    "ends",
    [
        ("/projects",),
        (f"{DEPLOYMENT}/settings",),
        (f"{DEPLOYMENT}/status",),
        (f"{DEPLOYMENT}/updates", f"{DEPLOYMENT}/update"),
        ("/get-last-runs",),
    ],
    ids=lambda ends: ends[0],
)
def test_an_old_state_is_not_taken_for_the_new_one(world: World, ends: tuple[str, ...]) -> None:
    with answers_of_before(*ends):
        attempt = world.release()
    live = {0: NEW, 4: OLD, 3: OLD, 1: OLD}.get(attempt.code)
    assert live is None or world.active == live, attempt.said
    assert world.deployed["enabled"]
    assert "internal error" not in attempt.said
    if attempt.code == 5:
        assert attempt.pending
        assert world.recover().code == 0
        assert (world.active, world.health) == (OLD, "HEALTHY")


def test_a_node_that_lists_no_project_while_the_deployer_says_healthy_stops_a_release(world: World) -> None:
    world.sandbox.nodes[INFRA].faults.add("empty-list", operation="GET /projects", by="clients", count="for ever")
    attempt = world.release()
    assert attempt.code == 3, attempt.said
    assert "contradict each other about project TINY on auto-prod; nothing was changed" in attempt.said
    assert f"deployment {DEPLOYMENT}, of bundle {OLD}, is HEALTHY" in attempt.said
    assert "no bundle of the project is active" in attempt.said
    assert not [
        entry
        for entry in attempt.requests
        if "/deployments/" in entry.operation and not entry.operation.startswith("GET")
    ]
    world.clear()
    assert (world.active, world.health, world.deployed["enabled"]) == (OLD, "HEALTHY", True)


def test_a_deployer_that_lists_no_deployment_while_a_bundle_is_live_stops_a_release(world: World) -> None:
    world.sandbox.design.faults.add(
        "empty-list", operation="GET /project-deployer/deployments", by="clients", count="for ever"
    )
    attempt = world.release()
    assert attempt.code == 3, attempt.said
    assert "there is no deployment" in attempt.said
    assert f"bundle {OLD} is active" in attempt.said
    world.clear()
    assert (world.active, world.health, world.deployed["enabled"]) == (OLD, "HEALTHY", True)


def test_one_wrong_answer_is_looked_at_again_and_does_not_stop_a_release(world: World) -> None:
    world.sandbox.nodes[INFRA].faults.add("empty-list", operation="GET /projects", by="clients")
    attempt = world.run(lambda context: release.run(context, STAGE), "release", world.patient)
    assert attempt.code == 0, attempt.said
    assert world.active == NEW


def nothing_is_known(world: World) -> None:
    """The node lists no project, the deployer keeps no history, and says that the deployment is not healthy."""
    world.sandbox.nodes[INFRA].faults.add("empty-list", operation="GET /projects", by="clients", count="for ever")
    for history in ("update", "updates"):
        world.sandbox.design.faults.add(
            "error", status=404, operation=f"GET /project-deployer/deployments/*/{history}", count="for ever"
        )
    world.sandbox.nodes[INFRA].faults.add("health", health="WARNING", count="for ever")


def test_a_deployment_that_was_enabled_is_not_disabled_when_nothing_else_is_known_of_it(world: World) -> None:
    nothing_is_known(world)
    attempt = world.release()
    assert attempt.code == 5, attempt.said
    assert (world.deployed["bundleId"], world.deployed["enabled"]) == (OLD, True)
    assert f"set deployment {DEPLOYMENT} to bundle {OLD}" in attempt.said
    assert attempt.pending
    world.clear()
    again = world.recover()
    assert again.code == 0, again.said
    assert (world.active, world.health, world.deployed["enabled"]) == (OLD, "HEALTHY", True)


def test_without_a_record_nothing_is_disabled_when_nothing_else_is_known_of_it(world: World) -> None:
    nothing_is_known(world)
    attempt = world.run(lambda context: recover.run(context, STAGE), "recover")
    assert attempt.code == 1, attempt.said
    assert "the deployer has no history that says whether anything ever was" in attempt.said
    world.clear()
    assert (world.active, world.health, world.deployed["enabled"]) == (OLD, "HEALTHY", True)


def test_a_deployment_that_was_enabled_is_as_it_was_when_a_release_could_not_change_it(world: World) -> None:
    nothing_is_known(world)
    world.sandbox.design.faults.add(
        "error", status=403, operation="PUT /project-deployer/deployments/*/settings", count="for ever"
    )
    since = int(time.time() * 1000) - 1
    attempt = world.release()
    assert attempt.code == 3, attempt.said
    assert not attempt.pending
    assert f"deployment {DEPLOYMENT} is enabled, with bundle {OLD}" in attempt.said
    world.clear()
    assert world.updates(since) == []
    assert (world.active, world.health, world.deployed["enabled"]) == (OLD, "HEALTHY", True)
