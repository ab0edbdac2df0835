"""Why a request failed, whoever was asked: in words, and whether the other side can have seen it."""

from __future__ import annotations

from typing import Any
from urllib.request import getproxies_environment

import requests
import urllib3

from mlops_steps.system.text import one_line

# Characters of what is said of one failure; the other side's own words may be in it.
_LONGEST = 500


def never_arrived(error: BaseException) -> bool:
    """Whether no connection came about, so that the other side has seen nothing of the request."""
    if isinstance(error, requests.exceptions.SSLError):
        return False
    if isinstance(error, requests.ConnectTimeout):
        return True
    cause = error.args[0] if error.args else None
    reason = getattr(cause, "reason", cause)
    return isinstance(error, requests.ConnectionError) and isinstance(reason, urllib3.exceptions.NewConnectionError)


def explain_transport(error: BaseException) -> str:
    """One line on why no answer came, without Python's inner names."""
    return one_line(_explained(error), _LONGEST)


def _explained(error: BaseException) -> str:
    if isinstance(error, requests.exceptions.SSLError):
        return f"TLS: {_innermost(error)}"
    if _is_of_a_proxy_variable(error):
        return (
            "a proxy variable (HTTPS_PROXY, HTTP_PROXY, ALL_PROXY) is not a URL; "
            "special characters in its password must be percent-encoded"
        )
    if isinstance(error, requests.exceptions.ProxyError):
        return f"the proxy could not be used: {_innermost(error)}"
    if isinstance(error, requests.ConnectTimeout):
        return "no connection in time"
    if isinstance(error, requests.ReadTimeout) or "timed out" in str(error):
        return "no answer in time"
    if isinstance(error, requests.exceptions.ChunkedEncodingError):
        return "the answer was cut"
    if isinstance(error, requests.exceptions.InvalidJSONError):
        return "the answer is empty, or it is not JSON"
    if isinstance(error, requests.ConnectionError):
        return f"no connection: {_innermost(error)}"
    return str(error) or type(error).__name__


def _is_of_a_proxy_variable(error: BaseException) -> bool:
    """Whether the address of a proxy cannot be read. The error's own text repeats a part of it: of a password, say.

    requests calls that an InvalidURL as it does for the address of a node, which has been checked before.
    """
    if isinstance(error, requests.exceptions.InvalidProxyURL):
        return True
    return isinstance(error, requests.exceptions.InvalidURL) and bool(getproxies_environment().keys() - {"no"})


def _innermost(error: BaseException) -> str:
    """The text of the operating system's or OpenSSL's own error at the bottom of the chain."""
    seen: set[int] = set()
    current: Any = error
    while id(current) not in seen:
        seen.add(id(current))
        inner = getattr(current, "reason", None)
        inner = (
            inner
            if isinstance(inner, BaseException)
            else next((arg for arg in getattr(current, "args", ()) if isinstance(arg, BaseException)), None)
        )
        current = inner or current.__cause__ or current
    text = getattr(current, "strerror", None) or str(current).rpartition(": ")[2] or type(current).__name__
    return str(text)
