"""Every request, every fault: each kind of fault at each request of a release, once.

Those that last for ever: test_requests_for_ever.py.

However it ends, what was said is what is true. `MLOPS_FAULTS=sample` runs a part, in which each kind and each request
occurs, and `MLOPS_FAULTS=TEXT` the cases whose name holds the text.
"""

from __future__ import annotations

from collections import Counter

import pytest

from tests.counts import tell
from tests.faults.matrix import ONCE, Finding, Point, cases, play
from tests.faults.sides import ALL, played, wanted
from tests.faults.world import World

pytestmark = pytest.mark.usefixtures("quick")

WORLDS = 8
CODES = (0, 1, 2, 3, 4, 5)


def table(requests: list[Point], found: list[Finding]) -> str:
    """The counts: per kind of fault, how the releases ended."""
    by_kind: dict[str, list[Finding]] = {}
    for finding in found:
        by_kind.setdefault(f"{finding.case.kind}, {finding.case.often}", []).append(finding)
    codes = [code for code in CODES if any(finding.code == code for finding in found)]
    lines = [f"{'fault':44} cases  not met " + "".join(f"{f'exit {code}':>8}" for code in codes) + "   wrong"]
    for kind, findings in sorted(by_kind.items()):
        lines.append(_row(kind, findings, codes))
    lines.append(_row("all", found, codes))
    asked = Counter(point.by for point in requests)
    lines.append(
        f"{len(requests)} requests ({asked['clients']} of the release, {asked['deployer']} of the deployer), "
        f"{len(found)} releases, the longest {max((finding.seconds for finding in found), default=0.0):.1f} s"
    )
    return "\n".join(lines)


def _row(name: str, findings: list[Finding], codes: list[int]) -> str:
    ended = Counter(finding.code for finding in findings)
    missed = sum(not finding.struck for finding in findings)
    wrong = sum(bool(finding.wrong) for finding in findings)
    return f"{name:44} {len(findings):5}  {missed:7} " + "".join(f"{ended[code]:8}" for code in codes) + f"{wrong:8}"


def check(worlds: list[World], clean: list[Point], often: str) -> None:
    """Plays the cases that are so often, tells how they ended, and asserts that nothing is wrong."""
    chosen = [case for case in wanted(cases(clean), ALL) if case.often == often]
    found = played(worlds, chosen, play, lambda case, error: Finding(case, -1, True, 0.0, [repr(error)], ""))
    tell(table(clean, found))
    wrong = [
        f"{finding.case}: exit code {finding.code}: {finding.wrong}\n{finding.said}"
        for finding in found
        if finding.wrong
    ]
    assert not wrong, f"{len(wrong)} of {len(found)}\n\n" + "\n\n".join(wrong)
    assert sum(finding.struck for finding in found) > len(found) * 0.9


@pytest.mark.timeout(3600)
def test_whatever_happens_to_a_request_once_what_is_said_is_true(worlds: list[World], clean: list[Point]) -> None:
    check(worlds, clean, ONCE)


def test_a_release_makes_the_requests_that_are_expected(clean: list[Point]) -> None:
    changing = Counter((point.node, point.operation) for point in clean if not point.operation.startswith("GET "))
    assert changing == {
        ("design", "PUT /project-deployer/projects/*/settings"): 2,
        ("design", "PUT /project-deployer/deployments/*/settings"): 1,
        ("design", "POST /project-deployer/deployments/*/actions/update"): 1,
        ("auto-prod", "POST /projects/*/bundles/imported/actions/importFromArchive"): 1,
        ("auto-prod", "PUT /projects/*/settings"): 1,
        ("auto-prod", "POST /projects/*/bundles/imported/*/actions/preload"): 1,
        ("auto-prod", "POST /projects/*/bundles/imported/*/actions/activate"): 1,
        ("auto-prod", "POST /projects/*/scenarios/*/run"): 1,
    }
