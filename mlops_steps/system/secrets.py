"""What must never be printed, and its masking.

Keys are kept out of every text in the first place; masking is the second line of defence, for texts that come from
elsewhere (a node's error message, a scenario's log).
"""

from __future__ import annotations

import base64
import errno
import os
import re
import stat
import threading
from pathlib import Path
from urllib.parse import quote

MASK = "********"

# Shorter values would mask ordinary words.
_SHORTEST = 6

# user:password@ in a URL
_USER_INFO = re.compile(r"(?P<scheme>\b[a-z][a-z0-9+.-]{0,30}://)[^\s/@'\"<>]+@", re.IGNORECASE)

_lock = threading.Lock()
_forms: tuple[str, ...] = ()  # replaced as a whole: who prints needs no lock, whatever has interrupted it


def register(secret: str) -> None:
    """Remembers a secret, so that :func:`redact` masks it in each form in which it may appear."""
    if len(secret) < _SHORTEST:
        return
    forms = {secret, quote(secret, safe="")}
    # The key travels as the user name or as the password of HTTP basic authentication.
    forms.update(base64.b64encode(text.encode()).decode() for text in (f"{secret}:", f":{secret}", secret))
    global _forms
    with _lock:
        _forms = tuple(sorted(forms.union(_forms), key=len, reverse=True))


def read_secret(path: Path, largest: int = 16 * 1024) -> str:
    """The secret in a file: its text without the white space around it, ``largest`` bytes at most.

    Raises ``OSError`` for what cannot be read or is not a regular file (a pipe that nobody writes to would never end),
    ``ValueError`` for what is not UTF-8 text.
    """
    not_regular = OSError(errno.EINVAL, "not a regular file")
    if not stat.S_ISREG(path.stat().st_mode):  # before it is opened: a device may do something then
        raise not_regular
    with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise not_regular
        return file.read(largest).decode("utf-8-sig").strip()


def redact(text: str) -> str:
    """Returns the text with registered secrets, and user info in URLs, masked."""
    for form in _forms:
        text = text.replace(form, MASK)
    if "://" not in text:
        return text
    return _USER_INFO.sub(rf"\g<scheme>{MASK}@", text)
