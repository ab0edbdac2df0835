"""Which generated cases a test runs: all with ``MLOPS_FAULTS=all``, else the part that the seed says."""

from __future__ import annotations

from tests.support import seed


def numbers(cases: int) -> range:
    """The numbers of the cases to run, of so many."""
    if seed.what() == seed.ALL:
        return range(cases)
    return range(seed.seed() % seed.SLICES, cases, seed.SLICES)
