"""Every request, every fault: each kind of fault at each request of a release, once and for ever.

However it ends, what was said is what is true. `MLOPS_FAULTS=sample` runs a part, in which each kind and each request
occurs, and `MLOPS_FAULTS=TEXT` the cases whose name holds the text.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator

import pytest

from tests.counts import tell
from tests.faults.matrix import Finding, Point, cases, play, points
from tests.faults.sides import ALL, played, uncounted, wanted
from tests.faults.world import World, hasty

WORLDS = 6
CODES = (0, 1, 2, 3, 4, 5)


@pytest.fixture(scope="module", autouse=True)
def _quick() -> Iterator[None]:
    logging.disable(logging.CRITICAL)
    with hasty(), uncounted():
        yield
    logging.disable(logging.NOTSET)


@pytest.fixture(scope="module")
def worlds(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[World]]:
    made = [World(tmp_path_factory.mktemp(f"world-{number}")) for number in range(WORLDS)]
    yield made
    for world in made:
        world.close()


@pytest.fixture(scope="module")
def clean(worlds: list[World]) -> list[Point]:
    """The requests of a release that meets no fault."""
    worlds[0].reset()
    attempt = worlds[0].release()
    assert attempt.code == 0, attempt.said
    return points(attempt.requests)


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
        f"{len(found)} releases, the longest {max(finding.seconds for finding in found):.1f} s"
    )
    return "\n".join(lines)


def _row(name: str, findings: list[Finding], codes: list[int]) -> str:
    ended = Counter(finding.code for finding in findings)
    missed = sum(not finding.struck for finding in findings)
    wrong = sum(bool(finding.wrong) for finding in findings)
    return f"{name:44} {len(findings):5}  {missed:7} " + "".join(f"{ended[code]:8}" for code in codes) + f"{wrong:8}"


@pytest.mark.timeout(3600)
def test_whatever_happens_to_a_request_what_is_said_is_true(worlds: list[World], clean: list[Point]) -> None:
    found = played(
        worlds, wanted(cases(clean), ALL), play, lambda case, error: Finding(case, -1, True, 0.0, [repr(error)], "")
    )
    tell(table(clean, found))
    wrong = [
        f"{finding.case}: exit code {finding.code}: {finding.wrong}\n{finding.said}"
        for finding in found
        if finding.wrong
    ]
    assert not wrong, "\n\n".join(wrong)
    assert sum(finding.struck for finding in found) > len(found) * 0.9


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
