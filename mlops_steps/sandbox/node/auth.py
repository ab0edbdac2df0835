"""Who may call a node: the three forms of an API key, and the internal tickets of the sandbox's own processes."""

from __future__ import annotations

import base64
import binascii
import hmac
import secrets
import threading
import time
from collections.abc import Iterable, Mapping

TICKET_HEADER = "x-dku-apiticket"


class Tickets:
    """Short-lived keys for child processes. They live in memory: a restart of the node ends them."""

    def __init__(self) -> None:
        self._expiry: dict[str, float] = {}
        self._lock = threading.Lock()

    def issue(self, lifetime: float) -> str:
        """A new ticket that is good for ``lifetime`` seconds."""
        ticket = secrets.token_urlsafe(32)
        now = time.monotonic()
        with self._lock:
            self._expiry = {known: end for known, end in self._expiry.items() if end > now}
            self._expiry[ticket] = now + lifetime
        return ticket

    def revoke(self, ticket: str) -> None:
        """Ends a ticket; unknown ones are ignored."""
        with self._lock:
            self._expiry.pop(ticket, None)

    def accepts(self, candidate: str) -> bool:
        """Whether ``candidate`` is a ticket that has not expired."""
        now = time.monotonic()
        with self._lock:
            valid = [ticket for ticket, end in self._expiry.items() if end > now]
        return matches_any(candidate, valid)


def matches_any(candidate: str, keys: Iterable[str]) -> bool:
    """Compares with every key in constant time."""
    wanted = candidate.encode("utf-8", "surrogateescape")
    found = False
    for key in keys:
        found |= hmac.compare_digest(wanted, key.encode("utf-8"))
    return found


def presented_keys(headers: Mapping[str, str]) -> list[str]:
    """The keys in an Authorization header: basic (as the user name or as the password, the other empty) or bearer."""
    scheme, _, value = headers.get("authorization", "").partition(" ")
    value = value.strip()
    if scheme.lower() == "bearer":
        return [value] if value else []
    if scheme.lower() != "basic":
        return []
    try:
        user, _, password = base64.b64decode(value, validate=True).decode("utf-8").partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return []
    if user and password:
        return []
    return [user or password] if user or password else []


def is_authenticated(headers: Mapping[str, str], api_key: str, tickets: Tickets) -> bool:
    """Whether these request headers (names in lower case) carry the node's key or a valid ticket."""
    if any(matches_any(key, [api_key]) for key in presented_keys(headers)):
        return True
    ticket = headers.get(TICKET_HEADER, "")
    return bool(ticket) and tickets.accepts(ticket)
