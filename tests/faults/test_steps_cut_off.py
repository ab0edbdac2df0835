"""Kill and rerun, abort: the steps beside `release` are cut off at each of their requests; the same command again
finishes the job, and nothing is made twice.
"""

from __future__ import annotations

import itertools
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any
from xml.etree import ElementTree

import pytest

from mlops_steps.delivery.record import ReleaseRecord
from mlops_steps.sandbox.faults.board import LoggedRequest
from mlops_steps.sandbox.faults.model import Fault
from mlops_steps.sandbox.services.bundles import export
from mlops_steps.sandbox.services.deployer.published import PublishedProjects
from mlops_steps.sandbox.services.projects.model import active_bundle_id
from tests.faults import service
from tests.faults.choice import chosen
from tests.faults.cut import ARCHIVED, HUP, INT, KEPT, KILL, LOST, RERUN, TERM, Cut, moments
from tests.faults.recorded import FIRST_DEPLOY, PACKAGE, own
from tests.faults.scenes import new_on_test
from tests.faults.world import KEY, NEW, OLD, SMOKE, STAGE, World, until
from tests.support.commands import Child
from tests.support.counts import tally

NODE, DEPLOYMENT = "auto-test", f"{KEY}-on-auto-test"
SCENARIOS = (SMOKE, "TEST_ONE")
_numbers = itertools.count(1)


@dataclass(frozen=True)
class Scene:
    """A step, how the world is made ready for it, and what must be true when it has been done in the end.

    ``recorded`` names its requests. ``after`` gets the world, the arguments and the moment of the start, and returns
    what is wrong. ``records``: what may become of the record. ``config`` and ``again`` are the files of the
    first run and of the one that follows, which is of the step ``then``, or of the same.
    """

    step: str
    arguments: list[str]
    recorded: str
    before: Callable[[World], object]
    after: Callable[[World, list[str], int], list[str]]
    records: tuple[str, ...]
    report: str
    config: str = "steady.yml"
    again: str = "patient.yml"
    then: str | None = None

    @property
    def name(self) -> str:
        name = "canary" if self.recorded == "canary" else self.step
        return f"{name}, then {self.then}" if self.then else name


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


def _deployed(world: World, _arguments: list[str], _since: int) -> list[str]:
    deployment = world.deployer.get_deployment(DEPLOYMENT)
    updates = [update.get_raw()["status"] for update in deployment.list_updates()]
    health = deployment.get_status().get_health()
    active = active_bundle_id(world.sandbox.nodes[NODE], KEY)
    wrong = [] if (active, health) == (NEW, "HEALTHY") else [f"{active} is live, {health}"]
    return wrong + ([] if len(updates) == 1 else [f"updates: {updates}"])


def _tested(world: World, _arguments: list[str], since: int) -> list[str]:
    wrong = []
    for name in SCENARIOS:
        runs = world.client(NODE).get_project(KEY).get_scenario(name).get_last_runs(limit=50)
        ended = [(run.run.get("result") or {}).get("outcome") for run in runs if run.run["start"] > since]
        wrong += [] if ended == ["SUCCESS"] else [f"{name}: {ended}"]
    record = ReleaseRecord.load(world.settings.record)
    test = record.stages["test"].test if record else None
    return wrong + ([] if test and (test.result, test.bundle) == ("passed", NEW) else [f"the record says {test}"])


def _live(bundle: str) -> Callable[[World, list[str], int], list[str]]:
    def check(world: World, _arguments: list[str], since: int) -> list[str]:
        now = (world.active, world.health, world.deployed["bundleId"], world.deployed["enabled"])
        wrong = [] if now == (bundle, "HEALTHY", bundle, True) else [f"{now}"]
        updates, runs = [update["bundleId"] for update in world.updates(since)], world.smoke_runs(since)
        wrong += [] if len(updates) <= 1 and len(runs) <= 1 else [f"updates: {updates}, smoke tests: {len(runs)}"]
        record = ReleaseRecord.load(world.settings.record)
        pending = record is not None and STAGE in record.stages and record.stages[STAGE].pending
        return wrong + (["a restore is pending"] if pending else [])

    return check


def _live_either(world: World, arguments: list[str], since: int) -> list[str]:
    """Taken back, or not yet: nothing is pending, and what is live is verified."""
    wrong = [_live(bundle)(world, arguments, since) for bundle in (OLD, NEW)]
    return [] if [] in wrong else wrong[0]


def _service_live(
    *versions: str, updates_at_most: int = 1, notes: bool = True
) -> Callable[[World, list[str], int], list[str]]:
    """``notes``: that none is left. `api-recover` leaves that of a dead process when it finds nothing to do."""

    def check(world: World, _arguments: list[str], since: int) -> list[str]:
        now = service.state(world)
        wrong = [] if now in [service.live(version) for version in versions] else [f"{now}"]
        deployment = world.design.get_apideployer().get_deployment(service.DEPLOYMENT)
        updates = [item for item in deployment.list_updates() if item.get_raw()["startTimestamp"] > since]
        wrong += [] if len(updates) <= updates_at_most else [f"{len(updates)} updates"]
        record = ReleaseRecord.load(world.settings.record)
        part = record.api_stages.get(STAGE) if record else None
        wrong += ["a restore is pending"] if part and part.pending else []
        tags = world.design.get_apideployer().get_service(service.SERVICE).get_settings().get_raw().get("tags") or []
        left = [tag for tag in tags if tag.startswith("mlops-steps|")] if notes else []
        return wrong + [f"the note is left behind: {tag}" for tag in left]

    return check


