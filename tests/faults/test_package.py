"""Every request of `package`, every fault: nothing is made twice, and the same command again finishes the job."""

from __future__ import annotations

import hashlib
import json
from collections import Counter

from mlops_steps.config import Settings
from mlops_steps.steps import package
from tests.faults.choice import chosen, parametrized
from tests.faults.matrix import Case, at_requests
from tests.faults.recorded import PACKAGE, recorded
from tests.faults.world import KEY, Attempt, World
from tests.support.counts import longest, tally

BUNDLE = "b1"


def packaged(world: World, settings: Settings | None = None) -> Attempt:
    """Runs the step, from an empty record."""
    for node in world.sandbox.nodes.values():
        node.faults.clear_requests()
    return world.run(lambda context: package.run(context, bundle_id=BUNDLE), "package", settings)


def wrong_about(world: World, attempt: Attempt) -> list[str]:
    """What is not as it must be: after the fault, and after the same command again."""
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
    again = packaged(world, world.patient)
    if again.code != 0:
        wrong.append(f"again: exit code {again.code}: {again.said}")
    else:
        digest = hashlib.sha256(_archive(world, BUNDLE)).hexdigest()
        if again.record["bundle"]["sha256"] != digest:
            wrong.append("another archive is in the record than on the deployer")
    return wrong


def _archive(world: World, bundle: str) -> bytes:
    with world.deployer.get_project(KEY).get_bundle_stream(bundle) as response:
        content: bytes = response.content
        return content


@parametrized("case", chosen(PACKAGE, at_requests(recorded(PACKAGE))))
def test_whatever_happens_to_a_request_the_bundle_is_made_once(world: World, case: Case) -> None:
    world.settings.record.write_text(json.dumps({"schema": 1, "project": KEY}))
    active = world.sandbox.nodes[case.node].faults.add(case.fault)
    attempt = packaged(world)
    tally(PACKAGE, f"exit {attempt.code}", *([] if active.fired else ["not met"]))
    longest(PACKAGE, attempt.seconds)
    world.clear()
    wrong = wrong_about(world, attempt)
    assert not wrong, f"exit code {attempt.code}\n{attempt.said}"
