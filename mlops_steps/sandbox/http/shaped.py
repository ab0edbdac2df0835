"""Stands before a node's application: gives its answers to clients the shapes of a site's DSS."""

from __future__ import annotations

import json
from dataclasses import dataclass

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mlops_steps.sandbox.faults.operations import API_DEPLOYER_AGENT, CONTROL_PATH, DEPLOYER_AGENT
from mlops_steps.sandbox.node.node import Node
from mlops_steps.shapes.document import NODES, Shapes
from mlops_steps.shapes.reshape import reshape
from mlops_steps.shapes.words import template

_INNER_AGENTS = (DEPLOYER_AGENT, API_DEPLOYER_AGENT)
_KINDS = {"DESIGN": NODES[0], "AUTOMATION": NODES[1], "API": NODES[2]}


@dataclass(frozen=True)
class SiteShapes:
    """The shapes of a site, and those of the sandbox, which the first are compared with."""

    own: Shapes
    site: Shapes


class Shaped:
    """The application of a node, with the shapes of its ``shapes`` where it has any."""

    def __init__(self, node: Node, app: ASGIApp) -> None:
        self.node = node
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        shapes = self.node.shapes
        if not isinstance(shapes, SiteShapes) or scope["type"] != "http" or not self._is_for_a_client(scope):
            await self.app(scope, receive, send)
            return
        kind, request = _KINDS[self.node.type], template(scope["method"], scope["path"])
        own, site = shapes.own.of(kind, request), shapes.site.of(kind, request)
        if own is None or site is None or own == site:
            await self.app(scope, receive, send)
            return
        kept: list[Message] = []

        async def keep(message: Message) -> None:
            kept.append(message)

        await self.app(scope, receive, keep)
        start, body = kept[0], b"".join(message.get("body", b"") for message in kept[1:])
        if start["status"] < 300 and _is_json(start):
            body = json.dumps(reshape(json.loads(body), own, site)).encode()
        headers = [pair for pair in start["headers"] if pair[0].lower() != b"content-length"]
        await send({**start, "headers": [*headers, (b"content-length", str(len(body)).encode())]})
        await send({"type": "http.response.body", "body": body})

    def _is_for_a_client(self, scope: Scope) -> bool:
        """Neither the deployers of the sandbox nor the code of its projects know other shapes than its own."""
        headers = {name.lower(): value.decode("latin-1") for name, value in scope["headers"]}
        inner = headers.get(b"user-agent", "") in _INNER_AGENTS or b"x-dku-apiticket" in headers
        return not inner and not scope["path"].startswith(CONTROL_PATH)


def _is_json(start: Message) -> bool:
    return any(
        name.lower() == b"content-type" and value.startswith(b"application/json") for name, value in start["headers"]
    )
