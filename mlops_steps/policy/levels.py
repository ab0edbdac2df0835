"""What each criticality means, and for each key of the policy which of two values is the stricter one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mlops_steps.config.policy import ANYBODY, Freeze
from mlops_steps.system.waiting import duration

CRITICALITIES = ("low", "medium", "high")
_AUTOMATIONS = ("full", "approval", "manual")


@dataclass(frozen=True)
class Key:
    """A key of the policy.

    ``defaults``: its value by criticality, and without one. ``loosens(a, b)``: whether ``a`` asks for less than ``b``.
    ``both(a, b)``: what satisfies the two. ``shown`` is a value in words.
    """

    name: str
    defaults: Mapping[str | None, Any]
    loosens: Callable[[Any, Any], bool]
    both: Callable[[Any, Any], Any]
    shown: Callable[[Any], str]

    @property
    def path(self) -> tuple[str, ...]:
        """Where it stands in the file."""
        return (self.name,) if self.name == "automation" else ("policy", self.name)


def _same(value: Any) -> dict[str | None, Any]:
    return dict.fromkeys((None, *CRITICALITIES), value)


def _by(none: Any, low: Any, medium: Any, high: Any) -> dict[str | None, Any]:
    return {None: none, "low": low, "medium": medium, "high": high}


def _fewer_people(mine: Sequence[str], least: Sequence[str]) -> list[str]:
    """Those of both lists."""
    if ANYBODY in least:
        return list(mine)
    return list(least) if ANYBODY in mine else [name for name in mine if name in least]


def _approvers_of_both(mine: Sequence[str], least: Sequence[str]) -> list[str]:
    """Those of both lists; an empty one is everybody."""
    return _fewer_people(mine, least) if mine and least else list(mine or least)


def _more_people(mine: Sequence[str], least: Sequence[str]) -> bool:
    return ANYBODY not in least and not set(mine) <= set(least)


def _switch(name: str) -> Key:
    """A key that is true or false, and true where a bad release may cost much."""
    return Key(
        name,
        _by(False, False, False, True),
        lambda mine, least: least and not mine,
        lambda mine, least: mine or least,
        lambda value: "true" if value else "false",
    )


def _freezes(value: Sequence[Freeze]) -> str:
    return ", ".join(freeze.name for freeze in value) or "none"


KEYS = (
    Key(
        "automation",
        _by("approval", "full", "approval", "approval"),
        lambda mine, least: _AUTOMATIONS.index(mine) < _AUTOMATIONS.index(least),
        lambda mine, least: max(mine, least, key=_AUTOMATIONS.index),
        str,
    ),
    Key(
        "approvers",
        _same([]),
        lambda mine, least: bool(least) and (not mine or _more_people(mine, least)),
        _approvers_of_both,
        lambda value: ", ".join(value) or "anybody",
    ),
    _switch("separation_of_duties"),
    Key(
        "required_gates",
        _by([], [], ["metric"], ["metric", "champion", "data_quality"]),
        lambda mine, least: not set(least) <= set(mine),
        lambda mine, least: [*least, *(kind for kind in mine if kind not in least)],
        lambda value: ", ".join(value) or "none",
    ),
    Key(
        "min_scenarios",
        _by(1, 1, 2, 3),
        lambda mine, least: mine < least,
        max,
        str,
    ),
    Key(
        "soak",
        _by(0.0, 0.0, 0.0, 3600.0),
        lambda mine, least: mine < least,
        max,
        lambda value: duration(value) if value else "0",
    ),
    _switch("canary"),
    _switch("service_tests"),
    Key(
        "may_force",
        _by([ANYBODY], [ANYBODY], [ANYBODY], []),
        _more_people,
        _fewer_people,
        lambda value: "anybody" if ANYBODY in value else ", ".join(value) or "nobody",
    ),
    # A project adds its own; those of the organisation stay.
    Key("freezes", _same([]), lambda _mine, _least: False, lambda mine, least: [*least, *mine], _freezes),
)
