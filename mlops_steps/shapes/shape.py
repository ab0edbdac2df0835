"""One shape: what a value may be. Shapes of several answers are merged into one."""

from __future__ import annotations

import re
from collections.abc import Container, Mapping
from dataclasses import dataclass, field
from typing import Any

from mlops_steps.shapes.words import STATE, STATE_FIELDS

MILLISECONDS = "milliseconds"
#: Forms of dates by their names. Each has a time zone.
ISO = {
    "ISO +0000": re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?[+-]\d{4}"),
    "ISO +00:00": re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?[+-]\d\d:\d\d"),
    "ISO Z": re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z"),
}
DATES = (MILLISECONDS, *ISO)
SCALARS = ("text", "integer", "number", "boolean", "null", *DATES)
#: Stands for all fields whose names are not DSS's own.
OTHERS = "*"

# Milliseconds of the years 2001 to 2286.
_DATES_FROM, _DATES_TO = 10**12, 10**13
_FIELD = re.compile(r"[a-z][A-Za-z0-9]{0,60}")
_DEEPEST = 60


@dataclass(frozen=True)
class Shape:
    """What a value may be: scalars, states, an object with ``fields``, a list of ``items``; several of them at once.

    ``optional``: fields that are not in every object. ``items`` is empty of a list that never held anything.
    """

    scalars: frozenset[str] = frozenset()
    states: frozenset[str] = frozenset()
    fields: Mapping[str, Shape] | None = None
    optional: frozenset[str] = frozenset()
    items: Shape | None = field(default=None)

    @property
    def is_nothing(self) -> bool:
        return self == Shape()

    def merged(self, other: Shape) -> Shape:
        """The shape of what has either shape."""
        if self == other:
            return self
        fields: Mapping[str, Shape] | None = self.fields if other.fields is None else other.fields
        optional = self.optional | other.optional
        if self.fields is not None and other.fields is not None:
            names = [*self.fields, *(name for name in other.fields if name not in self.fields)]
            nothing = Shape()
            fields = {name: self.fields.get(name, nothing).merged(other.fields.get(name, nothing)) for name in names}
            optional |= {name for name in names if name not in self.fields or name not in other.fields}
        items = self.items if other.items is None else other.items
        if self.items is not None and other.items is not None:
            items = self.items.merged(other.items)
        return Shape(self.scalars | other.scalars, self.states | other.states, fields, optional, items)


def kind_of(value: object) -> str:
    """The word for a scalar."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int):
        return MILLISECONDS if _DATES_FROM <= value < _DATES_TO else "integer"
    if isinstance(value, float):
        return "number"
    return next((name for name, form in ISO.items() if form.fullmatch(str(value))), "text")


def shape_of(value: Any, name: str = "", known: Container[str] | None = None, depth: int = 0) -> Shape:
    """The shape of a value of JSON. ``name`` is the field that holds it.

    ``known``: the names of fields that may be written; ``None`` for all that look like one of DSS. Everything else is
    merged into :data:`OTHERS`.
    """
    if depth > _DEEPEST:
        return Shape()
    if isinstance(value, dict):
        fields: dict[str, Shape] = {}
        for key, item in value.items():
            mine = str(key) if _FIELD.fullmatch(str(key)) and (known is None or key in known) else OTHERS
            found = shape_of(item, "" if mine == OTHERS else mine, known, depth + 1)
            fields[mine] = fields[mine].merged(found) if mine in fields else found
        return Shape(fields=fields)
    if isinstance(value, list):
        items = Shape()
        for number, item in enumerate(value):
            found = shape_of(item, name, known, depth + 1)
            items = found if number == 0 else items.merged(found)
        return Shape(items=items)
    if isinstance(value, str) and name in STATE_FIELDS and STATE.fullmatch(value):
        return Shape(states=frozenset({value}))
    return Shape(scalars=frozenset({kind_of(value)}))
