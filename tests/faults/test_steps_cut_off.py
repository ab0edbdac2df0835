"""Kill and rerun, abort: the steps beside `release` are cut off at each of their requests; the same command again
finishes the job, and nothing is made twice.
"""

from __future__ import annotations

import itertools
import logging
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any
from xml.etree import ElementTree

import pytest

from mlops_steps.delivery.record import ReleaseRecord
from mlops_steps.sandbox.faults.board import LoggedRequest
from mlops_steps.sandbox.faults.model import Fault
from mlops_steps.sandbox.services.bundles import export
from mlops_steps.sandbox.services.deployer.published import PublishedProjects
from mlops_steps.sandbox.services.projects.model import active_bundle_id
from tests.counts import tell
from tests.faults.child import Child
from tests.faults.cut import ARCHIVED, HUP, INT, KEPT, KILL, LOST, TERM
from tests.faults.matrix import Point, points
from tests.faults.sides import played
from tests.faults.test_cut_off import moments
from tests.faults.world import KEY, NEW, OLD, SMOKE, STAGE, World, until

NODE, DEPLOYMENT = "auto-test", f"{KEY}-on-auto-test"
SCENARIOS = (SMOKE, "TEST_ONE")
WORLDS = 5
_numbers = itertools.count(1)


@dataclass(frozen=True)
class Scene:
    """A step, how the world is made ready for it, and what must be true when it has been done in the end.

    ``after`` gets the world and the arguments, and returns what is wrong. ``records``: what may become of the record.
    """

    step: str
    before: Callable[[World], list[str]]
    after: Callable[[World, list[str], int], list[str]]
    records: tuple[str, ...]
    report: str


def _ready_to_package(world: World) -> list[str]:
    world.settings.record.unlink(missing_ok=True)
    return ["package", "--bundle-id", f"k{next(_numbers)}"]


def _packaged(world: World, arguments: list[str], _since: int) -> list[str]:
    bundle = arguments[-1]
    project = world.design.get_project(KEY)
    made = [item["bundleId"] for item in project.list_exported_bundles()["bundles"]].count(bundle)
    published = [item["id"] for item in world.deployer.get_project(KEY).get_status().get_bundles()].count(bundle)
    record = ReleaseRecord.load(world.settings.record)
    wrong = [] if (made, published) == (1, 1) else [f"exported {made} times, published {published} times"]
    done = Counter(
        request.operation for request in requests(world) if request.method == "POST" and request.status == 200
    )
    wrong += [f"{what} was done {number} times" for what, number in done.items() if number > 1]
    return wrong + ([] if record and record.bundle and record.bundle.id == bundle else ["the record is of another one"])


def _ready_to_deploy(world: World) -> list[str]:
    found = [item.deployment_id for item in world.deployer.list_deployments(as_objects=True)]
    if DEPLOYMENT in found:
        deployment = world.deployer.get_deployment(DEPLOYMENT)
        until(lambda: all(update.get_raw()["status"] != "RUNNING" for update in deployment.list_updates()))
        settings = deployment.get_settings()
        settings.get_raw()["enabled"] = False
        settings.save()
        deployment.start_update().wait_for_result()  # only one that is disabled on the node may be deleted
        deployment.delete()
    return ["deploy", "--stage", "test"]


def _deployed(world: World, _arguments: list[str], _since: int) -> list[str]:
    deployment = world.deployer.get_deployment(DEPLOYMENT)
    updates = [update.get_raw()["status"] for update in deployment.list_updates()]
    health = deployment.get_status().get_health()
    active = active_bundle_id(world.sandbox.nodes[NODE], KEY)
    wrong = [] if (active, health) == (NEW, "HEALTHY") else [f"{active} is live, {health}"]
    return wrong + ([] if len(updates) == 1 else [f"updates: {updates}"])


def _ready_to_test(world: World) -> list[str]:
    if active_bundle_id(world.sandbox.nodes[NODE], KEY) != NEW:
        _ready_to_deploy(world)
        world.deployer.create_deployment(DEPLOYMENT, KEY, NODE, NEW).start_update().wait_for_result()
    for name in SCENARIOS:
        scenario = world.client(NODE).get_project(KEY).get_scenario(name)
        scenario.abort()
        until(lambda scenario=scenario: scenario.get_current_run() is None)
    return ["test", "--stage", "test"]


