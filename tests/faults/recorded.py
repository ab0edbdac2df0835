"""The requests of clean runs, as files: which cases there are is known before anything runs.

`python -m tests.faults.recorded` writes the files anew, after a change to the requests of a step.
A line is a node, who asks it (`clients`, or the Project Deployer), and the operation.
"""

from __future__ import annotations

import logging
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from mlops_steps.sandbox.faults.board import LoggedRequest
from mlops_steps.steps import accept, deploy, package
from mlops_steps.system.pace import use
from tests.faults import direct
from tests.faults.matrix import Point, points
from tests.faults.scenes import SCENES, ready
from tests.faults.world import FIRST, INFRA, SMOKE, Attempt, World
from tests.support.pace import QUICK

Name = tuple[str, str, str]

FOLDER = Path(__file__).with_name("requests")
RELEASE, FAILED, PACKAGE, FIRST_DEPLOY, ACCEPT = "release", "failed release", "package", "first deploy", "accept"
DIRECT, DIRECT_FAILED, DIRECT_FIRST = "direct", "direct failed", "direct first"
#: They are asked until something has come about: how often is a matter of time.
_POLLS = (
    "GET /futures/*",
    "GET /project-deployer/deployments/*/update",
    "GET /projects/*/scenarios/*/get-run-for-trigger",
    "GET /projects/*/scenarios/*/*",
)


def recorded(scene: str) -> list[Point]:
    """The requests of a scene, each once."""
    return points(_read(scene))


def own(scene: str) -> list[Point]:
    """Those that the step makes itself."""
    return [point for point in recorded(scene) if point.by == "clients"]


def of_the_restore() -> list[Point]:
    """Those that a release whose smoke test fails makes from then on."""
    found = own(FAILED)
    fired = next(number for number, point in enumerate(found) if point.operation.endswith("/run"))
    return found[fired + 1 :]


def _read(scene: str) -> list[Name]:
    lines = (FOLDER / f"{scene.replace(' ', '-')}.txt").read_text().splitlines()
    return [(node, by, operation) for node, by, operation in (line.split(maxsplit=2) for line in lines)]


def _write(scene: str, names: list[Name]) -> None:
    lines = [f"{node:9} {by:8} {operation}\n" for node, by, operation in names]
    (FOLDER / f"{scene.replace(' ', '-')}.txt").write_text("".join(lines))


def _release(world: World) -> Attempt:
    world.reset()
    return world.release(world.patient)


def _failed_release(world: World) -> Attempt:
    world.reset()
    world.sandbox.nodes[INFRA].faults.add("scenario-ends", outcome="FAILED", target=SMOKE)
    return world.release(world.patient)


def _first_release(world: World) -> Attempt:
    world.reset(FIRST)
    return world.release(world.patient)


def _direct(world: World) -> Attempt:
    direct.ready(world, direct.AGAIN)
    return direct.release(world, patient=True)


def _direct_failed(world: World) -> Attempt:
    direct.ready(world, direct.AGAIN)
    world.sandbox.nodes[INFRA].faults.add("scenario-ends", outcome="FAILED", target=SMOKE)
    return direct.release(world, patient=True)


def _direct_first(world: World) -> Attempt:
    direct.ready(world, direct.NEVER)
    return direct.release(world, patient=True)


def _package(world: World) -> Attempt:
    world.reset()
    return world.run(lambda context: package.run(context, bundle_id="clean"), "package", world.patient)


def _first_deploy(world: World) -> Attempt:
    world.reset()
    return world.run(lambda context: deploy.run(context, "test"), "deploy", world.patient)


def _accept(world: World) -> Attempt:
    world.reset()
    return world.run(lambda context: accept.run(context, "test", api="dev"), "accept", world.patient)


def _step(name: str) -> Callable[[World], Attempt]:
    def run(world: World) -> Attempt:
        ready(world, SCENES[name])
        return world.run(SCENES[name].call, name, SCENES[name].settings(world, patient=True))

    return run


#: What is played to record the requests, and the exit code that it must have.
CLEAN: dict[str, tuple[Callable[[World], Attempt], int]] = {
    RELEASE: (_release, 0),
    FAILED: (_failed_release, 4),
    FIRST: (_first_release, 0),
    DIRECT: (_direct, 0),
    DIRECT_FAILED: (_direct_failed, 4),
    DIRECT_FIRST: (_direct_first, 0),
    PACKAGE: (_package, 0),
    FIRST_DEPLOY: (_first_deploy, 0),
    ACCEPT: (_accept, 0),
    **{name: (_step(name), scene.clean) for name, scene in SCENES.items()},
}


def played(world: World, scene: str) -> list[Name]:
    """The requests of a clean run. Raises :class:`AssertionError` when it does not end as it must."""
    play, code = CLEAN[scene]
    attempt = play(world)
    assert attempt.code == code, attempt.said
    return [_name(request) for request in attempt.requests]


def _name(request: LoggedRequest) -> Name:
    return request.node, request.by, request.operation


def differences(scene: str, found: list[Name]) -> list[str]:
    """What is in the file and not among these requests, and the other way round."""
    # A canary looks again until every node answers with both versions, each time with the same few requests.
    often = scene == "canary"
    before, now = _counted(_read(scene), often), _counted(found, often)
    lines = [f"- {number} x {' '.join(name)}" for name, number in (before - now).items()]
    return lines + [f"+ {number} x {' '.join(name)}" for name, number in (now - before).items()]


def _counted(names: list[Name], often: bool) -> Counter[Name]:
    """How often each is made; a question that is repeated counts once, and with ``often`` every one does."""
    found = Counter(names)
    return Counter({name: 1 if often or name[2] in _POLLS else number for name, number in found.items()})


def main() -> None:
    """Records the requests of the scenes that have changed; prints what has."""
    logging.disable(logging.CRITICAL)
    FOLDER.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, use(QUICK):
        world = World(Path(folder) / "world")
        try:
            for scene in CLEAN:
                found = played(world, scene)
                known = (FOLDER / f"{scene.replace(' ', '-')}.txt").exists()
                changes = differences(scene, found) if known else [f"{len(found)} requests"]
                if changes:
                    _write(scene, found)
                    sys.stderr.write("\n".join([f"{scene}:", *(f"  {line}" for line in changes), ""]))
        finally:
            world.close()


if __name__ == "__main__":
    main()
