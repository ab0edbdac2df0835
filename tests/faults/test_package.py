"""Every request of `package`, every fault: nothing is made twice, and the same command again finishes the job."""

from __future__ import annotations

import hashlib
import itertools
import json
from collections import Counter

import pytest

from mlops_steps.config import Settings
from mlops_steps.steps import package
from tests.counts import tell
from tests.faults.matrix import Case, at_requests, points
from tests.faults.sides import played, wanted
from tests.faults.world import KEY, Attempt, World

pytestmark = pytest.mark.usefixtures("quick")

WORLDS = 3
_numbers = itertools.count(1)


def packaged(world: World, bundle: str, settings: Settings | None = None) -> Attempt:
    """Runs the step, from an empty record."""
    for node in world.sandbox.nodes.values():
        node.faults.clear_requests()

    return world.run(lambda context: package.run(context, bundle_id=bundle), "package", settings)


def wrong_about(world: World, case: Case) -> tuple[int, list[str]]:
    """Packages under a fault, then again without it; returns the first exit code and what is not as it must be."""
    bundle = f"b{next(_numbers)}"
    world.settings.record.unlink(missing_ok=True)
    world.settings.record.write_text(json.dumps({"schema": 1, "project": KEY}))
    world.sandbox.nodes[case.node].faults.add(case.fault)
    attempt = packaged(world, bundle)
    world.clear()
    wrong = []
    if attempt.code not in (0, 1, 3):
        wrong.append(f"exit code {attempt.code}")
    if attempt.code != 0 and attempt.record.get("bundle"):
        wrong.append("it failed, and the record holds a bundle")
    if "internal error" in attempt.said:
        wrong.append("an internal error")
    made = Counter(entry.operation for entry in attempt.requests if entry.method != "GET" and entry.status != 429)
    if max(made.values(), default=0) > 1:
        wrong.append(f"sent more than once: {made}")
    again = packaged(world, bundle, world.patient)
    if again.code != 0:
        wrong.append(f"again: exit code {again.code}: {again.said}")
    else:
        digest = hashlib.sha256(_archive(world, bundle)).hexdigest()
        if again.record["bundle"]["sha256"] != digest:
            wrong.append("another archive is in the record than on the deployer")
    return attempt.code, wrong


def _archive(world: World, bundle: str) -> bytes:
    with world.deployer.get_project(KEY).get_bundle_stream(bundle) as response:
        content: bytes = response.content
        return content


@pytest.mark.timeout(3600)
def test_whatever_happens_to_a_request_the_bundle_is_made_once(worlds: list[World]) -> None:
    clean = packaged(worlds[0], "clean")
    assert clean.code == 0, clean.said
    found = points(clean.requests)
    results = played(
        worlds,
        wanted(at_requests(found)),
        lambda world, case: (case, *wrong_about(world, case)),
        lambda case, error: (case, -1, [repr(error)]),
    )
    codes = Counter(code for _, code, _ in results)
    ends = ", ".join(f"exit {code}: {number}" for code, number in sorted(codes.items()))
    tell(f"package: {len(found)} requests, {len(results)} faults: {ends}")
    wrong = [f"{case}: {problems}" for case, _, problems in results if problems]
    assert not wrong, "\n".join(wrong)
