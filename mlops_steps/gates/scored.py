"""Scored rows as arrays: labels, predictions, probabilities. Rows with an empty cell are left out and counted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlops_steps.errors import CheckFailed

Array = NDArray[np.float64]


def complete(columns: dict[str, list[Any]]) -> tuple[dict[str, list[Any]], int]:
    """The rows without an empty cell, and how many had one."""
    rows = list(zip(*columns.values(), strict=True))
    kept = [row for row in rows if all(value is not None for value in row)]
    values = list(zip(*kept, strict=True)) if kept else [() for _ in columns]
    return {name: list(column) for name, column in zip(columns, values, strict=True)}, len(rows) - len(kept)


def text(value: Any) -> str:
    """A class as text: ``1``, ``1.0`` and ``True`` are the classes that their writers mean."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value).strip()


def positives(labels: Sequence[Any], positive: str) -> NDArray[np.bool_]:
    """Which rows are of the positive class. Raises :class:`CheckFailed` when no row is, or every row is."""
    found = np.asarray([text(label).lower() == positive.strip().lower() for label in labels], dtype=bool)
    if len(found) and (found.all() or not found.any()):
        classes = ", ".join(sorted({text(label) for label in labels})[:5])
        raise CheckFailed(
            f"{'every' if found.all() else 'no'} row is of the positive class {positive!r} (classes: {classes})",
            next_step="name the positive class of this model: `positive` of the gate in mlops.yml",
        )
    return found


def numbers(values: Sequence[Any], column: str) -> Array:
    """The values as numbers. Raises :class:`CheckFailed` for one that is not a finite number."""
    try:
        found = np.asarray([float(value) for value in values], dtype=np.float64)
    except (TypeError, ValueError):
        raise CheckFailed(f"column {column} holds values that are not numbers") from None
    if not np.isfinite(found).all():
        raise CheckFailed(f"column {column} holds values that are not finite numbers")
    return found
