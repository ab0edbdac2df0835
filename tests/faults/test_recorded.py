"""The files with the requests of clean runs are true: the matrices of faults are made of them."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.faults.recorded import CLEAN, RELEASE, differences, played, recorded
from tests.faults.world import World


@pytest.mark.parametrize("scene", CLEAN)
def test_the_requests_are_those_of_the_file(world: World, scene: str) -> None:
    assert differences(scene, played(world, scene)) == [], "`python -m tests.faults.recorded` writes the files anew"


def test_a_release_makes_the_requests_that_are_expected() -> None:
    clean = recorded(RELEASE)
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