def _tested(world: World, _arguments: list[str], since: int) -> list[str]:
    wrong = []
    for name in SCENARIOS:
        runs = world.client(NODE).get_project(KEY).get_scenario(name).get_last_runs(limit=50)
        ended = [(run.run.get("result") or {}).get("outcome") for run in runs if run.run["start"] > since]
        wrong += [] if ended == ["SUCCESS"] else [f"{name}: {ended}"]
    record = ReleaseRecord.load(world.settings.record)
    test = record.stages["test"].test if record else None
    return wrong + ([] if test and (test.result, test.bundle) == ("passed", NEW) else [f"the record says {test}"])


def _ready_to_recover(world: World) -> list[str]:
    world.reset()
    world.cut_off()
    return ["recover", "--stage", STAGE]


def _ready_to_roll_back(world: World) -> list[str]:
    world.reset()
    return ["rollback", "--stage", STAGE, "--to", NEW]


def _live(bundle: str) -> Callable[[World, list[str], int], list[str]]:
    def check(world: World, _arguments: list[str], since: int) -> list[str]:
        now = (world.active, world.health, world.deployed["bundleId"], world.deployed["enabled"])
        wrong = [] if now == (bundle, "HEALTHY", bundle, True) else [f"{now}"]
        updates, runs = [update["bundleId"] for update in world.updates(since)], world.smoke_runs(since)
        wrong += [] if len(updates) <= 1 and len(runs) <= 1 else [f"updates: {updates}, smoke tests: {len(runs)}"]
        record = ReleaseRecord.load(world.settings.record)
        owed = record.stages[STAGE].owed if record and STAGE in record.stages else "nothing"
        return wrong + ([] if owed == "nothing" else [f"the record owes {owed}"])

    return check


SCENES = [
    Scene("package", _ready_to_package, _packaged, (KEPT, LOST), "package"),
    # Without a record `deploy` does not know what to deploy: that one is said, and tested elsewhere.
    Scene("deploy", _ready_to_deploy, _deployed, (KEPT, ARCHIVED), "deploy-test"),
    Scene("test", _ready_to_test, _tested, (KEPT, ARCHIVED, LOST), "test-test"),
    Scene("recover", _ready_to_recover, _live(OLD), (KEPT, ARCHIVED), f"recover-{STAGE}"),
    Scene("rollback", _ready_to_roll_back, _live(NEW), (KEPT, LOST), f"rollback-{STAGE}"),
]


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


def requests(world: World) -> list[LoggedRequest]:
    found = (entry for node in world.sandbox.nodes.values() for entry in node.faults.requests())
    return sorted(found, key=lambda entry: entry.time)


def begin(world: World, scene: Scene) -> tuple[list[str], bytes, int]:
    """Makes the world ready; returns the arguments, the archived record, and the moment."""
    world.clear()
    world.packaged.save(world.settings.record)
    arguments = scene.before(world)
    for node in world.sandbox.nodes.values():
        node.faults.clear_requests()
    archived = world.settings.record.read_bytes() if world.settings.record.exists() else b""
    return arguments, archived, int(time.time() * 1000) - 1


def start(world: World, arguments: list[str], build: dict[str, str], config: str = "steady.yml") -> Child:
    return Child([*arguments, "--config", config], world.workspace, {**world.environment, **build})


def new_build() -> dict[str, str]:
    """Without a record, `test` finds the runs of its own build again."""
    return {"JOB_NAME": 'churn "main"', "BUILD_NUMBER": str(next(_numbers))}


def requests_of(world: World, scene: Scene) -> list[Point]:
    arguments, _, since = begin(world, scene)
    child = start(world, arguments, new_build(), "patient.yml")
    assert child.wait() == 0, child.said
    assert scene.after(world, arguments, since) == []
    return [point for point in points(requests(world)) if point.by == "clients"]


@dataclass(frozen=True)
class Cut:
    """The request that is held, the signal that is sent then, and what becomes of the record in between."""

    point: Point
    act: str
    signal: str
    record: str


