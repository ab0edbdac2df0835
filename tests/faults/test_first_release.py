"""The first release ever: every request, every fault, and a kill at each request.

There is nothing to go back to; what a failed release has created is disabled.
"""

from __future__ import annotations

import signal
import time

import pytest

from mlops_steps.sandbox.faults.model import Fault
from tests.faults.choice import chosen, parametrized
from tests.faults.cut import ARCHIVED, FOLLOWS, KEPT, KILL, RERUN, Cut, moments
from tests.faults.matrix import Case, at_requests
from tests.faults.recorded import own, recorded
from tests.faults.world import FIRST, KEY, LONGEST, STAGE, World, until
from tests.support.commands import Child
from tests.support.counts import longest, tally


@pytest.fixture
def new_world(one_world: World, quick: None) -> World:
    """Nothing of the project is on production yet."""
    one_world.reset(FIRST)
    return one_world


@parametrized("case", chosen(FIRST, at_requests(recorded(FIRST))))
def test_whatever_happens_to_a_request_what_is_said_is_true(new_world: World, case: Case) -> None:
    world = new_world
    active = world.sandbox.nodes[case.node].faults.add(case.fault)
    attempt = world.release()
    tally(FIRST, f"exit {attempt.code}", *([] if active.fired else ["not met"]))
    longest(FIRST, attempt.seconds)
    world.clear()
    world.settle()
    state = world.state
    expected = {0: ("new",), 1: ("nothing",), 3: ("nothing",), 4: ("disabled", "nothing")}
    wrong = []
    if attempt.code == 5:
        if not attempt.pending:
            wrong.append("no restore is pending")
        again = world.recover()
        if again.code != 0 or world.state not in ("disabled", "nothing"):
            wrong.append(f"recover: exit code {again.code}, {world.state}: {again.said}")
    elif state not in expected.get(attempt.code, ()):
        wrong.append(f"exit code {attempt.code}, and {state}")
    elif attempt.pending:
        wrong.append(f"exit code {attempt.code}, and a restore is pending")
    if "internal error" in attempt.said:
        wrong.append("an internal error")
    if attempt.seconds > LONGEST:
        wrong.append(f"it took {attempt.seconds:.1f} s")
    assert not wrong, f"exit code {attempt.code}\n{attempt.said}"


def cuts() -> list[Cut]:
    return [Cut(*moment, KILL, then, record) for moment in moments(own(FIRST)) for then, record in FOLLOWS]


@parametrized("cut", chosen(f"{FIRST} cut off", cuts()))
def test_a_kill_at_any_request_is_made_good(new_world: World, cut: Cut) -> None:
    world, point = new_world, cut.point
    since = int(time.time() * 1000) - 1
    archived = world.settings.record.read_bytes()
    fault = Fault(kind="never", operation=point.operation, by="clients", after=point.nth, count=1, act=cut.act)
    held = world.sandbox.nodes[point.node].faults.add(fault)
    child = Child(["release", "--stage", STAGE], world.workspace, world.environment)
    until(lambda: held.fired > 0 or not child.running)
    child.send(signal.SIGKILL)
    first, said = child.wait(), child.said
    world.sandbox.nodes[point.node].faults.clear()
    if cut.record != KEPT:
        world.settings.record.unlink()
    if cut.record == ARCHIVED:
        world.settings.record.write_bytes(archived)
    step = "release" if cut.then == RERUN else "recover"
    again = Child([step, "--stage", STAGE, "--config", "patient.yml"], world.workspace, world.environment)
    second = again.wait()
    tally(f"{FIRST} cut off", f"exit {second}", *([] if held.fired else ["not met"]))
    world.settle()
    state = world.state
    ends = ("new",) if cut.then == RERUN else ("new", "disabled", "nothing")
    wrong = [] if second == 0 and state in ends else [f"{cut.then}: exit code {second}, and {state}"]
    forward = [update for update in world.updates(since) if update.get("enabled", True)] if world.exists else []
    if len(forward) > 1:
        wrong.append(f"updates: {forward}")
    if KEY in world.prod.list_project_keys() and len(world.smoke_runs(since)) > 1:
        wrong.append("the smoke test ran twice")
    if "internal error" in said + again.said or "Traceback" in said + again.said:
        wrong.append("an internal error")
    assert not wrong, f"exit codes {first}, {second}\n{said}\n{again.said}"
