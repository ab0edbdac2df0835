"""Errors in the form in which DSS sends them, which the official client turns into ``DataikuException``."""

from __future__ import annotations

from typing import Any


class DssError(Exception):
    """An answer of ``status`` 400 or more. The client shows ``error_type: message``."""

    def __init__(self, status: int, error_type: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.error_type = error_type
        self.message = message

    def document(self) -> dict[str, Any]:
        """The body of the answer."""
        return {
            "errorType": self.error_type,
            "message": self.message,
            "detailedMessage": self.message,
            "detailedMessageHTML": None,
            "stackTraceStr": None,
            "httpCode": self.status,
        }


def bad_request(why: str) -> DssError:
    """400: the request makes no sense."""
    return DssError(400, "java.lang.IllegalArgumentException", why)


def unauthorized(why: str) -> DssError:
    """401: no key, or not this node's key."""
    return DssError(401, "com.dataiku.dip.exceptions.UnauthorizedException", why)


def forbidden(why: str) -> DssError:
    """403: understood, and not allowed."""
    return DssError(403, "com.dataiku.dip.exceptions.UnauthorizedException", why)


def not_found(what: str) -> DssError:
    """404. ``what`` is a sentence such as ``project X does not exist``."""
    return DssError(404, "com.dataiku.dip.server.controllers.NotFoundException", what)


def conflict(why: str) -> DssError:
    """409: the request makes sense, but not in the present state."""
    return DssError(409, "java.lang.IllegalStateException", why)


def not_supported(operation: str) -> DssError:
    """400: DSS can do this, the sandbox can't. ``operation`` names it.

    Public clients repeat what was answered with 501, or any 5xx, and read 404 as "this object does not exist".
    """
    return DssError(400, "java.lang.UnsupportedOperationException", f"not supported by the sandbox: {operation}")
