"""Ctrl-C in the middle of a restore: the first one is noted, the second one ends it, on a terminal only."""

from __future__ import annotations

import signal

from mlops_steps.sandbox.faults.model import Fault
from tests.faults.world import INFRA, OLD, SMOKE, STAGE, World, until
from tests.support.commands import Child


def interrupted(world: World, *, terminal: bool) -> tuple[int, str]:
    """A release whose restore is held at its first change, and then gets Ctrl-C twice."""
    world.sandbox.nodes[INFRA].faults.add("scenario-ends", outcome="FAILED", target=SMOKE)
    operation = "PUT /project-deployer/deployments/*/settings"
    held = world.sandbox.design.faults.add(
        Fault(kind="never", operation=operation, by="clients", after=1, act="before")
    )
    arguments = ["release", "--stage", STAGE, "--config", "patient.yml"]
    child = Child(arguments, world.workspace, world.environment, terminal=terminal)
    until(lambda: held.fired > 0)
    for number in (1, 2):
        child.send(signal.SIGINT)
        if number == 1 or not terminal:
            until(lambda wanted=number: child.said.count("SIGINT noted") >= wanted)  # type: ignore[misc]
    if not terminal:
        world.clear()
    return child.wait(), child.said


def test_on_a_terminal_the_second_one_ends_the_restore_and_the_last_line_says_what_is_live(world: World) -> None:
    code, said = interrupted(world, terminal=True)
    assert code == 5
    assert "the restore was interrupted" in said
    assert "mlops-steps recover --stage prod" in said
    assert said.splitlines()[-1].startswith("live now: bundle new-2 on auto-prod (")
    world.clear()
    assert world.recover().code == 0
    assert (world.active, world.health) == (OLD, "HEALTHY")


def test_without_a_terminal_it_goes_on_to_the_end(world: World) -> None:
    code, said = interrupted(world, terminal=False)
    assert code == 4, said
    assert (world.active, world.health) == (OLD, "HEALTHY")
