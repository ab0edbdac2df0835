"""Times as DSS gives them: milliseconds since 1970, or ISO texts, by version and by answer."""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime, timezone

_FORMS = ("%Y-%m-%dT%H:%M:%S.%f%z", "%Y-%m-%dT%H:%M:%S%z")


def moment(value: object) -> datetime:
    """The time in UTC: of milliseconds as a number or a text, or of an ISO text with an offset or Z.

    Raises ``ValueError`` for anything else (see :meth:`Dss.asking`).
    """
    if isinstance(value, bool):
        raise ValueError(f"{value!r} is no time")
    with suppress(ValueError):
        milliseconds = float(str(value))
        try:
            return datetime.fromtimestamp(milliseconds / 1000, timezone.utc)
        except (OverflowError, OSError, ValueError):
            raise ValueError(f"{str(value)[:40]!r} is no time") from None
    for form in _FORMS:
        with suppress(ValueError, OverflowError):
            return datetime.strptime(str(value), form).astimezone(timezone.utc)
    raise ValueError(f"{str(value)[:40]!r} is no time")


def milliseconds(value: object) -> int:
    """The time in milliseconds since 1970. Raises ``ValueError``."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    return round(moment(value).timestamp() * 1000)


def utc(value: object) -> str | None:
    """The time as UTC in ISO 8601 with seconds; ``None`` for what is no time."""
    try:
        return moment(value).strftime("%Y-%m-%dT%H:%M:%SZ")
    except ValueError:
        return None
