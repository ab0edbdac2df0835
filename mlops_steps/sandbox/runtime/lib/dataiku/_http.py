"""Calls of a scenario's code to its own node, with the ticket of the run. Standard library only: it starts fast."""

from __future__ import annotations

import json
import os
import urllib.error
import urllib.request
from typing import Any

# Seconds. The node answers at once: what takes long is a future that is polled.
REQUEST_TIMEOUT = 60.0


class NodeCallFailed(Exception):
    """The node refused a call. The message is the node's."""


def call(method: str, path: str, body: Any = None) -> Any:
    """A request to the public API of the node; returns the JSON of the answer."""
    # The address is the node's, from the environment that the node made.
    request = urllib.request.Request(  # noqa: S310
        f"{os.environ['DKU_NODE_URL']}/dip/publicapi{path}",
        data=None if body is None else json.dumps(body).encode(),
        method=method,
        headers={"X-DKU-APITicket": os.environ["DKU_API_TICKET"], "Content-Type": "application/json"},
    )
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=REQUEST_TIMEOUT) as answer:
            text = answer.read()
    except urllib.error.HTTPError as error:
        try:
            message = json.loads(error.read()).get("message") or str(error)
        except ValueError:
            message = str(error)
        raise NodeCallFailed(message) from None
    return json.loads(text) if text else None
