"""What is said of one of several things that are done side by side: one progress for all, a name before each line."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from mlops_steps.system.console import Console, Waiting


class PrefixedConsole(Console):
    """Prints on another console, a name before each line. Its waits are not shown: there is one progress for all.

    ``few``: so few things are done that a line about each step of each is worth reading.
    """

    def __init__(self, outer: Console, name: str, *, few: bool) -> None:
        super().__init__(outer.stream, live=False, quiet=outer.quiet, brief=outer.brief)
        self._outer = outer
        self._name = name
        self._few = few

    def line(self, text: str) -> None:
        if self._few:
            self._outer.line(f"{self._name}: {text}")

    def detail(self, text: str) -> None:
        if self._few:
            self._outer.detail(f"{self._name}: {text}")

    def good(self, text: str) -> None:
        if self._few:
            self._outer.good(f"{self._name}: {text}")

    def warn(self, text: str) -> None:
        self._outer.warn(f"{self._name}: {text}")

    def error(self, text: str) -> None:
        self._outer.error(f"{self._name}: {text}")

    def result(self, text: str) -> None:
        self._outer.result(text)

    @contextmanager
    def waiting(self, label: str) -> Iterator[Waiting]:
        yield _Unseen(self, label)


class _Unseen(Waiting):
    def __init__(self, console: Console, label: str) -> None:
        quiet = Console(console.stream, live=False, quiet=True)
        super().__init__(quiet, label)
