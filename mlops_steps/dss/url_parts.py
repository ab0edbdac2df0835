"""Names that nodes answer, checked before they become part of a URL: the client puts them in as they are."""

from __future__ import annotations

import re
from urllib.parse import unquote, urlsplit

from mlops_steps.system.secrets import redact

_NAME = re.compile(r"[^\x00-\x1f\x7f/\\?#%]{1,200}")
_FORBIDDEN = re.compile(r"[\x00-\x20\x7f\\#]")


def node_id(value: object, what: str) -> str:
    """Returns the id if it stays in its place in a URL and in a line of text.

    Raises ``TypeError`` or ``ValueError`` (see :meth:`Dss.asking`).
    """
    if not isinstance(value, str):
        raise TypeError(f"{what} is {type(value).__name__}, not str")
    if not _NAME.fullmatch(value) or value in (".", ".."):
        raise ValueError(f"{what} is {redact(value)[:80]!r}")
    return value


def check_url(url: str) -> None:
    """Raises ``ValueError`` for a URL that leads elsewhere than it says: ``..``, control characters, a fragment.

    The last line of defence, for whatever name it came from.
    """
    path = urlsplit(url).path
    if _FORBIDDEN.search(url.replace(" ", "")) or any(unquote(part) in (".", "..") for part in path.split("/")):
        raise ValueError(f"a name in the URL leads out of its place: {redact(url)[:300]!r}")
