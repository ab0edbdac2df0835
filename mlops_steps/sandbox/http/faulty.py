"""Stands before a node's application: logs the requests to the public API, and spoils some of them."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mlops_steps.sandbox.faults.board import Active, LoggedRequest
from mlops_steps.sandbox.faults.operations import API_NODE_PATHS, BASE_PATHS
from mlops_steps.sandbox.http.answers import instead, spoiled
from mlops_steps.sandbox.http.protocol import TRANSPORT, reset
from mlops_steps.sandbox.node.auth import matches_any, presented_keys
from mlops_steps.sandbox.node.node import Node

# Seconds between two looks whether a fault that holds an answer back is over.
_LOOK = 0.02

_INSTEAD = ("error", "html", "empty", "expired-key", "disk-full")
_SPOILED = ("cut", "garbled", "corrupted", "empty-list", "other-project")


class Faulty:
    """The application of a node with its faults."""

    def __init__(self, node: Node, app: ASGIApp) -> None:
        self.node = node
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        faults = self.node.faults
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope.get("headers", ())}
        if scope["type"] != "http" or not self._is_from_outside(scope["path"], headers):
            await self.app(scope, receive, send)
            faults.answered()
            return
        if faults.refusing:
            await _broken(scope, receive)
            return
        request = faults.begin(scope["method"], scope["path"], headers.get("user-agent", ""))
        answer = Answer(send, request, faults.answering)
        start = time.monotonic()
        try:
            active = faults.pick(request)
            if active is None:
                await self.app(scope, receive, answer)
            else:
                request.fault = active.fault.kind
                await Strike(self, active, scope, receive, answer).happen()
        finally:
            faults.answered()
            request.seconds = time.monotonic() - start

    def _is_from_outside(self, path: str, headers: dict[str, str]) -> bool:
        """A request to the public API with the node's key; the node's own child processes have tickets.

        An API node has no such processes, and callers with keys of its services, or without any.
        """
        if self.node.type == "API":
            return path.startswith(tuple(f"{base}/" for base in API_NODE_PATHS))
        if not path.startswith(tuple(f"{base}/" for base in BASE_PATHS)):
            return False
        return any(matches_any(key, [self.node.api_key]) for key in presented_keys(headers))


class Answer:
    """Sends an answer on, and notes its status. ``at_end`` is called before its last piece leaves."""

    def __init__(self, send: Send, request: LoggedRequest, at_end: Callable[[], None]) -> None:
        self._send = send
        self._request = request
        self._at_end = at_end

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._request.status = message["status"]
        elif not message.get("more_body", False):
            self._at_end()
        await self._send(message)


class Kept:
    """An answer that was made and is not sent yet."""

    def __init__(self) -> None:
        self.start: Message = {"type": "http.response.start", "status": 500, "headers": []}
        self.body = b""

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.start = message
        else:
            self.body += message.get("body", b"")

    async def send(self, send: Send, body: bytes) -> None:
        """Sends the answer with another body, as if it were its own."""
        headers = [pair for pair in self.start["headers"] if pair[0].lower() != b"content-length"]
        length = (b"content-length", str(len(body)).encode())
        await send({**self.start, "headers": [*headers, length]})
        await send({"type": "http.response.body", "body": body})


class Strike:
    """One fault at one request."""

    def __init__(self, faulty: Faulty, active: Active, scope: Scope, receive: Receive, send: Send) -> None:
        self.node = faulty.node
        self.app = faulty.app
        self.active = active
        self.fault = active.fault
        self.scope = scope
        self.receive = receive
        self.send = send

    async def happen(self) -> None:
        """Does what the kind of the fault says."""
        kind = self.fault.kind
        if kind in _INSTEAD:
            await self._answer_instead()
        elif kind in _SPOILED:
            kept = await self._work()
            await kept.send(self.send, spoiled(kind, kept.body))
        else:
            special: dict[str, Callable[[], Awaitable[None]]] = {
                "refuse": self._refuse,
                "restart": self._restart,
                "drop": self._drop,
                "reset": self._break_in_the_middle,
                "truncated": self._break_in_the_middle,
                "late": self._late,
                "never": self._never,
                "drip": self._drip,
            }
            await special[kind]()

    async def _work(self) -> Kept:
        """Lets the node do what it was asked, and keeps its answer back."""
        kept = Kept()
        await self.app(self.scope, self.receive, kept)
        return kept

    async def _work_first(self) -> None:
        """Lets the node do what it was asked, if the fault comes after that."""
        if self.fault.act == "after":
            await self._work()

    async def _answer_instead(self) -> None:
        await self._work_first()
        if self.fault.act == "before":
            await _read_all(self.receive)
        await instead(self.fault, self.node.id)(self.scope, self.receive, self.send)

    async def _refuse(self) -> None:
        self.node.faults.refuse(self.active)
        await _broken(self.scope, self.receive)

    async def _restart(self) -> None:
        await self.app(self.scope, self.receive, self.send)
        site, node_id = self.node.site, self.node.id
        self.node.faults.refusing = True  # until it has started again
        threading.Thread(target=site.restart_node, args=(node_id,), name=f"restart-{node_id}", daemon=True).start()

    async def _drop(self) -> None:
        await self._work_first()
        await _broken(self.scope, self.receive)

    async def _break_in_the_middle(self) -> None:
        kept = await self._work()
        if kept.body:
            await self.send(kept.start)
            await self.send({"type": "http.response.body", "body": kept.body[: len(kept.body) // 2], "more_body": True})
        if self.fault.kind == "truncated":
            self.scope[TRANSPORT].close()
        await _broken(self.scope, self.receive)

    async def _late(self) -> None:
        if self.fault.act == "before":
            await self._hold(None)
            await self.app(self.scope, self.receive, self.send)
            return
        kept = await self._work()
        await self._hold(None)
        await self.send(kept.start)
        await self.send({"type": "http.response.body", "body": kept.body})

    async def _never(self) -> None:
        await self._work_first()
        hung_up = asyncio.create_task(_hung_up(self.receive))
        await self._hold(hung_up)
        await _broken(self.scope, self.receive, hung_up)

    async def _drip(self) -> None:
        kept = await self._work()
        hung_up = asyncio.create_task(_hung_up(self.receive))
        await self.send(kept.start)
        for position in range(len(kept.body)):
            await self.send(
                {"type": "http.response.body", "body": kept.body[position : position + 1], "more_body": True}
            )
            await self._hold(hung_up)
            if hung_up.done():
                return
        hung_up.cancel()
        await self.send({"type": "http.response.body", "body": b""})

    async def _hold(self, hung_up: asyncio.Task[None] | None) -> None:
        """Waits for the fault's seconds (without any: for ever), until it is cleared, or until the client has gone."""
        limit = time.monotonic() + self.fault.seconds if self.fault.seconds is not None else None
        while not (self.active.gone.is_set() or (hung_up is not None and hung_up.done())):
            left = limit - time.monotonic() if limit is not None else _LOOK
            if left <= 0:
                return
            await asyncio.sleep(min(left, _LOOK))


async def _read_all(receive: Receive) -> None:
    """Reads the request to its end, so that the client does not see a reset instead of the answer."""
    message = await receive()
    while message["type"] == "http.request" and message.get("more_body", False):
        message = await receive()


async def _hung_up(receive: Receive) -> None:
    """Returns when the client has closed the connection, or it was broken."""
    while (await receive())["type"] != "http.disconnect":
        pass


async def _broken(scope: Scope, receive: Receive, hung_up: asyncio.Task[None] | None = None) -> None:
    """Resets the connection, unless it is closing by itself, and returns when the server has noticed."""
    if not scope[TRANSPORT].is_closing():
        reset(scope[TRANSPORT])
    await (hung_up or _hung_up(receive))
