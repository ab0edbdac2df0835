"""The agent's disk is full from one request of a release on: neither record, nor report, nor a line of the log can be
written any more. Production is what the exit code says, and in order after `recover`.
"""

from __future__ import annotations

import resource
import time
from dataclasses import dataclass
from xml.etree import ElementTree

from mlops_steps.sandbox.faults.model import Fault
from tests.faults.choice import chosen, parametrized
from tests.faults.matrix import Point
from tests.faults.recorded import RELEASE, of_the_restore, own
from tests.faults.world import INFRA, NEW, OLD, SMOKE, STAGE, World, until
from tests.support.commands import Child
from tests.support.counts import tally


@dataclass(frozen=True)
class Moment:
    """The disk is full from this request on; with ``failing`` the smoke test of the new bundle fails."""

    point: Point
    failing: bool

    def __str__(self) -> str:
        return f"{self.point}{', the smoke test fails' if self.failing else ''}"


def moments() -> list[Moment]:
    found = [Moment(point, failing=False) for point in own(RELEASE)]
    return found + [Moment(point, failing=True) for point in of_the_restore()]


def fill(child: Child) -> None:
    """From now on no file of the process can grow: what a full disk does to it."""
    assert child.process.pid
    resource.prlimit(child.process.pid, resource.RLIMIT_FSIZE, (0, 0))


def play(world: World, moment: Moment) -> tuple[int, str, list[str]]:
    report = world.workspace / "reports" / f"mlops-release-{STAGE}.xml"
    report.parent.mkdir(exist_ok=True)
    report.write_text("<testsuite name='of the build before'/>")
    since = int(time.time() * 1000) - 1
    if moment.failing:
        world.sandbox.nodes[INFRA].faults.add("scenario-ends", outcome="FAILED", target=SMOKE)
    point = moment.point
    fault = Fault(kind="late", seconds=0.5, operation=point.operation, by="clients", after=point.nth, act="before")
    held = world.sandbox.nodes[point.node].faults.add(fault)
    child = Child(["release", "--stage", STAGE], world.workspace, world.environment)
    until(lambda: held.fired > 0 or not child.running)
    if not child.running:
        return child.wait(), child.said, []
    fill(child)
    code, said = child.wait(), child.said
    now = (world.active, world.health, world.deployed["bundleId"])
    new, old = [(bundle, "HEALTHY", bundle) for bundle in (NEW, OLD)]
    wanted = {0: new, 1: old, 2: old, 3: old, 4: old}.get(code, now if code == 5 else None)
    wrong = [] if now == wanted else [f"{now}"]
    if code in (1, 2, 3) and world.updates(since):
        wrong.append("there were updates")
    try:
        ElementTree.parse(report)
    except ElementTree.ParseError as error:
        wrong.append(f"the report: {error}")
    world.clear()
    again = Child(["recover", "--stage", STAGE, "--config", "patient.yml"], world.workspace, world.environment)
    second = again.wait()
    now = (world.active, world.health, world.deployed["bundleId"])
    if second != 0 or now not in (new, old) or (code != 0 and now != old):
        wrong.append(f"recover: exit code {second}, {now}: {again.said}")
    return code, said, wrong


@parametrized("moment", chosen("disk full", moments()))
def test_a_full_disk_never_leaves_production_in_doubt(world: World, moment: Moment) -> None:
    code, said, wrong = play(world, moment)
    tally("the disk is full", f"exit {code}")
    assert not wrong, f"exit code {code}\n{said}"
