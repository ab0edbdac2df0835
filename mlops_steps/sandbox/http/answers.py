"""Answers that are not what was asked for."""

from __future__ import annotations

import http
import json
import re

from starlette.responses import HTMLResponse, JSONResponse, Response

from mlops_steps.sandbox.faults.model import Fault
from mlops_steps.sandbox.node.errors import DssError, unauthorized

_PAGE = """<!DOCTYPE html>
<html><head><title>{status} {title}</title></head>
<body><h1>{title}</h1><p>{text}</p><hr><address>proxy.example.com</address></body></html>
"""


def instead(fault: Fault, node_id: str) -> Response:
    """The answer that a fault gives in place of the node's own."""
    status = fault.status or 500
    if fault.kind == "html":
        return _page(status)
    if fault.kind == "empty":
        return Response(status_code=status, media_type="application/json")
    if fault.kind == "expired-key":
        return _document(unauthorized(f"The API key has expired on node {node_id}"))
    if fault.kind == "disk-full":
        return _document(DssError(status, "java.io.IOException", "No space left on device"))
    phrase = http.HTTPStatus(status).phrase if status in set(http.HTTPStatus) else "error"
    response = _document(DssError(status, _error_type(status), fault.message or phrase))
    if fault.retry_after is not None:
        response.headers["Retry-After"] = str(fault.retry_after)
    return response


def _document(error: DssError) -> Response:
    return JSONResponse(error.document(), status_code=error.status)


def _error_type(status: int) -> str:
    types = {
        401: "com.dataiku.dip.exceptions.UnauthorizedException",
        403: "com.dataiku.dip.exceptions.UnauthorizedException",
        404: "com.dataiku.dip.server.controllers.NotFoundException",
    }
    return types.get(status, "java.lang.IllegalStateException" if status < 500 else "java.lang.RuntimeException")


def _page(status: int) -> Response:
    if status == 200:
        title, text = "Sign in", "Your session has ended. Sign in to go on."
    else:
        title = http.HTTPStatus(status).phrase if status in set(http.HTTPStatus) else "Error"
        text = "The server behind this proxy did not answer as it should."
    return HTMLResponse(_PAGE.format(status=status, title=title, text=text), status_code=status)


def spoiled(kind: str, body: bytes) -> bytes:
    """The body as the fault (``cut``, ``garbled``, ``corrupted``, ``empty-list``, ``other-project``) leaves it."""
    if kind in ("empty-list", "other-project"):
        return _wrong(kind, body)
    middle = len(body) // 2
    if kind == "cut":
        return body[:middle]
    if kind == "corrupted":
        return body[:middle] + bytes([body[middle] ^ 0x01]) + body[middle + 1 :] if body else body
    # 0xff is in no UTF-8 text.
    return body[:middle] + b"\xff\x00<"[: len(body) - middle] + body[middle + 3 :]


def _wrong(kind: str, body: bytes) -> bytes:
    """An answer of the same form that is not true; what is not JSON stays as it is."""
    try:
        document = json.loads(body)
    except ValueError:
        return body
    if kind == "empty-list":
        if isinstance(document, dict):
            document = {name: [] if isinstance(value, list) else value for name, value in document.items()}
        return json.dumps([] if isinstance(document, list) else document).encode()
    text = json.dumps(document)
    for key in sorted(set(re.findall(r'"(?:p|publishedP|deployedP)rojectKey": "([^"]+)"', text))):
        text = text.replace(key, f"OTHER_{key}")
    return text.encode()
