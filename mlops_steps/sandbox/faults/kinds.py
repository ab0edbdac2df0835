"""The kinds of faults: what each one does, and which settings it takes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Act = Literal["before", "after"]

#: ``wire``: seen in the answer to a request. ``node``: the whole node. ``work``: what the node does, or says of it.
Place = Literal["wire", "node", "work"]

FOR_EVER = 0

HTML_STATUS = (200, 502)


@dataclass(frozen=True)
class Kind:
    """``acts`` are the points at which it can act, the default first; ``count`` 0 means for ever."""

    name: str
    summary: str
    place: Place = "wire"
    acts: tuple[Act, ...] = ("before",)
    settings: frozenset[str] = frozenset()
    count: int = 1
    seconds: float | None = None
    status: int | None = None


def _kind(
    name: str,
    summary: str,
    *settings: str,
    place: Place = "wire",
    acts: tuple[Act, ...] = ("before",),
    count: int = 1,
    seconds: float | None = None,
    status: int | None = None,
) -> Kind:
    return Kind(name, summary, place, acts, frozenset(settings), count, seconds, status)


_BOTH: tuple[Act, ...] = ("before", "after")
_LOST: tuple[Act, ...] = ("after", "before")
_LATER: tuple[Act, ...] = ("after",)

KINDS = {
    kind.name: kind
    for kind in (
        _kind("refuse", "the node's port is closed for some seconds (for ever: until cleared)", "seconds", place="node",
              seconds=2.0),
        _kind("restart", "the node is restarted: it forgets its futures", place="node", acts=_LATER),
        _kind("drop", "the connection is reset, and no byte of an answer is sent", acts=_LOST),
        _kind("reset", "the connection is reset in the middle of the answer", acts=_LATER),
        _kind("truncated", "the connection is closed in the middle of the answer", acts=_LATER),
        _kind("late", "the answer comes some seconds late", "seconds", acts=_BOTH, seconds=10.0),
        _kind("drip", "the answer comes byte by byte, with a pause (seconds) after each", "seconds", acts=_LATER,
              seconds=0.2),
        _kind("never", "the connection stays open and no answer comes", acts=_BOTH),
        _kind("error", "an error document of DSS", "status", "retry_after", "message", acts=_BOTH, status=503),
        _kind("html", "the HTML page of a proxy", "status", acts=_BOTH, status=502),
        _kind("empty", "an answer without a body", "status", acts=_LOST, status=200),
        _kind("cut", "half of the body, as if that were all", acts=_LATER),
        _kind("garbled", "bytes in the middle of the body that can't be read as text", acts=_LATER),
        _kind("corrupted", "one bit of the body is wrong; for downloads", acts=_LATER),
        _kind("empty-list", "a well-formed answer whose lists are empty", acts=_LATER),
        _kind("other-project", "a well-formed answer about another project", acts=_LATER),
        _kind("expired-key", "the key is refused (401), from now on", count=FOR_EVER, status=401),
        _kind("disk-full", "the error of a node whose disk is full", "status", status=500),
        _kind("future-never-ends", "a future that does not end until it is aborted", place="work", acts=_LOST),
        _kind("future-without-result", "a future that ends without a result", place="work", acts=_LOST),
        _kind("future-lost", "a future that the node knows nothing of (404)", place="work", acts=_LOST),
        _kind("update-fails", "the update of a deployment fails", "message", place="work", acts=_BOTH),
        _kind("update-lies", "the update says success, and the node goes on with the bundle it had", place="work"),
        _kind("health", "what the deployer says of the health: one word, or several in turn", "health", place="work",
              count=FOR_EVER),
        _kind("trigger-cancelled", "the trigger of a scenario is cancelled", place="work"),
        _kind("scenario-hangs", "a run of a scenario does not end until it is aborted", place="work"),
        _kind("scenario-ends", "a run of a scenario ends with another outcome", "outcome", place="work"),
    )
}  # fmt: skip

HEALTHS = ("UNKNOWN", "ERROR", "WARNING", "HEALTHY", "UNHEALTHY", "OUT_OF_SYNC")
OUTCOMES = ("SUCCESS", "WARNING", "FAILED", "ABORTED")
