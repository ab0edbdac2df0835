"""A release that is cut off at one of its requests, and what is true after it was run again or recovered."""

from __future__ import annotations

import json
import signal
import time
from collections import Counter
from collections.abc import Hashable
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

from mlops_steps.sandbox.faults.model import Fault
from tests.faults.matrix import Point
from tests.faults.world import INFRA, NEW, OLD, SMOKE, STAGE, World, until
from tests.records import pending
from tests.support.commands import Child

KILL, TERM, INT, HUP = "SIGKILL", "SIGTERM", "SIGINT", "SIGHUP"
RERUN, RECOVER = "the same again", "recover"
KEPT, LOST, ARCHIVED = "kept", "lost", "from the archive"
#: What follows a kill, and what became of the record in between.
FOLLOWS = ((RERUN, KEPT), (RECOVER, KEPT), (RERUN, ARCHIVED), (RECOVER, LOST), (RECOVER, ARCHIVED))


def moments(found: list[Point]) -> list[tuple[Point, str]]:
    """Before each request has an effect; and after it, where it has one."""
    return [
        (point, act)
        for point in found
        for act in ("before", "after")
        if act == "before" or not point.operation.startswith("GET ")
    ]


@dataclass(frozen=True)
class Cut:
    """The ``number``-th request to a node is held (before it has an effect, or after), and a signal is sent then.

    ``then`` is the command that follows, and ``record`` what became of the record in between. With ``failing`` the
    smoke test of the new bundle fails, so that requests of a restore are cut off too.
    """

    point: Point
    act: str
    signal: str
    then: str = RECOVER
    record: str = KEPT
    failing: bool = False

    def shows(self) -> set[Hashable]:
        """What the core of a sample shows: each signal with what follows it, and the requests that change something."""
        changing = set() if self.point.operation.startswith("GET ") else {(*self.point.name, self.act, self.failing)}
        return {(self.signal, self.then, self.record), *changing}

    def __str__(self) -> str:
        failing = ", the smoke test fails" if self.failing else ""
        return f"{self.signal} {self.act} {self.point}{failing}; then {self.then}, record {self.record}"


@dataclass
class Ended:
    """How it ended. ``wrong`` is empty when all that must be true is true."""

    cut: Cut
    struck: bool
    first: int
    second: int | None
    wrong: list[str]
    said: str


def play(world: World, cut: Cut, more: Fault | None = None) -> Ended:
    """Cuts a release off, runs what follows, and checks what is true.

    ``more`` is another fault, on the Automation node.
    """
    archived = world.settings.record.read_bytes()
    since = int(time.time() * 1000) - 1
    if cut.failing:
        world.sandbox.nodes[INFRA].faults.add("scenario-ends", outcome="FAILED", target=SMOKE)
    if more:
        world.sandbox.nodes[INFRA].faults.add(more)
    point = cut.point
    fault = Fault(kind="never", operation=point.operation, by="clients", after=point.nth, count=1, act=cut.act)
    held = world.sandbox.nodes[point.node].faults.add(fault)
    child = Child(["release", "--stage", STAGE, "--config", "steady.yml"], world.workspace, world.environment)
    until(lambda: held.fired > 0 or not child.running)
    struck = held.fired > 0 and child.running
    restoring = _signalled(world, child, cut) if struck else 0.0
    first = child.wait()
    said = [f"$ release: exit code {first}", child.said]
    # When the smoke test has failed, the restore is under way already.
    wrong = [] if restoring <= 1.0 or cut.failing else [f"the way out began {restoring:.1f} s after the signal"]
    second = None
    # A restore that was verified before the kill owes nothing: without its record, a release is a new one.
    over = (
        cut.failing
        and cut.then == RERUN
        and _verified_again(world, since)
        and (cut.record == ARCHIVED or not _nothing_pending(world))
    )
    world.sandbox.nodes[point.node].faults.clear(held.id)
    if cut.signal == KILL:
        if cut.record != KEPT:
            world.settings.record.unlink()
        if cut.record == ARCHIVED:
            world.settings.record.write_bytes(archived)
        command = ["release"] if cut.then == RERUN else ["recover"]
        again = Child([*command, "--stage", STAGE, "--config", "patient.yml"], world.workspace, world.environment)
        second = again.wait()
        said += [f"$ {command[0]}: exit code {second}", again.said]
        wrong += [] if over else _finished(world, cut, second)
    elif struck:
        wrong += _put_back(world, cut, first, child.said)
    wrong += _report(world.workspace, "recover" if cut.signal == KILL and cut.then == RECOVER else "release")
    world.clear()
    world.settle()
    wrong += [] if over else counts(world, since)
    if "internal error" in "".join(said) or "Traceback" in "".join(said):
        wrong.append("an internal error")
    return Ended(cut, struck, first, second, wrong, "\n".join(said))


