"""Which part of the matrices of faults a run of the tests takes.

``MLOPS_FAULTS`` is ``sample`` (the default), ``all``, or a text that the name of a case has to hold. A sample is one
of :data:`SLICES` parts of every matrix (of the largest: of :data:`LARGE`), and a small core. The seed says which part:
``MLOPS_FAULTS_SEED``, or the number of commits, so that as many commits, one after the other, see all of it. A shallow
clone does not know that number: there it comes from the hash of the commit.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

ALL, SAMPLE = "all", "sample"
SLICES = 24
#: Of the matrices of all steps beside `release`, which are far larger together.
LARGE = 3 * SLICES
WHAT, SEED = "MLOPS_FAULTS", "MLOPS_FAULTS_SEED"


def what() -> str:
    """The value of ``MLOPS_FAULTS``."""
    return os.environ.get(WHAT) or SAMPLE


def seed() -> int:
    """The seed of this run. Raises :class:`ValueError` for one that is not a number."""
    return int(os.environ.get(SEED) or 0)


def fix() -> None:
    """Puts the seed into the environment, where the workers of pytest-xdist find the same."""
    os.environ[SEED] = os.environ.get(SEED) or str(_of_the_commit())
    seed()


def _of_the_commit() -> int:
    shallow = _git("rev-parse", "--is-shallow-repository")
    if shallow == "false":
        return int(_git("rev-list", "--count", "HEAD") or 0)
    return int((_git("rev-parse", "HEAD") or "0")[:8], 16)


def _git(*arguments: str) -> str:
    """The output of git; nothing where there is no repository."""
    done = subprocess.run(
        ["git", *arguments], cwd=Path(__file__).parent, capture_output=True, text=True, check=False, timeout=30
    )
    return done.stdout.strip() if done.returncode == 0 else ""