def _service_made(world: World, _arguments: list[str], _since: int) -> list[str]:
    found = service.published(world, service.MADE)
    record = ReleaseRecord.load(world.settings.record)
    wrong = [] if found == (1, 1) else [f"packages, published: {found}"]
    named = record and record.package and record.package.version
    return wrong + ([] if named == service.MADE else [f"the record is of {named}"])


def _service_deployed(world: World, _arguments: list[str], since: int) -> list[str]:
    found = service.state(world, service.DEV)
    wrong = [] if found == service.live(NEW) else [f"{found}"]
    deployment = world.design.get_apideployer().get_deployment(f"{service.SERVICE}-on-{service.DEV}")
    updates = [item for item in deployment.list_updates() if item.get_raw()["startTimestamp"] > since]
    return wrong + ([] if len(updates) <= 1 else [f"{len(updates)} updates"])


def _service_tested(world: World, _arguments: list[str], _since: int) -> list[str]:
    record = ReleaseRecord.load(world.settings.record)
    test = record.api_stages["dev"].test if record else None
    return [] if test and (test.result, test.bundle) == ("passed", NEW) else [f"the record says {test}"]


def _without_a_record(world: World) -> None:
    world.settings.record.unlink()


def _nothing(world: World) -> None:
    del world


#: A canary that is killed has shared the calls; it begins again, or what was live gets them all back.
_CANARY: dict[str, Any] = {
    "step": "api-release",
    "arguments": ["--stage", STAGE],
    "recorded": "canary",
    "before": service.made,
    "records": (KEPT, ARCHIVED),
    "config": "steady-canary.yml",
}

SCENES = {
    scene.name: scene
    for scene in (
        Scene("package", ["--bundle-id", "k1"], PACKAGE, _without_a_record, _packaged, (KEPT, LOST), "package"),
        # Without a record `deploy` does not know what to deploy: that one is said, and tested elsewhere.
        Scene("deploy", ["--stage", "test"], FIRST_DEPLOY, _nothing, _deployed, (KEPT, ARCHIVED), "deploy-test"),
        Scene("test", ["--stage", "test"], "test", new_on_test, _tested, (KEPT, ARCHIVED, LOST), "test-test"),
        Scene(
            "recover",
            ["--stage", STAGE],
            "recover",
            World.cut_off,
            _live(OLD),
            (KEPT, ARCHIVED),
            f"recover-{STAGE}",
        ),
        Scene(
            "rollback",
            ["--stage", STAGE, "--to", NEW],
            "rollback",
            _nothing,
            _live(NEW),
            (KEPT, LOST),
            f"rollback-{STAGE}",
        ),
        Scene(
            "monitor",
            ["--stage", STAGE],
            "monitor",
            World.on_probation,
            _live_either,
            (KEPT, LOST),
            f"recover-{STAGE}",
            "steady-monitor.yml",
            then="recover",
        ),
        Scene(
            "api-package",
            ["--version", service.MADE],
            "api-package",
            service.made,
            _service_made,
            (KEPT, LOST),
            "api-package",
        ),
        Scene(
            "api-deploy",
            ["--stage", "dev"],
            "api-deploy",
            service.old_on_dev,
            _service_deployed,
            (KEPT, ARCHIVED),
            "api-deploy-dev",
        ),
        Scene(
            "api-test",
            ["--stage", "dev"],
            "api-test",
            service.new_on_dev,
            _service_tested,
            (KEPT, ARCHIVED),
            "api-test-dev",
        ),
        Scene(
            "api-release",
            ["--stage", STAGE],
            "api-release",
            service.made,
            _service_live(NEW),
            (KEPT, ARCHIVED),
            f"api-release-{STAGE}",
        ),
        Scene(
            "api-release",
            ["--stage", STAGE],
            "api-release",
            service.made,
            _service_live(OLD, NEW, updates_at_most=2, notes=False),
            (KEPT, ARCHIVED),
            f"api-recover-{STAGE}",
            then="api-recover",
        ),
        Scene(
            "api-recover",
            ["--stage", STAGE],
            "api-recover",
            service.cut_off,
            _service_live(OLD),
            (KEPT, ARCHIVED),
            f"api-recover-{STAGE}",
        ),
        Scene(
            "api-rollback",
            ["--stage", STAGE, "--to", NEW],
            "api-rollback",
            service.made,
            _service_live(NEW),
            (KEPT, LOST),
            f"api-rollback-{STAGE}",
        ),
        Scene(
            **_CANARY,
            after=_service_live(NEW, updates_at_most=4),
            report=f"api-release-{STAGE}",
            again="patient-canary.yml",
        ),
        Scene(
            **_CANARY,
            after=_service_live(OLD, NEW, updates_at_most=3, notes=False),
            report=f"api-recover-{STAGE}",
            then="api-recover",
        ),
    )
}


