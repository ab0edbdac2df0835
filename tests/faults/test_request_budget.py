"""A clean release makes few requests, and the guarantees say which."""

from __future__ import annotations

from pathlib import Path

from mlops_steps.steps import release
from tests.faults.matrix import points
from tests.faults.world import STAGE, World

GUARANTEES = Path(__file__).parents[2] / "docs" / "guarantees.md"
#: Asked for until they have ended: one question each is what all releases need.
POLLED = ("GET /futures/*", "GET /projects/*/scenarios/*/get-run-for-trigger", "GET /projects/*/scenarios/*/*")


def test_a_clean_release_needs_at_most_forty_requests(world: World) -> None:
    attempt = world.run(lambda context: release.run(context, STAGE), "release", world.patient)
    assert attempt.code == 0, attempt.said
    asked = [(entry.node, entry.by, entry.operation) for entry in attempt.requests]
    own = [point for point in points(asked) if point.by == "clients"]
    number = sum(not (point.nth and point.operation in POLLED) for point in own)
    assert number <= 40
    documented = GUARANTEES.read_text().split("## The requests of a release\n", 1)[1].split("\n## ", 1)[0]
    assert f"{number} requests" in documented
    for operation in {point.operation for point in own}:
        assert f"`{operation}`" in documented, operation
