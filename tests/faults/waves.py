"""A world whose production has three infrastructures, in two waves: `eu`, then `us` and `ap` side by side.

`python -m tests.faults.waves` writes the requests of a clean release anew. Their order differs from run to run.
"""

from __future__ import annotations

import hashlib
import json
import logging
import signal
import sys
import tempfile
import time
from collections.abc import Hashable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dataikuapi

from mlops_steps.config import load
from mlops_steps.delivery.record import Bundle, ReleaseRecord
from mlops_steps.delivery.unit import Outcome
from mlops_steps.sandbox.faults.model import Fault
from mlops_steps.sandbox.services.projects.model import active_bundle_id, create
from mlops_steps.sandbox.site import Sandbox
from mlops_steps.sandbox.specs import infra_specs
from mlops_steps.system.pace import use
from tests.faults.cut import ARCHIVED, FOLLOWS, KEPT, KILL, LOST, RECOVER, RERUN, TERM, moments
from tests.faults.matrix import Point, points
from tests.faults.world import KEY, NEW, OLD, PATIENT, SMOKE, STAGE, STEADY, until
from tests.records import pending
from tests.support.commands import Child
from tests.support.pace import QUICK
from tests.support.snapshot import Snapshot

FILE = Path(__file__).with_name("requests") / "waves.txt"
PLACES = ("eu", "us", "ap")
FAILING = "ap"
ROLLOUT = {"waves": [["eu"], ["us", "ap"]], "at_once": 2}
NODES: dict[str, Any] = {
    "design": {},
    "test": {},
    "prod": {"infras": {place: {"infra": f"auto-{place}"} for place in PLACES}, "rollout": ROLLOUT},
}
# How often they are asked is a matter of time.
_POLLS = (
    "GET /futures/*",
    "GET /project-deployer/deployments/*/update",
    "GET /projects/*/scenarios/*/get-run-for-trigger",
    "GET /projects/*/scenarios/*/*",
)


class Waves:
    """The sandbox, its project, and a record of a new bundle that has passed its tests; the old one is live."""

    def __init__(self, folder: Path) -> None:
        self.sandbox = Sandbox.open(folder / "nodes", infra_specs(None, [f"prod/{place}" for place in PLACES]))
        self.sandbox.start()
        self.workspace = folder / "work"
        self.workspace.mkdir()
        for name, limits in (("steady.yml", STEADY), ("patient.yml", PATIENT)):
            (self.workspace / name).write_text(json.dumps({"project": KEY, **limits, "nodes": NODES}))
        self.environment = self.sandbox.environment(KEY)
        self.record = load(self.workspace / "patient.yml", self.environment).record
        self._create()
        folders = [node.dir for node in self.sandbox.nodes.values()]
        self._snapshot = Snapshot(*folders, self.workspace)

    def _create(self) -> None:
        node = self.sandbox.design
        client = dataikuapi.DSSClient(node.url, node.api_key)
        project = create(node, KEY, "Tiny project")
        handle = client.get_project(KEY)
        handle.create_scenario(SMOKE, "step_based", {"params": {"steps": []}, "markedAsTest": True})
        for bundle in (OLD, NEW):
            (project.config_dir / "note.txt").write_text(bundle)
            handle.export_bundle(bundle)
            handle.publish_bundle(bundle)
        self.deployer = client.get_projectdeployer()
        with self.deployer.get_project(KEY).get_bundle_stream(NEW) as response:
            archive = response.content
        record = ReleaseRecord(project=KEY)
        record.begin(Bundle(id=NEW, sha256=hashlib.sha256(archive).hexdigest(), size=len(archive)))
        record.stage("test").test = Outcome(bundle=NEW).end("passed")
        record.save(self.record)
        for place in PLACES:
            name = f"{KEY}-on-auto-{place}"
            self.deployer.create_deployment(name, KEY, f"auto-{place}", OLD).start_update().wait_for_result()

    def close(self) -> None:
        self.sandbox.close()

    def reset(self) -> None:
        """As before each release."""
        self.quiet(abort=True)
        self._snapshot.put_back()
        for node in self.sandbox.nodes.values():
            node.faults.clear_requests()

    def quiet(self, *, abort: bool = False) -> None:
        """Ends all faults, and waits for the end of what the nodes are at work on."""
        nodes = self.sandbox.nodes.values()
        for node in nodes:
            node.faults.clear()
            for future in node.futures.list() if abort else ():
                node.futures.abort(future.job_id)
        until(lambda: all(request.seconds for node in nodes for request in node.faults.requests()))
        until(lambda: not any(node.futures.list() for node in nodes))

    def command(self, *arguments: str, config: str = "patient.yml") -> Child:
        """The command under way."""
        return Child([*arguments, "--stage", STAGE, "--config", config], self.workspace, self.environment)

    def live(self) -> dict[str, tuple[str | None, str, str, bool]]:
        """What each node has active, and what the deployer says of each."""
        found = {}
        for place in PLACES:
            deployment = self.deployer.get_deployment(f"{KEY}-on-auto-{place}")
            settings = deployment.get_settings().get_raw()
            active = active_bundle_id(self.sandbox.nodes[f"auto-{place}"], KEY)
            health = str(deployment.get_status().get_health())
            found[place] = (active, health, settings["bundleId"], settings["enabled"])
        return found

    def requests(self) -> list[tuple[str, str, str]]:
        """The requests since the last reset, without those that are asked until something has come about."""
        logged = [
            (node.id, request.by, request.operation)
            for node in self.sandbox.nodes.values()
            for request in node.faults.requests()
        ]
        return sorted(entry for entry in logged if entry[1] == "clients" and entry[2] not in _POLLS)


