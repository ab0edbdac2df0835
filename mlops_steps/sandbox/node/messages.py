"""Reports of messages, in the form in which DSS puts them into results and statuses."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

Severity = Literal["SUCCESS", "INFO", "WARNING", "ERROR"]
_ORDER = ("SUCCESS", "INFO", "WARNING", "ERROR")


def message(severity: Severity, code: str, title: str, text: str, *, fatal: bool = False) -> dict[str, Any]:
    """One message. ``code`` is a well-known identifier, ``title`` a few words, ``text`` the sentence."""
    return {
        "severity": severity,
        "isFatal": fatal,
        "code": code,
        "title": title,
        "message": text,
        "details": text,
        "line": 0,
        "column": 0,
    }


def report(messages: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """A report with these messages."""
    severities = [item["severity"] for item in messages]
    found: dict[str, Any] = {
        "messages": list(messages),
        "anyMessage": bool(messages),
        "success": "SUCCESS" in severities,
        "warning": "WARNING" in severities,
        "error": "ERROR" in severities,
        "fatal": any(item["isFatal"] for item in messages),
    }
    if severities:
        found["maxSeverity"] = max(severities, key=_ORDER.index)
    return found