def play(world: World, scene: Scene, cut: Cut) -> list[str]:
    """Cuts the step off, runs it again; returns what is wrong in the end."""
    point, act, number, record = cut.point, cut.act, cut.signal, cut.record
    arguments, archived, since = begin(world, scene)
    fault = Fault(kind="never", operation=point.operation, by="clients", after=point.nth, count=1, act=act)
    held = world.sandbox.nodes[point.node].faults.add(fault)
    build = new_build()
    child = start(world, arguments, build)
    until(lambda: held.fired > 0 or not child.running, 30)
    struck = child.running
    child.send(signal.Signals[number])
    code = child.wait()
    said = child.said
    world.sandbox.nodes[point.node].faults.clear()
    if not struck:
        return []  # requests side by side do not always come in the same number
    wrong = []
    if number != KILL:
        # What is not to be cut off, and what was done already, goes on to its end.
        through = code == 0 and any(text in said for text in ("deployed: ", "recovered: ", "rolled back: "))
        if code != 128 + signal.Signals[number] and not through:
            wrong.append(f"exit code {code}")
        wrong += report_of(world, scene)
        tags = world.deployer.get_project(KEY).get_settings().get_raw().get("tags") or []
        # Else an agent elsewhere would wait for a process that is gone.
        wrong += [f"the note is left behind: {tag}" for tag in tags if tag.startswith("mlops-steps|")]
        # What a person has stopped was stopped on the node too: it is done anew.
        since = int(time.time() * 1000) - 1
    if record != KEPT:
        world.settings.record.unlink(missing_ok=True)
    if record == ARCHIVED and archived:
        world.settings.record.write_bytes(archived)
    again = start(world, arguments, build, "patient.yml")
    second = again.wait()
    said += again.said
    if second != 0:
        wrong.append(f"again: exit code {second}")
    wrong += report_of(world, scene) + scene.after(world, arguments, since)
    if "internal error" in said or "Traceback" in said:
        wrong.append("an internal error")
    case = f"{number} {act} {point}, record {record}"
    return [f"{case}: exit code {code}: {wrong}\n{said}"] if wrong else []


def report_of(world: World, scene: Scene) -> list[str]:
    try:
        ElementTree.parse(world.workspace / "reports" / f"mlops-{scene.report}.xml")
    except (OSError, ElementTree.ParseError) as error:
        return [f"the report: {error}"]
    return []


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("scene", SCENES, ids=lambda scene: scene.step)
def test_a_step_that_is_cut_off_anywhere_is_finished_by_the_same_command(worlds: list[World], scene: Scene) -> None:
    found = requests_of(worlds[0], scene)
    records, signals = itertools.cycle(scene.records), itertools.cycle((TERM, INT, HUP))
    cuts = [Cut(*moment, KILL, next(records)) for moment in moments(found)]
    cuts += [Cut(*moment, next(signals), KEPT) for moment in moments(found)]
    ended = played(worlds, cuts, lambda world, cut: play(world, scene, cut), lambda cut, error: [f"{cut}: {error!r}"])
    for number, amount in sorted(Counter(cut.signal for cut in cuts).items()):
        tell(f"{scene.step} cut off at {len(found)} requests and run again: {number}: {amount}")
    wrong = [text for texts in ended for text in texts]
    assert not wrong, f"{len(wrong)} of {len(ended)}\n\n" + "\n\n".join(wrong)


@pytest.mark.parametrize(("owner", "name"), [(export, "_write"), (PublishedProjects, "publish")])
def test_what_the_node_goes_on_with_after_the_kill_is_not_made_again(
    worlds: list[World], monkeypatch: pytest.MonkeyPatch, owner: Any, name: str
) -> None:
    world, scene = worlds[0], SCENES[0]
    arguments, _, since = begin(world, scene)
    original, began = getattr(owner, name), threading.Event()

    def slow(*given: Any, **more: Any) -> Any:
        began.set()
        time.sleep(1.5)
        return original(*given, **more)

    monkeypatch.setattr(owner, name, slow)
    build = new_build()
    child = start(world, arguments, build)
    assert began.wait(30)
    child.send(signal.SIGKILL)
    assert child.wait() == -signal.SIGKILL
    again = start(world, arguments, build, "patient.yml")
    assert again.wait() == 0, again.said
    assert "looking whether the bundle was" in again.said
    until(lambda: not scene.after(world, arguments, since))