def _signalled(world: World, child: Child, cut: Cut) -> float:
    """Sends the signal, and more of them while it restores; returns the seconds until the way out began."""
    number = signal.Signals[cut.signal]
    before = _asked(world)
    child.send(number)
    if cut.signal == KILL:
        return 0.0
    start = time.monotonic()
    until(lambda: _asked(world) > before or not child.running)
    began = time.monotonic() - start
    while child.running:
        child.send(signal.SIGTERM)
        time.sleep(0.05)
    return began


def _asked(world: World) -> int:
    return sum(len(node.faults.requests()) for node in world.sandbox.nodes.values())


def _now(world: World) -> tuple[str | None, str, str, bool]:
    return world.active, world.health, world.deployed["bundleId"], world.deployed["enabled"]


def _verified_again(world: World, since: int) -> bool:
    runs = [run for run in world.smoke_runs(since) if run.get("bundleId") == OLD]
    return any((run.get("result") or {}).get("outcome") == "SUCCESS" for run in runs)


def _finished(world: World, cut: Cut, code: int) -> list[str]:
    """After a kill and what followed: the new bundle is live and verified, or the old one."""
    now = _now(world)
    new, old = [(bundle, "HEALTHY", bundle, True) for bundle in (NEW, OLD)]
    wanted = {0: (new, old) if cut.then == RECOVER else (new,), 4: (old,), 1: (old,)}.get(code, ())
    if now not in wanted:
        return [f"exit code {code}, and {now}"]
    if now == new and cut.failing:
        return ["the bundle whose smoke test failed is live"]
    return _nothing_pending(world)


def _put_back(world: World, cut: Cut, code: int, said: str) -> list[str]:
    """After a signal: the old bundle is live, or the release was through already."""
    now = _now(world)
    old, new = [(bundle, "HEALTHY", bundle, True) for bundle in (OLD, NEW)]
    number = 128 + signal.Signals[cut.signal]
    wrong = []
    if code not in (number, 0, 4):
        wrong.append(f"exit code {code}")
    if now != (new if code == 0 else old):
        wrong.append(f"exit code {code}, and {now}")
    if code == number and not any(text in said for text in (f"live now: bundle {OLD} ", "nothing was changed")):
        wrong.append("it did not say what became of production")
    return wrong + _nothing_pending(world)


def _nothing_pending(world: World) -> list[str]:
    record = json.loads(world.settings.record.read_text()) if world.settings.record.exists() else {}
    return ["a restore is pending"] if record and pending(record, STAGE) else []


def _report(workspace: Path, step: str) -> list[str]:
    path = workspace / "reports" / f"mlops-{step}-{STAGE}.xml"
    try:
        ElementTree.parse(path)
    except (OSError, ElementTree.ParseError) as error:
        return [f"the report: {error}"]
    return []


def counts(world: World, since: int) -> list[str]:
    """No bundle is made live twice, and none smoke-tested twice."""
    updates = Counter(update["bundleId"] for update in world.updates(since))
    runs = Counter(str(run.get("bundleId")) for run in world.smoke_runs(since))
    imported = [
        entry
        for node in world.sandbox.nodes.values()
        for entry in node.faults.requests()
        if entry.operation.endswith("importFromArchive") and entry.status == 200
    ]
    wrong = []
    if max(updates.values(), default=0) > 1:
        wrong.append(f"updates: {dict(updates)}")
    # A restored bundle whose smoke test failed gets another try.
    failed = Counter(
        str(run.get("bundleId"))
        for run in world.smoke_runs(since)
        if run.get("bundleId") == OLD and (run.get("result") or {}).get("outcome") == "FAILED"
    )
    if max((runs - failed).values(), default=0) > 1:
        wrong.append(f"smoke tests: {dict(runs)}")
    if len(imported) > 1:
        wrong.append(f"{len(imported)} imports")
    return wrong
