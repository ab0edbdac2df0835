"""The first release ever: every request, every fault, and a kill at each request.

There is nothing to go back to; what a failed release has created is disabled.
"""

from __future__ import annotations

import itertools
import signal
import time
from collections import Counter

import pytest

from mlops_steps.sandbox.faults.model import Fault
from tests.counts import tell
from tests.faults.child import Child
from tests.faults.cut import ARCHIVED, KEPT, LOST, RECOVER, RERUN
from tests.faults.matrix import Case, Point, at_requests, points
from tests.faults.sides import played, wanted
from tests.faults.test_cut_off import moments
from tests.faults.world import DEPLOYMENT, KEY, LONGEST, NEW, SMOKE, STAGE, World, until

pytestmark = pytest.mark.usefixtures("quick")

WORLDS = 6
FOLLOWS = ((RERUN, KEPT), (RECOVER, KEPT), (RERUN, ARCHIVED), (RECOVER, LOST), (RERUN, KEPT), (RECOVER, ARCHIVED))


class NewWorld(World):
    """Nothing of the project is on production yet."""

    def reset(self) -> None:
        self.clear()
        self.settle()
        if self.exists:
            deployment = self.deployer.get_deployment(DEPLOYMENT)
            if self.deployed["enabled"]:
                settings = deployment.get_settings()
                settings.get_raw()["enabled"] = False
                settings.save()
            deployment.start_update().wait_for_result()  # only one that is disabled on the node may be deleted
            deployment.delete()
        if KEY in self.prod.list_project_keys():
            project = self.prod.get_project(KEY)
            if SMOKE in [item["id"] for item in project.list_scenarios()]:
                project.get_scenario(SMOKE).abort()
                until(lambda: project.get_scenario(SMOKE).get_current_run() is None)
            project.delete()
        self._write_record()
        for node in self.sandbox.nodes.values():
            node.faults.clear_requests()

    @property
    def exists(self) -> bool:
        return DEPLOYMENT in [item.deployment_id for item in self.deployer.list_deployments(as_objects=True)]

    @property
    def state(self) -> str:
        """What is on production: ``new``, ``disabled``, ``nothing``, or how it is otherwise."""
        if not self.exists:
            return "nothing" if self.active is None else f"{self.active} without a deployment"
        found = (self.active, self.deployed["bundleId"], self.deployed["enabled"])
        if found == (NEW, NEW, True) and self.health == "HEALTHY":
            return "new"
        return f"{found}" if self.deployed["enabled"] else "disabled"

    def forward(self, since: int) -> list[dict[str, object]]:
        """The updates that were to make the new bundle live."""
        return [one for one in self.updates(since) if one.get("enabled", True)] if self.exists else []


@pytest.fixture(scope="module")
def clean(worlds: list[NewWorld]) -> list[Point]:
    worlds[0].reset()
    attempt = worlds[0].release()
    assert attempt.code == 0, attempt.said
    assert worlds[0].state == "new"
    return points(attempt.requests)


def under_a_fault(world: NewWorld, case: Case) -> tuple[Case, int, list[str]]:
    world.reset()
    world.sandbox.nodes[case.node].faults.add(case.fault)
    attempt = world.release()
    world.clear()
    world.settle()
    state = world.state
    expected = {0: ("new",), 1: ("nothing",), 3: ("nothing",), 4: ("disabled", "nothing")}
    wrong = []
    if attempt.code == 5:
        if attempt.owed != "restore":
            wrong.append(f"it owes {attempt.owed}")
        again = world.recover()
        if again.code != 0 or world.state not in ("disabled", "nothing"):
            wrong.append(f"recover: exit code {again.code}, {world.state}: {again.said}")
    elif state not in expected.get(attempt.code, ()):
        wrong.append(f"exit code {attempt.code}, and {state}")
    elif attempt.owed != "nothing":
        wrong.append(f"exit code {attempt.code}, and the record owes {attempt.owed}")
    if "internal error" in attempt.said:
        wrong.append("an internal error")
    if attempt.seconds > LONGEST:
        wrong.append(f"it took {attempt.seconds:.1f} s")
    return case, attempt.code, [f"{case}: exit code {attempt.code}: {wrong}\n{attempt.said}"] if wrong else []


@pytest.mark.timeout(3600)
def test_whatever_happens_to_a_request_what_is_said_is_true(worlds: list[NewWorld], clean: list[Point]) -> None:
    cases = wanted(at_requests(clean))
    found = played(worlds, cases, under_a_fault, lambda case, error: (case, -1, [f"{case}: {error!r}"]))  # type: ignore[arg-type]
    ends = Counter(code for _, code, _ in found)
    said = ", ".join(f"exit {code}: {number}" for code, number in sorted(ends.items()))
    tell(f"first release: {len(clean)} requests, {len(found)} faults: {said}")
    wrong = [text for _, _, texts in found for text in texts]
    assert not wrong, f"{len(wrong)} of {len(found)}\n\n" + "\n\n".join(wrong)


def killed(world: NewWorld, cut: tuple[Point, str, str, str]) -> list[str]:
    point, act, then, record = cut
    world.reset()
    since = int(time.time() * 1000) - 1
    archived = world.settings.record.read_bytes()
    fault = Fault(kind="never", operation=point.operation, by="clients", after=point.nth, count=1, act=act)
    held = world.sandbox.nodes[point.node].faults.add(fault)
    child = Child(["release", "--stage", STAGE], world.workspace, world.environment)
    until(lambda: held.fired > 0 or not child.running, 30)
    child.send(signal.SIGKILL)
    first, said = child.wait(), child.said
    world.sandbox.nodes[point.node].faults.clear()
    if record != KEPT:
        world.settings.record.unlink()
    if record == ARCHIVED:
        world.settings.record.write_bytes(archived)
    step = "release" if then == RERUN else "recover"
    again = Child([step, "--stage", STAGE, "--config", "patient.yml"], world.workspace, world.environment)
    second = again.wait()
    world.settle()
    state = world.state
    ends = ("new",) if then == RERUN else ("new", "disabled", "nothing")
    wrong = [] if second == 0 and state in ends else [f"{then}: exit code {second}, and {state}"]
    if len(world.forward(since)) > 1:
        wrong.append(f"updates: {world.forward(since)}")
    if KEY in world.prod.list_project_keys() and len(world.smoke_runs(since)) > 1:
        wrong.append("the smoke test ran twice")
    if "internal error" in said + again.said or "Traceback" in said + again.said:
        wrong.append("an internal error")
    name = f"SIGKILL {act} {point}, then {then}, record {record}"
    return [f"{name}: exit codes {first}, {second}: {wrong}\n{said}\n{again.said}"] if wrong else []


@pytest.mark.timeout(3600)
def test_a_kill_at_any_request_is_made_good(worlds: list[NewWorld], clean: list[Point]) -> None:
    follows = itertools.cycle(FOLLOWS)
    own = [point for point in clean if point.by == "clients"]
    cuts = [(*moment, *next(follows)) for moment in moments(own)]
    found = played(worlds, cuts, killed, lambda cut, error: [f"{cut}: {error!r}"])  # type: ignore[arg-type]
    tell(f"first release killed at {len(own)} requests: {len(found)}")
    wrong = [text for texts in found for text in texts]
    assert not wrong, f"{len(wrong)} of {len(found)}\n\n" + "\n\n".join(wrong)
