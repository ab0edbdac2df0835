"""Texts made fit for reports: without terminal escapes, without characters that XML forbids, not too long."""

from __future__ import annotations

import re
from collections.abc import Iterable
from difflib import get_close_matches

from mlops_steps.system.secrets import redact

# Terminal escapes, in the 7-bit form (ESC and a letter) and the 8-bit form (one C1 character). A sequence without its
# end is left to the next filter, which takes only the ESC away: nothing of the text that follows may get lost.
_ESCAPES = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]"  # CSI: colours, cursor
    r"|(?:\x1b[\]PX^_]|[\x9d\x90\x98\x9e\x9f])[^\x07\x1b\x80-\x9f\n]*(?:\x07|\x1b\\|\x9c)"  # OSC, DCS …: titles, links
    r"|\x1b[ -/]+[0-~]"  # character sets
    r"|\x1b[0-~]"  # everything else with two characters
)
#: A character that XML 1.0 cannot carry.
NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
# What XML 1.0 allows, less the control characters that it merely discourages. Lone surrogates are not in it.
_FORBIDDEN = re.compile("[^\t\n\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_LINE_ENDS = re.compile(r"\r+\n?")
_LONGEST_SECRET = 512


def clean(text: str) -> str:
    """The text without terminal escapes and without characters that XML 1.0 forbids; line ends become ``\\n``.

    A carriage return alone is a line end too: progress bars then show as one line per state.
    """
    if _FORBIDDEN.search(text) is None:  # most texts: each escape begins with a character that is forbidden
        return text
    return _FORBIDDEN.sub("", _LINE_ENDS.sub("\n", _ESCAPES.sub("", text)))


def presentable(text: str, limit: int) -> str:
    """The text as a report may hold it: clean, secrets masked, at most about ``limit`` bytes of its head and tail."""
    return shorten_middle(redact(clean(text)), limit) if text else ""


def one_line(text: str, limit: int) -> str:
    """The text as a name: presentable, on one line, at most ``limit`` characters.

    The time that it takes does not depend on the length of the text.
    """
    most = 20 * limit + 4096
    line = " ".join(redact(clean(text[:most])).split())
    if len(text) > most:
        line = line[: -(_LONGEST_SECRET + 1)] + "…"  # a secret at the cut is not whole, and so not masked
    return line if len(line) <= limit else line[: limit - 1].rstrip() + "…"


def shorten_middle(text: str, limit: int) -> str:
    """Keeps the head and the tail of a text that has more than ``limit`` bytes in UTF-8.

    The tail, where a failure shows, gets two thirds. The cuts are at line ends where one is near, and a line in
    between says how many bytes were left out. That line comes on top of the limit.
    """
    if 4 * len(text) <= limit:
        return text
    data = text.encode("utf-8", "replace")
    if len(data) <= limit:
        return text
    head = data[: limit // 3].decode("utf-8", "ignore")
    tail = data[len(data) - (limit - limit // 3) :].decode("utf-8", "ignore")
    line_end = head.rfind("\n")
    if line_end > len(head) // 2:
        head = head[:line_end]
    line_start = tail.find("\n")
    if 0 <= line_start < len(tail) // 2:
        tail = tail[line_start + 1 :]
    left_out = len(data) - len(head.encode()) - len(tail.encode())
    return f"{head}\n[… {left_out} bytes left out …]\n{tail}"


def nearest(word: str, known: Iterable[object]) -> str:
    """``"; did you mean …?"`` with the nearest of the known words, or an empty text."""
    candidates = {str(name).lower(): str(name) for name in known}
    found = get_close_matches(word.lower(), candidates, n=1, cutoff=0.6)
    return f"; did you mean {candidates[found[0]]}?" if found else ""