def requests(world: World) -> list[LoggedRequest]:
    found = (entry for node in world.sandbox.nodes.values() for entry in node.faults.requests())
    return sorted(found, key=lambda entry: entry.time)


def begin(world: World, scene: Scene) -> tuple[list[str], bytes, int]:
    """Makes the world ready; returns the arguments, the archived record, and the moment."""
    world.reset(f"{scene.recorded} cut off", scene.before)
    archived = world.settings.record.read_bytes() if world.settings.record.exists() else b""
    return [scene.step, *scene.arguments], archived, int(time.time() * 1000) - 1


def start(world: World, arguments: list[str], build: dict[str, str], config: str = "steady.yml") -> Child:
    return Child([*arguments, "--config", config], world.workspace, {**world.environment, **build})


def new_build() -> dict[str, str]:
    """Without a record, `test` finds the runs of its own build again."""
    return {"JOB_NAME": 'churn "main"', "BUILD_NUMBER": str(next(_numbers))}


def play(world: World, scene: Scene, cut: Cut) -> tuple[str, list[str]]:
    """Cuts the step off, runs it again; returns what was said, and what is wrong in the end."""
    point, act, number, record = cut.point, cut.act, cut.signal, cut.record
    arguments, archived, since = begin(world, scene)
    fault = Fault(kind="never", operation=point.operation, by="clients", after=point.nth, count=1, act=act)
    held = world.sandbox.nodes[point.node].faults.add(fault)
    build = new_build()
    child = start(world, arguments, build, scene.config)
    until(lambda: held.fired > 0 or not child.running)
    struck = child.running
    child.send(signal.Signals[number])
    code = child.wait()
    said = child.said
    world.sandbox.nodes[point.node].faults.clear()
    if not struck:
        return said, []  # requests side by side do not always come in the same number
    wrong = []
    if number != KILL:
        # What is not to be cut off, and what was done already, goes on to its end.
        through = code in ((1, 4) if scene.step == "monitor" else (0,)) and any(
            text in said for text in ("deployed: ", "released: ", "recovered: ", "rolled back: ")
        )
        if code != 128 + signal.Signals[number] and not through:
            wrong.append(f"exit code {code}")
        wrong += report_of(world, replace(scene, report=f"{scene.step}-{STAGE}") if scene.then else scene)
        tags = world.deployer.get_project(KEY).get_settings().get_raw().get("tags") or []
        # Else an agent elsewhere would wait for a process that is gone.
        wrong += [f"the note is left behind: {tag}" for tag in tags if tag.startswith("mlops-steps|")]
        # What a person has stopped was stopped on the node too: it is done anew.
        since = int(time.time() * 1000) - 1
    if record != KEPT:
        world.settings.record.unlink(missing_ok=True)
    if record == ARCHIVED and archived:
        world.settings.record.write_bytes(archived)
    follows = [scene.then, *scene.arguments] if scene.then else arguments
    again = start(world, follows, build, scene.again)
    second = again.wait()
    said += again.said
    if second != 0:
        wrong.append(f"again: exit code {second}")
    wrong += report_of(world, scene) + scene.after(world, arguments, since)
    if "internal error" in said or "Traceback" in said:
        wrong.append("an internal error")
    return f"exit codes {code}, {second}\n{said}", wrong


def report_of(world: World, scene: Scene) -> list[str]:
    try:
        ElementTree.parse(world.workspace / "reports" / f"mlops-{scene.report}.xml")
    except (OSError, ElementTree.ParseError) as error:
        return [f"the report: {error}"]
    return []


def cuts(scene: Scene) -> list[Cut]:
    """Each moment, each signal, and after a kill whatever may become of the record."""
    found = moments(own(scene.recorded))
    kills = [Cut(*moment, KILL, RERUN, record) for moment in found for record in scene.records]
    return kills + [Cut(*moment, name, RERUN) for moment in found for name in (TERM, INT, HUP)]


def cases() -> list[object]:
    return [
        pytest.param(scene, cut, id=f"{name}: {cut}")
        for name, scene in SCENES.items()
        for cut in chosen(f"{name} cut off", cuts(scene))
    ]


@pytest.mark.parametrize(("scene", "cut"), cases())
def test_a_step_that_is_cut_off_anywhere_is_finished_by_the_same_command(
    one_world: World, scene: Scene, cut: Cut
) -> None:
    said, wrong = play(one_world, scene, cut)
    tally(f"{scene.name} cut off", cut.signal)
    assert not wrong, said


@pytest.mark.parametrize(("owner", "name"), [(export, "write_archive"), (PublishedProjects, "publish")])
def test_what_the_node_goes_on_with_after_the_kill_is_not_made_again(
    one_world: World, monkeypatch: pytest.MonkeyPatch, owner: Any, name: str
) -> None:
    world, scene = one_world, SCENES["package"]
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
