"""The steps on a sandbox that answers in other shapes; and the sandbox's own shapes."""

from __future__ import annotations

from pathlib import Path

from mlops_steps.sandbox.http.shaped import SiteShapes
from mlops_steps.shapes import document
from mlops_steps.shapes.differences import differences
from mlops_steps.shapes.document import Shapes, sandbox_shapes
from mlops_steps.steps import accept, history, package, status
from tests.faults.choice import parametrized
from tests.faults.world import PATIENT, World
from tests.shapes.known import KNOWN, changed, dates_as, renamed, without
from tests.shapes.own import recorded


def in_shapes(world: World, shapes: Shapes | None) -> None:
    for node in world.sandbox.nodes.values():
        node.shapes = SiteShapes(sandbox_shapes(), shapes) if shapes else None


def test_the_shapes_of_the_sandbox_are_those_of_the_file(world: World) -> None:
    """They change with the sandbox: then look whether a step relies on what has changed."""
    found = differences(sandbox_shapes(), recorded(world), ("the file", "the answers"))
    assert found == [], "`python -m tests.shapes.own` writes the file anew"


@parametrized("name", KNOWN)
def test_the_steps_read_each_known_shape(world: World, name: str) -> None:
    settings = world.configured({key: value for key, value in PATIENT.items() if key != "api"})
    in_shapes(world, changed(sandbox_shapes(), KNOWN[name]))
    try:
        for step, run in {
            "accept": lambda context: accept.run(context, "test"),
            "package": lambda context: package.run(context, bundle_id="shaped"),
            "status": status.run,
            "history": history.run,
        }.items():
            attempt = world.run(run, step, settings)
            assert attempt.code == 0, attempt.said
        world.reset()
        attempt = world.release(world.patient)
        assert attempt.code == 0, attempt.said
    finally:
        in_shapes(world, None)


def test_recorded_shapes_of_one_sandbox_drive_another(world: World, tmp_path: Path) -> None:
    """One that dates in milliseconds, has commitId, and keeps no release notes."""
    site = sandbox_shapes()
    for change in (dates_as("milliseconds"), renamed("commit", "commitId"), without("releaseNotes")):
        site = changed(site, change)
    in_shapes(world, site)
    path = tmp_path / "site.yml"
    try:
        first = world.run(
            lambda context: accept.run(context, "test", record=str(path), api="dev"), "accept", world.patient
        )
        read = document.read(path)
        assert differences(site, read) == []
        assert len(differences(sandbox_shapes(), read)) > 5
        in_shapes(world, read)
        second = world.run(lambda context: accept.run(context, "test"), "accept", world.patient)
    finally:
        in_shapes(world, None)
    # What the first one reports, the second one does too.
    assert (first.code, second.code) == (1, 1)
    assert "differs            release-notes" in first.said
    assert "differs            release-notes" in second.said
