"""An assumption, how it was tried, and what came of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Generic, TypeVar

from mlops_steps.errors import NodeError

W = TypeVar("W")


class Verdict(str, Enum):
    """What came of an assumption."""

    HOLDS = "holds"
    DIFFERS = "differs"
    UNTRIED = "could not be tried"


class Differs(Exception):
    """The node does something else than the steps assume. The text says what."""


class NotTried(Exception):
    """The assumption could not be tried. The text says why."""


@dataclass(frozen=True)
class Assumption(Generic[W]):
    """Something that the steps rely on.

    ``rests``: the functions that do. ``needs``: the assumptions without which it cannot be tried. ``check`` tries it,
    returns in a line what was seen, and raises :class:`Differs`, :class:`NotTried` or an error of `errors.py`.
    """

    name: str
    sentence: str
    rests: tuple[Callable[..., object], ...]
    needs: tuple[str, ...]
    check: Callable[[W], str]

    @property
    def places(self) -> list[str]:
        """The places in the code that rest on it, such as ``mlops_steps/dss/bundles.py: export``."""
        return [f"{one.__module__.replace('.', '/')}.py: {one.__qualname__}" for one in self.rests]


@dataclass(frozen=True)
class Finding:
    """What came of an assumption. ``error``: the node gave no answer, so that nothing is known."""

    name: str
    verdict: Verdict
    text: str
    seconds: float = 0.0
    error: NodeError | None = None


class Assumptions(Generic[W]):
    """A list of assumptions, in the order in which they are tried."""

    def __init__(self) -> None:
        self.all: list[Assumption[W]] = []

    def that(
        self, name: str, sentence: str, *rests: Callable[..., object], needs: tuple[str, ...] = ()
    ) -> Callable[[Callable[[W], str]], Callable[[W], str]]:
        """Registers the decorated function as the check of an assumption."""

        def register(check: Callable[[W], str]) -> Callable[[W], str]:
            self.all.append(Assumption(name, sentence, rests, needs, check))
            return check

        return register
