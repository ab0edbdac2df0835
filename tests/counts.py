"""What tests have counted, told once at the end of the run; from the workers of pytest-xdist too.

``tell`` takes a text of one or more lines (a table), ``count`` adds to a number. Texts are printed in their order,
numbers after them. ``tests/conftest.py`` collects both from the workers and prints them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

_told: list[str] = []
_counted: Counter[str] = Counter()


def tell(text: str) -> None:
    """Prints the text at the end of the run."""
    _told.append(text)


def count(what: str, number: int = 1) -> None:
    """Adds to a number that is printed at the end of the run, as ``<what>: <number>``."""
    _counted[what] += number


def handed_on() -> dict[str, object]:
    """What a worker hands to the controller: plain lists and numbers."""
    return {"told": list(_told), "counted": dict(_counted)}


def take(told: Iterable[str], counted: Mapping[str, int]) -> None:
    """Adds what a worker has handed on."""
    _told.extend(told)
    _counted.update(counted)


def lines() -> list[str]:
    """What is printed at the end."""
    texts = [line for text in sorted(_told) for line in text.splitlines()]
    return texts + [f"{what}: {number:,}" for what, number in sorted(_counted.items())]
