"""Gives an answer of the sandbox the shape that a site's DSS gives it, where the two differ."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

from mlops_steps.shapes.shape import DATES, MILLISECONDS, OTHERS, Shape, kind_of
from mlops_steps.shapes.words import ALIASES, SYNONYMS, others

_NOTHING = Shape()
_PLACEHOLDERS: dict[str, Any] = {"text": "", "integer": 0, "number": 0.0, "boolean": False}


def reshape(value: Any, own: Shape, site: Shape) -> Any:
    """The value as the site would give it. ``own`` is the shape that the sandbox gives it.

    What the site's shape does not tell stays as it is: a state that was not met, an object that was not there.
    """
    if isinstance(value, dict):
        return _object(value, own, site) if own.fields is not None and site.fields is not None else value
    if isinstance(value, list):
        if own.items is None or site.items is None or site.items.is_nothing:
            return value
        return [reshape(item, own.items, site.items) for item in value]
    return _scalar(value, site)


def _object(value: dict[str, Any], own: Shape, site: Shape) -> dict[str, Any]:
    mine, theirs = own.fields or {}, site.fields or {}
    found: dict[str, Any] = {}
    for name, item in value.items():
        alias = next((alias for alias in others(name, ALIASES) if alias in theirs and alias not in mine), None)
        if name in theirs:
            found[name] = reshape(item, mine.get(name, _NOTHING), theirs[name])
        elif alias is not None:
            found[alias] = reshape(item, mine.get(name, _NOTHING), theirs[alias])
        elif name not in mine or name in own.optional:
            found[name] = item
    for name, shape in theirs.items():
        if name not in found and name not in mine and name not in site.optional and name != OTHERS:
            found[name] = _placeholder(shape)
    return found


def _placeholder(shape: Shape) -> Any:
    """Something of the shape, for a field that the sandbox does not have."""
    if shape.fields is not None:
        return {
            name: _placeholder(inner)
            for name, inner in shape.fields.items()
            if name not in shape.optional and name != OTHERS
        }
    if shape.items is not None:
        return []
    if shape.states:
        return min(shape.states)
    if any(date in shape.scalars for date in DATES):
        return _scalar(int(datetime.now(timezone.utc).timestamp() * 1000), shape)
    return next((_PLACEHOLDERS[word] for word in _PLACEHOLDERS if word in shape.scalars), None)


def _scalar(value: Any, site: Shape) -> Any:
    kind = kind_of(value)
    if kind in site.scalars or value is None or site.is_nothing:
        return value
    if site.states:
        synonym = next((word for word in others(str(value), SYNONYMS) if word in site.states), None)
        return synonym if synonym is not None and value not in site.states else value
    dates = [date for date in DATES if date in site.scalars]
    if kind in DATES and dates:
        return _date(value, dates[0])
    if kind == "integer" and site.scalars == {"text"}:
        return str(value)
    if kind == "text" and site.scalars == {"integer"} and str(value).isdecimal():
        return int(value)
    return None if site.scalars == {"null"} else value


def _date(value: Any, form: str) -> Any:
    if isinstance(value, int):
        moment = datetime.fromtimestamp(value / 1000, timezone.utc)
    else:
        text = str(value).replace("Z", "+0000")
        moment = datetime.strptime(text, "%Y-%m-%dT%H:%M:%S.%f%z" if "." in text else "%Y-%m-%dT%H:%M:%S%z")
        moment = moment.astimezone(timezone.utc)
    if form == MILLISECONDS:
        return round(moment.timestamp() * 1000)
    text = f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03d}"
    return text + {"ISO +0000": "+0000", "ISO +00:00": "+00:00", "ISO Z": "Z"}[form]
