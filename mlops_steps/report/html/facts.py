"""What the page is told of a release beyond the reports: plain data. The page knows neither DSS nor the record."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Level = Literal["good", "bad", "doubt", "open"]


@dataclass(frozen=True)
class Verdict:
    """One sentence on top: what is live now, since when, tested how. ``next_step`` says what to do, if anything."""

    level: Level
    sentence: str
    next_step: str = ""


@dataclass(frozen=True)
class Span:
    """Something that took time. ``begin`` and ``end`` are seconds since 1970; an ``end`` of None: it has not ended."""

    name: str
    begin: float
    end: float | None
    result: str
    #: The step and stage that it is a part of, as ``release on prod``; "" when it stands by itself.
    within: str = ""


@dataclass(frozen=True)
class Facts:
    """``subject`` names the version (``bundle 129-4f2c1aa``); ``lines`` are names and values."""

    verdict: Verdict | None = None
    subject: str = ""
    lines: tuple[tuple[str, str], ...] = ()
    spans: tuple[Span, ...] = ()
    changes: tuple[str, ...] = ()
