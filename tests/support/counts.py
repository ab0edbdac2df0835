"""What tests have counted, printed once at the end of the run; from the workers of pytest-xdist too.

``count`` adds to a number, ``tally`` to a cell of the table of the faults, ``longest`` keeps the largest number.
``tests/conftest.py`` collects them from the workers and prints them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

_counted: Counter[str] = Counter()
_cells: Counter[tuple[str, str]] = Counter()
_longest: dict[str, float] = {}


def count(what: str, number: int = 1) -> None:
    """Adds to a number that is printed at the end of the run, as ``<what>: <number>``."""
    _counted[what] += number


def tally(row: str, *columns: str) -> None:
    """Adds one to the cases of a row of the table, and to these cells of it."""
    for column in ("cases", *columns):
        _cells[row, column] += 1


def longest(row: str, seconds: float) -> None:
    """Keeps the longest time of a row of the table."""
    _longest[row] = max(seconds, _longest.get(row, 0.0))


def handed_on() -> dict[str, Any]:
    """What a worker hands to the controller: plain lists and numbers."""
    cells = [(row, column, number) for (row, column), number in _cells.items()]
    return {"counted": dict(_counted), "cells": cells, "longest": dict(_longest)}


def take(found: Mapping[str, Any]) -> None:
    """Adds what a worker has handed on."""
    _counted.update(found["counted"])
    for row, column, number in found["cells"]:
        _cells[row, column] += number
    for row, seconds in found["longest"].items():
        longest(row, seconds)


def lines() -> list[str]:
    """What is printed at the end."""
    return _table() + [f"{what}: {number:,}" for what, number in sorted(_counted.items())]


def _table() -> list[str]:
    rows = sorted({row for row, _ in _cells})
    columns = ["cases", *sorted({column for _, column in _cells} - {"cases"})]
    if not rows:
        return []
    sums = {column: sum(_cells[row, column] for row in rows) for column in columns}
    width = max(map(len, rows))
    lines = [f"{'':{width}} " + "".join(f"{column:>12}" for column in columns) + "   longest"]
    for row in rows:
        lasted = f"{_longest[row]:8.1f} s" if row in _longest else ""
        lines.append(
            (f"{row:{width}} " + "".join(f"{_cells[row, column]:12,}" for column in columns) + lasted).rstrip()
        )
    return [*lines, f"{'all':{width}} " + "".join(f"{sums[column]:12,}" for column in columns)]
