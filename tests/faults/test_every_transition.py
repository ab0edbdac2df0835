"""A step is killed between each two transitions, before and after the record is written; then what follows is run.

The stories walk through every transition. Each kill is followed by the same step, or by `recover`, with the record as
it was left, as it was archived before the step, or lost.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch

import pytest
from requests import Response

from mlops_steps.delivery import phases
from mlops_steps.delivery.phases import Transition
from mlops_steps.delivery.record import ReleaseRecord
from mlops_steps.delivery.unit import Outcome, Unit
from mlops_steps.dss.http import NodeSession
from mlops_steps.sandbox.services.projects.model import active_bundle_id
from mlops_steps.steps import deploy, recover, release, rollback
from mlops_steps.steps.context import Context
from tests.faults.choice import chosen, parametrized
from tests.faults.cut import ARCHIVED, KEPT, LOST, RECOVER, RERUN, counts
from tests.faults.scenes import TEST_DEPLOYMENT, TEST_NODE, old_on_test
from tests.faults.test_somebody_else import OTHER, deploy_other, publish_other
from tests.faults.world import INFRA, KEY, NEW, OLD, SMOKE, STAGE, Attempt, World
from tests.records import pending
from tests.support.counts import tally

BEFORE, AFTER = "before", "after"


class Killed(BaseException):
    """Stands for SIGKILL: no request is sent and nothing is written any more."""


@dataclass
class Walk:
    """The transitions whose record was written, in their order."""

    written: list[str]
    dead: bool = False


@contextmanager
def walking(at: int | None = None, moment: str = "") -> Iterator[Walk]:
    """Notes the transitions; kills the step before or after the record of the one at this place is written."""
    walk = Walk([])
    went: list[str] = []
    go, save, request = Unit.go, ReleaseRecord.save, NodeSession.request

    def noting_go(unit: Unit, transition: Transition, **fields: object) -> None:
        went.append(transition.name)
        go(unit, transition, **fields)

    def mortal_save(record: ReleaseRecord, path: Path) -> None:
        place = len(walk.written)
        walk.dead = walk.dead or (place, BEFORE) == (at, moment)
        if walk.dead:
            raise Killed
        save(record, path)
        walk.written.append(went[-1])
        if (place, AFTER) == (at, moment):
            walk.dead = True
            raise Killed

    def mortal_request(session: NodeSession, method: str, url: str, **options: object) -> Response:
        if walk.dead:
            raise Killed
        return request(session, method, url, **options)  # type: ignore[arg-type]

    with (
        patch.object(Unit, "go", noting_go),
        patch.object(ReleaseRecord, "save", mortal_save),
        patch.object(NodeSession, "request", mortal_request),
    ):
        yield walk


@dataclass(frozen=True)
class Story:
    """A step that makes these transitions, one after the other, and ends with this exit code.

    ``begin`` makes its world, ``faults`` what goes wrong in it. ``may_be_live``: what may be live at the end, whatever
    follows a kill; ``with_record``: the same where the record is not lost.
    """

    name: str
    step: Callable[[Context], object]
    transitions: tuple[Transition, ...]
    code: int
    begin: Callable[[World], object] = lambda _world: None
    faults: Callable[[World], object] = lambda _world: None
    may_be_live: tuple[str, ...] = (OLD, NEW)
    with_record: tuple[str, ...] | None = None
    stage: str = STAGE


def _smoke_fails(world: World) -> None:
    world.sandbox.nodes[INFRA].faults.add("scenario-ends", outcome="FAILED", target=SMOKE)


def _every_smoke_test_fails(world: World) -> None:
    world.sandbox.nodes[INFRA].faults.add("scenario-ends", outcome="FAILED", target=SMOKE, count="for ever")


def _settings_are_refused(world: World) -> None:
    world.sandbox.design.faults.add("error", status=403, operation="PUT /project-deployer/deployments/*/settings")


def _update_fails(world: World) -> None:
    world.sandbox.nodes[TEST_NODE].faults.add("update-fails", act="before")


def _deploy_to_test(context: Context) -> None:
    deploy.run(context, "test")


def _killed(world: World) -> None:
    """A release was killed: the new bundle is live, its smoke test has not run, and a restore is pending."""
    world.cut_off()
    record = ReleaseRecord.load(world.settings.record)
    assert record
    record.stage("test").test = Outcome(bundle=NEW).end("passed")
    record.save(world.settings.record)


def _killed_and_record_lost(world: World) -> None:
    archived = world.settings.record.read_bytes()
    world.cut_off()
    world.settings.record.write_bytes(archived)


def _killed_and_replaced(world: World) -> None:
    """After a release that was killed, somebody else has deployed another bundle."""
    publish_other(world)
    _killed(world)
    deploy_other(world)


def _release(context: Context) -> None:
    release.run(context, STAGE)


def _recover(context: Context) -> None:
    recover.run(context, STAGE)


BEGIN = (phases.NOTE, phases.DEPLOY)
RESTORE = (phases.GIVE_UP, phases.CLOSE)
STORIES = {
    story.name: story
    for story in (
        Story("release", _release, (*BEGIN, phases.VERIFY, phases.ACCEPT), 0),
        Story("release that fails", _release, (*BEGIN, phases.VERIFY, *RESTORE), 4, faults=_smoke_fails),
        Story(
            "release in doubt",
            _release,
            (*BEGIN, phases.VERIFY, phases.GIVE_UP, phases.DOUBT),
            5,
            faults=_every_smoke_test_fails,
        ),
        Story(
            "release that changes nothing",
            _release,
            (*BEGIN, phases.GIVE_UP, phases.UNTOUCHED),
            3,
            faults=_settings_are_refused,
        ),
        Story("release again", _release, (phases.RESUME, phases.VERIFY, phases.ACCEPT), 0, begin=_killed),
        Story(
            "release after somebody else",
            _release,
            (phases.FORGET, *BEGIN, phases.VERIFY, phases.ACCEPT),
            0,
            begin=_killed_and_replaced,
            may_be_live=(OTHER, NEW),
        ),
        Story("rollback", lambda context: rollback.run(context, STAGE, to=NEW), (phases.GO_BACK, phases.CLOSE), 0),
        Story("recover", _recover, RESTORE, 0, begin=_killed, with_record=(OLD,)),
        Story(
            "recover without a record",
            _recover,
            (phases.GO_BACK, phases.CLOSE),
            0,
            begin=_killed_and_record_lost,
            faults=_smoke_fails,
        ),
        Story("deploy", _deploy_to_test, (*BEGIN, phases.ACCEPT), 0, begin=old_on_test, stage="test"),
        Story(
            "deploy that fails",
            _deploy_to_test,
            (*BEGIN, phases.FAIL),
            1,
            begin=old_on_test,
            faults=_update_fails,
            stage="test",
        ),
    )
}


@dataclass(frozen=True)
class Kill:
    """A kill before or after the record of the transition at this place is written, and what follows."""

    story: str
    at: int
    transition: str
    moment: str
    then: str
    record: str

    def shows(self) -> set[Hashable]:
        """What the core of a sample shows: each transition, before and after; and what may follow."""
        return {(self.transition, self.moment), (self.then, self.record)}

    def __str__(self) -> str:
        return f"{self.story}, {self.moment} {self.transition} ({self.at + 1}); then {self.then}, record {self.record}"


def kills() -> Iterator[Kill]:
    for story in STORIES.values():
        follows = [(RERUN, KEPT), (RERUN, ARCHIVED)] if story.step is not _recover else [(RECOVER, ARCHIVED)]
        if story.stage == STAGE:
            follows += [(RECOVER, KEPT), (RECOVER, LOST)]
        for at, transition in enumerate(story.transitions):
            for moment in (BEFORE, AFTER):
                yield from (Kill(story.name, at, transition.name, moment, *follow) for follow in follows)


def made_ready(world: World, story: Story) -> None:
    world.reset(f"transitions: {story.name}", story.begin)
    story.faults(world)


@pytest.mark.parametrize("name", STORIES)
def test_a_story_makes_its_transitions(world: World, name: str) -> None:
    story = STORIES[name]
    made_ready(world, story)
    with walking() as walk:
        attempt = world.run(story.step, name, world.patient)
    assert (attempt.code, walk.written) == (story.code, [one.name for one in story.transitions]), attempt.said


def test_the_stories_make_every_transition() -> None:
    # Nothing shifts traffic yet.
    made = {transition for story in STORIES.values() for transition in story.transitions}
    assert made == set(phases.TRANSITIONS) - {phases.SHIFT}


@parametrized("kill", chosen("transitions", kills(), Kill.shows))
def test_a_kill_between_two_transitions_is_made_good(world: World, kill: Kill) -> None:
    story = STORIES[kill.story]
    made_ready(world, story)
    archived, before = world.settings.record.read_bytes(), found(world)
    since = int(time.time() * 1000) - 1
    with walking(kill.at, kill.moment) as walk, pytest.raises(Killed):
        world.run(story.step, story.name, world.patient)
    assert walk.written == [one.name for one in story.transitions[: kill.at + (kill.moment == AFTER)]]
    wrong = record_is_true(world, before)
    # A restore that was verified before the kill is over, unless the record does not say so yet: a release after it is
    # a new one.
    over = passed_again(world, since) and (kill.record != KEPT or not recorded_pending(world))
    world.clear()
    if kill.record == LOST:
        world.settings.record.unlink()
    if kill.record == ARCHIVED:
        world.settings.record.write_bytes(archived)
    attempt = world.run(story.step if kill.then == RERUN else _recover, "follows", world.patient)
    tally("transitions", f"exit {attempt.code}")
    world.settle()
    wrong += ends(world, story, kill, attempt, since, over=over)
    assert not wrong, f"exit code {attempt.code}\n{attempt.said}"


def found(world: World) -> tuple[str | None, str, bool]:
    """What is live in production, and what the settings say."""
    return world.active, world.deployed["bundleId"], world.deployed["enabled"]


def record_is_true(world: World, before: tuple[str | None, str, bool]) -> list[str]:
    """Where nothing is pending by the record, production is what it was, or what the phase says."""
    record = ReleaseRecord.load(world.settings.record)
    unit = record.stages[STAGE].units.get(INFRA) if record and STAGE in record.stages else None
    now = found(world)
    if unit and unit.pending:
        return []
    said = {"live": unit.version, "restored": unit.previous and unit.previous.version} if unit else {}
    live = said.get(unit.phase) if unit else None
    wanted = (live, live, True) if live else before
    return [] if now == wanted else [f"by the record nothing is pending and {wanted} is live, but {now} is"]


def recorded_pending(world: World) -> bool:
    record = ReleaseRecord.load(world.settings.record)
    return bool(record and record.stage(STAGE).pending)


def passed_again(world: World, since: int) -> bool:
    runs = [run for run in world.smoke_runs(since) if run.get("bundleId") == OLD]
    return any((run.get("result") or {}).get("outcome") == "SUCCESS" for run in runs)


def ends(world: World, story: Story, kill: Kill, attempt: Attempt, since: int, *, over: bool) -> list[str]:
    """What is wrong after what followed the kill."""
    if story.stage == "test":
        active = active_bundle_id(world.sandbox.nodes[TEST_NODE], KEY)
        settings = world.deployer.get_deployment(TEST_DEPLOYMENT).get_settings().get_raw()["bundleId"]
        right = (attempt.code, active, settings) == (0, NEW, NEW)
        return [] if right else [f"exit code {attempt.code}, {active} is live, the settings say {settings}"]
    wrong = []
    active, health = world.active, world.health
    expected = story.may_be_live if kill.record == LOST else story.with_record or story.may_be_live
    if found(world) != (active, active, True) or health != "HEALTHY" or active not in expected:
        wrong.append(f"{found(world)}, {health}")
    if attempt.code not in (0, 4):
        wrong.append("neither done nor restored")
    if kill.then == RERUN and story.step is not _recover and (attempt.code == 0) != (active == NEW):
        wrong.append(f"{active} is live")
    failed = [run for run in world.smoke_runs(since) if (run.get("result") or {}).get("outcome") == "FAILED"]
    if active == NEW and not over and any(run.get("bundleId") == NEW for run in failed):
        wrong.append("the bundle whose smoke test failed is live")
    if pending(attempt.record, STAGE):
        wrong.append("a restore is pending")
    if "internal error" in attempt.said or "Traceback" in attempt.said:
        wrong.append("an internal error")
    return wrong + ([] if over else counts(world, since))
