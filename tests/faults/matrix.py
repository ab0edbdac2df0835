"""Which faults at which requests, and what must be true at the end of each release that meets one."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from typing import Any

from mlops_steps.config import Settings
from mlops_steps.sandbox.faults.model import Fault
from tests.faults.world import INFRA, KEY, LONGEST, NEW, OLD, SMOKE, Attempt, World

ONCE, FOR_EVER = "once", "for ever"

#: Milliseconds from the beginning of the last look at production to the end of a release: the look has a second.
LOOK = 1_500

#: Kinds of faults at a single request, by the name that the table shows.
AT_A_REQUEST: dict[str, dict[str, Any]] = {
    "drop before": {"kind": "drop", "act": "before"},
    "drop after": {"kind": "drop", "act": "after"},
    "reset": {"kind": "reset"},
    "truncated": {"kind": "truncated"},
    "late": {"kind": "late", "seconds": 0.2, "act": "before"},
    "too late": {"kind": "late", "seconds": 1.5, "act": "before"},
    "too late after": {"kind": "late", "seconds": 1.5, "act": "after"},
    "never before": {"kind": "never", "act": "before"},
    "never after": {"kind": "never", "act": "after"},
    "429": {"kind": "error", "status": 429},
    "429 Retry-After": {"kind": "error", "status": 429, "retry_after": 0},
    "429 long wait": {"kind": "error", "status": 429, "retry_after": 3600},
    "500": {"kind": "error", "status": 500},
    "500 after": {"kind": "error", "status": 500, "act": "after"},
    "502": {"kind": "error", "status": 502},
    "503": {"kind": "error", "status": 503},
    "504 after": {"kind": "error", "status": 504, "act": "after"},
    "403": {"kind": "error", "status": 403},
    "404": {"kind": "error", "status": 404},
    "HTML 200": {"kind": "html", "status": 200},
    "HTML 200 after": {"kind": "html", "status": 200, "act": "after"},
    "HTML 502": {"kind": "html", "status": 502},
    "HTML 502 after": {"kind": "html", "status": 502, "act": "after"},
    "empty": {"kind": "empty"},
    "cut": {"kind": "cut"},
    "garbled": {"kind": "garbled"},
    "corrupted": {"kind": "corrupted"},
    "disk full": {"kind": "disk-full"},
    "disk full 507": {"kind": "disk-full", "status": 507},
}
#: What the Project Deployer may meet on its way to the Automation node.
FOR_THE_DEPLOYER = ("drop before", "drop after", "500", "500 after", "404", "disk full")
#: From a request on, the node as such; for these once means for a short while.
OF_THE_NODE: dict[str, dict[str, Any]] = {
    "refuse": {"kind": "refuse", "seconds": 0.3},
    "expired key": {"kind": "expired-key"},
}
#: Faults of the work: on which node, and how often.
OF_THE_WORK: dict[str, tuple[str, dict[str, Any]]] = {
    "future never ends (before)": ("design", {"kind": "future-never-ends", "act": "before"}),
    "future never ends (after)": ("design", {"kind": "future-never-ends", "act": "after"}),
    "future without result (before)": ("design", {"kind": "future-without-result", "act": "before"}),
    "future without result (after)": ("design", {"kind": "future-without-result", "act": "after"}),
    "future lost (before)": ("design", {"kind": "future-lost", "act": "before"}),
    "future lost (after)": ("design", {"kind": "future-lost", "act": "after"}),
    "update fails (before)": (INFRA, {"kind": "update-fails", "act": "before"}),
    "update fails (after)": (INFRA, {"kind": "update-fails", "act": "after"}),
    "update lies": (INFRA, {"kind": "update-lies"}),
    "UNHEALTHY": (INFRA, {"kind": "health", "health": ["UNHEALTHY"]}),
    "ERROR": (INFRA, {"kind": "health", "health": ["ERROR"]}),
    "WARNING": (INFRA, {"kind": "health", "health": ["WARNING"]}),
    "UNKNOWN": (INFRA, {"kind": "health", "health": ["UNKNOWN"]}),
    "OUT_OF_SYNC": (INFRA, {"kind": "health", "health": ["OUT_OF_SYNC"]}),
    "health flaps": (INFRA, {"kind": "health", "health": ["HEALTHY", "UNHEALTHY"]}),
    "trigger cancelled": (INFRA, {"kind": "trigger-cancelled"}),
    "scenario hangs": (INFRA, {"kind": "scenario-hangs"}),
    "scenario FAILED": (INFRA, {"kind": "scenario-ends", "outcome": "FAILED"}),
    "scenario ABORTED": (INFRA, {"kind": "scenario-ends", "outcome": "ABORTED"}),
    "scenario WARNING": (INFRA, {"kind": "scenario-ends", "outcome": "WARNING"}),
}


@dataclass(frozen=True)
class Point:
    """One request of a release: the ``nth`` of its operation on its node, the ``position``-th that the node got."""

    node: str
    by: str
    operation: str
    nth: int
    position: int

    @property
    def name(self) -> tuple[str, str, str]:
        """Node, who asks, and operation, whichever of its times it is."""
        return self.node, self.by, self.operation

    def __str__(self) -> str:
        again = f" #{self.nth + 1}" if self.nth else ""
        return f"{self.node}{' (asked by the deployer)' if self.by == 'deployer' else ''}: {self.operation}{again}"


@dataclass(frozen=True)
class Case:
    """A fault at a point. Most cases are never played: ``settings`` become a fault when it is asked for."""

    node: str
    settings: dict[str, Any]
    kind: str
    often: str
    point: Point | None = None

    @property
    def fault(self) -> Fault:
        return Fault(**self.settings)

    def __str__(self) -> str:
        return f"{self.kind}, {self.often}" + (f", at {self.point}" if self.point else "")


def points(names: Iterable[tuple[str, str, str]]) -> list[Point]:
    """The requests of a clean release, from node, asker and operation of each."""
    seen: Counter[tuple[str, str, str]] = Counter()
    positions: Counter[tuple[str, str]] = Counter()
    found = []
    for name in names:
        node, by, _ = name
        found.append(Point(*name, nth=seen[name], position=positions[node, by]))
        seen[name] += 1
        positions[node, by] += 1
    return found


def cases(found: list[Point]) -> list[Case]:
    """Each kind of fault at each request, once and for ever; and the faults of the work."""
    made = at_requests(found)
    for kind, (node, settings) in OF_THE_WORK.items():
        made += [Case(node, {**settings, "count": often}, kind, often) for often in (ONCE, FOR_EVER)]
    return made


def at_requests(found: list[Point]) -> list[Case]:
    """Each kind of fault at each request, once and for ever."""
    made = []
    for point in found:
        for kind, settings in AT_A_REQUEST.items():
            if point.by == "deployer" and kind not in FOR_THE_DEPLOYER:
                continue
            if point.operation.startswith("GET ") and settings.get("act") == "after":
                continue  # a request that changes nothing looks the same to its sender, before and after
            for often in (ONCE, FOR_EVER):
                at = {"operation": point.operation, "by": point.by, "after": point.nth, "count": often}
                made.append(Case(point.node, {**settings, **at}, kind, often, point))
        if point.by == "clients":
            for kind, settings in OF_THE_NODE.items():
                for often in (ONCE, FOR_EVER):
                    at = {"by": "clients", "after": point.position, "count": often}
                    made.append(Case(point.node, {**settings, **at}, kind, often, point))
            made.append(_restart(point))
    return made


def _restart(point: Point) -> Case:
    """The node is restarted after it has answered."""
    settings = {"kind": "restart", "operation": point.operation, "by": point.by, "after": point.nth}
    return Case(point.node, settings, "restart", ONCE, point)


def kind_and_point(case: Case) -> set[Hashable]:
    """What the core of a sample shows: each kind, once and for ever, and each request."""
    return {(case.kind, case.often), *([case.point] if case.point else [])}


@dataclass
class Finding:
    """What came of a case. ``wrong`` is empty when all that must be true is true."""

    case: Case
    code: int
    struck: bool
    seconds: float
    wrong: list[str]
    said: str


def play(world: World, case: Case, settings: Settings | None = None, *, fails: bool = False) -> Finding:
    """Releases under the fault, and checks what is true afterwards. With ``fails`` the smoke test fails."""
    since = int(time.time() * 1000) - 1
    if fails:
        world.sandbox.nodes[INFRA].faults.add("scenario-ends", outcome="FAILED", target=SMOKE)
    active = world.sandbox.nodes[case.node].faults.add(case.fault)
    attempt = world.release(settings)
    struck = active.fired > 0
    wrong = _said_and_true(world, attempt)
    world.clear()
    world.settle()
    if any((update["endTimestamp"] or 0) > attempt.ended - LOOK for update in world.updates(since)):
        # An update went on after its release had given up: what was said was true when it was looked up.
        wrong = [text for text in wrong if not text.startswith("it said")]
    wrong += _afterwards(world, case, attempt, since)
    return Finding(case, attempt.code, struck, attempt.seconds, wrong, attempt.said)


def _said_and_true(world: World, attempt: Attempt) -> list[str]:
    """What was said at the end, against what is on the node at that moment, looked up past the faults."""
    live = _on_disk(world)
    wrong = []
    if attempt.code == 5:
        if "unknown" not in attempt.live and f"bundle {live} " not in attempt.live:
            wrong.append(f"it said {attempt.live!r} is live, and {live} is")
        if attempt.error is None or "recover" not in (attempt.error.next_step or ""):
            wrong.append("it did not say what to do")
    elif attempt.code == 4 and (live != OLD or f"bundle {OLD} " not in attempt.live):
        wrong.append(f"rolled back, and {live} is live; it said {attempt.live!r}")
    elif attempt.code in (1, 2, 3) and live != OLD:
        wrong.append(f"exit code {attempt.code}, and {live} is live")
    elif attempt.code == 0 and live != NEW:
        wrong.append(f"released, and {live} is live")
    if "internal error" in attempt.said or "Traceback" in attempt.said:
        wrong.append("an internal error")
    if attempt.seconds > LONGEST:
        wrong.append(f"it took {attempt.seconds:.1f} s")
    bad = [*attempt.report.iter("failure"), *attempt.report.iter("error")]
    if bool(bad) != bool(attempt.code):
        wrong.append(f"exit code {attempt.code} and {len(bad)} failures in the report")
    return wrong


def _on_disk(world: World) -> str | None:
    from mlops_steps.sandbox.services.projects.model import active_bundle_id

    return active_bundle_id(world.sandbox.nodes[INFRA], KEY)


def _afterwards(world: World, case: Case, attempt: Attempt, since: int) -> list[str]:
    """What the nodes say when the fault is over."""
    wrong = []
    expected = {0: NEW, 1: OLD, 2: OLD, 3: OLD, 4: OLD}
    updates, settings = world.updates(since), world.deployed
    if attempt.code in expected:
        wanted = expected[attempt.code]
        found = (world.active, world.health, settings["bundleId"], settings["enabled"])
        if found != (wanted, "HEALTHY", wanted, True):
            wrong.append(f"exit code {attempt.code}, and {found} afterwards")
        if attempt.pending:
            wrong.append(f"exit code {attempt.code}, and a restore is pending")
    elif attempt.code == 5:
        wrong += _recovered(world, attempt)
    else:
        wrong.append(f"exit code {attempt.code}")
    if attempt.code in (1, 2, 3) and updates:
        wrong.append(f"exit code {attempt.code}, and there were updates: {[item['bundleId'] for item in updates]}")
    forward = [item for item in updates if item["bundleId"] == NEW]
    if len(forward) > 1:
        wrong.append(f"{len(forward)} updates to the new bundle")
    runs = [run for run in world.smoke_runs(since) if run.get("bundleId") == NEW]
    if len(runs) > 1:
        wrong.append(f"{len(runs)} smoke tests of the new bundle")
    return wrong


def _recovered(world: World, attempt: Attempt) -> list[str]:
    """`recover` puts production in order when the fault is over."""
    wrong = []
    if not attempt.pending:
        wrong.append("production is in doubt, and no restore is pending")
    again = world.recover()
    found = (again.code, world.active, world.health)
    if found != (0, OLD, "HEALTHY"):
        wrong.append(f"after recover: {found}: {again.said}")
    return wrong