def recorded() -> list[Point]:
    """The requests of a clean release, by node and kind."""
    lines = FILE.read_text().splitlines() if FILE.exists() else []
    return points((node, by, operation) for node, by, operation in (line.split(maxsplit=2) for line in lines))


#: What follows where the smoke test fails, too: what the record knows, and what the nodes know without it.
_WHILE_FAILING = [(KILL, RERUN, KEPT), (KILL, RECOVER, LOST)]


@dataclass(frozen=True)
class WavesCut:
    """A release that is cut off at a request. With ``failing`` the smoke test on `ap` fails."""

    point: Point
    act: str
    signal: str
    then: str
    record: str
    failing: bool

    def shows(self) -> set[Hashable]:
        return {(self.signal, self.then, self.record, self.failing)}

    def __str__(self) -> str:
        failing = f", the smoke test on {FAILING} fails" if self.failing else ""
        return f"{self.signal} {self.act} {self.point}{failing}; then {self.then}, record {self.record}"


def cuts() -> list[WavesCut]:
    """Each moment of a release in waves, and what may follow."""
    follows = [(KILL, *follow) for follow in FOLLOWS] + [(TERM, RERUN, KEPT)]
    return [
        WavesCut(point, act, *follow, failing)
        for point, act in moments(recorded())
        for follow in follows
        for failing in ((False, True) if follow in _WHILE_FAILING else (False,))
    ]


def play(world: Waves, cut: WavesCut) -> tuple[bool, list[str], str]:
    """Cuts a release off and runs what follows. Returns whether the cut was met, what is wrong, and what was said."""
    archived = world.record.read_bytes()
    if cut.failing:
        faults = world.sandbox.nodes[f"auto-{FAILING}"].faults
        faults.add("scenario-ends", outcome="FAILED", target=SMOKE)
    fault = Fault(kind="never", operation=cut.point.operation, by="clients", after=cut.point.nth, count=1, act=cut.act)
    held = world.sandbox.nodes[cut.point.node].faults.add(fault)
    child = world.command("release", config="steady.yml")
    until(lambda: held.fired > 0 or not child.running)
    struck = held.fired > 0 and child.running
    if struck:
        child.send(signal.Signals[cut.signal])
    while cut.signal != KILL and child.running:
        time.sleep(0.02)
    code = child.wait()
    world.sandbox.nodes[cut.point.node].faults.clear(held.id)
    said = [f"$ release: exit code {code}", child.said]
    step = "release"
    if cut.signal == KILL and struck:
        if cut.record != KEPT:
            world.record.unlink()
        if cut.record == ARCHIVED:
            world.record.write_bytes(archived)
        step = "release" if cut.then == RERUN else "recover"
        again = world.command(step)
        code = again.wait()
        said += [f"$ {step}: exit code {code}", again.said]
    world.quiet()
    return struck, _wrong(world, cut, step, code, "\n".join(said)), "\n".join(said)


def _wrong(world: Waves, cut: WavesCut, step: str, code: int, said: str) -> list[str]:
    """What is not as it must be: the same bundle everywhere, verified, as the exit code says, and nothing pending."""
    now = world.live()
    new, old = (dict.fromkeys(PLACES, (bundle, "HEALTHY", bundle, True)) for bundle in (NEW, OLD))
    wanted = {0: [new], 1: [old], 4: [old], 143: [old]}.get(code, [])
    if step == "recover" and code == 0:
        wanted = [new, old]
    wrong = [] if now in wanted else [f"exit code {code}, and {now}"]
    if cut.failing and now == new:
        # A fault that was over when the release was killed is not there for the next one.
        wrong += [] if step == "release" and cut.signal == KILL else ["the bundle whose smoke test failed is live"]
    record = json.loads(world.record.read_text()) if world.record.exists() else {}
    if record and pending(record, STAGE):
        wrong.append("a restore is pending")
    if "internal error" in said or "Traceback" in said:
        wrong.append("an internal error")
    return wrong


def main() -> None:
    """Writes the requests of a clean release."""
    logging.disable(logging.CRITICAL)
    with tempfile.TemporaryDirectory() as folder, use(QUICK):
        world = Waves(Path(folder))
        try:
            world.reset()
            child = world.command("release")
            if code := child.wait():
                raise SystemExit(f"exit code {code}\n{child.said}")
            found = world.requests()
            FILE.write_text("".join(f"{node:9} {by:8} {operation}\n" for node, by, operation in found))
            sys.stderr.write(f"{len(found)} requests\n")
        finally:
            world.close()


if __name__ == "__main__":
    main()
