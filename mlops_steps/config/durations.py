"""Durations as people write them: ``30m``, ``90s``, ``1h30m``, a plain number of seconds."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import BeforeValidator, WithJsonSchema

_UNITS = {"d": 86400.0, "h": 3600.0, "m": 60.0, "s": 1.0}
_NUMBER = r"[0-9]{1,9}(?:\.[0-9]{1,3})?"
_PATTERN = rf"^(?:{_NUMBER}|(?=[0-9])(?:{_NUMBER}d)?(?:{_NUMBER}h)?(?:{_NUMBER}m)?(?:{_NUMBER}s)?)$"
_PART = re.compile(rf"({_NUMBER})([dhms]?)", re.ASCII)

#: Longer waits are taken for a slip of the pen.
LONGEST = 30 * _UNITS["d"]


def parse_duration(value: object) -> float:
    """Returns seconds for ``'1h30m'``, ``'90s'``, ``90`` …; raises ``ValueError`` for everything else.

    A duration is more than zero and at most 30 days.
    """
    text = str(value).strip() if isinstance(value, (str, int, float)) and not isinstance(value, bool) else ""
    if not re.match(_PATTERN, text, re.ASCII):
        raise ValueError("must be a duration such as 30m, 90s, 1h30m, or a number of seconds")
    seconds = sum(float(number) * _UNITS[unit or "s"] for number, unit in _PART.findall(text))
    if not 0 < seconds <= LONGEST:
        raise ValueError("must be more than zero and at most 30 days")
    return seconds


#: A pydantic field that takes a duration and holds seconds.
Duration = Annotated[
    float,
    BeforeValidator(parse_duration),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "number", "exclusiveMinimum": 0, "maximum": LONGEST},
                {"type": "string", "pattern": _PATTERN},
            ],
            "examples": ["30m", "90s", "1h30m", 45],
        }
    ),
]
