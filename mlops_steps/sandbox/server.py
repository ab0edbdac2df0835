"""The HTTP server of one node, on loopback."""

from __future__ import annotations

import logging
import socket
import threading
import time

import uvicorn

from mlops_steps.errors import NodeError
from mlops_steps.sandbox.app import create_app
from mlops_steps.sandbox.http.protocol import BreakableProtocol, reset
from mlops_steps.sandbox.node.node import Node

HOST = "127.0.0.1"
START_SECONDS = 20.0
STOP_SECONDS = 5.0

log = logging.getLogger(__name__)


class NodeServer:
    """One uvicorn server in a thread of its own."""

    def __init__(self, node: Node, listener: socket.socket) -> None:
        self.node = node
        self.listener = listener
        self.server = uvicorn.Server(
            uvicorn.Config(
                create_app(node),
                http=BreakableProtocol,
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                # Longer than a client keeps an idle connection, so that none is closed under a request.
                timeout_keep_alive=300,
                timeout_graceful_shutdown=int(STOP_SECONDS),
            )
        )
        self.thread = threading.Thread(
            target=self.server.run, kwargs={"sockets": [listener]}, name=f"node-{node.id}", daemon=True
        )

    def start(self) -> None:
        """Begins to serve; connections that come before it has begun wait."""
        self.thread.start()

    def wait_until_started(self) -> None:
        """Returns when the server accepts connections. Raises :class:`NodeError`."""
        limit = time.monotonic() + START_SECONDS
        while not self.server.started:
            if not self.thread.is_alive() or time.monotonic() > limit:
                raise NodeError(f"Node {self.node.id} of the sandbox did not start")
            time.sleep(0.005)

    def ask_to_stop(self) -> None:
        """Tells the server to end, and does not wait for it."""
        self.server.should_exit = True

    def break_off(self) -> None:
        """Closes the port and resets every connection; what is being worked on goes on, and nobody hears of it."""

        def close() -> None:
            for listener in self.server.servers:
                listener.close()
            for connection in list(self.server.server_state.connections):
                reset(connection.transport)

        self.server.servers[0].get_loop().call_soon_threadsafe(close)
        self.server.should_exit = self.server.force_exit = True

    def stop(self) -> None:
        """Lets running requests end, within a limit, and closes the port."""
        self.ask_to_stop()
        self.thread.join(STOP_SECONDS)
        if self.thread.is_alive():
            self.server.force_exit = True
            self.thread.join(STOP_SECONDS)
        self.listener.close()


def listen(port: int) -> socket.socket:
    """A listening socket, on another port when this one is taken."""
    try:
        listener = bind(port)
    except OSError:
        if port == 0:
            raise
        log.warning("port %s is taken; another one is used", port)
        listener = bind(0)
    listener.listen(128)
    return listener


def bind(port: int) -> socket.socket:
    """A socket of a port; 0 for a free one. Raises :class:`OSError` when it is taken."""
    # With the protocol named, asyncio switches Nagle's algorithm off, which would hold back the body of each answer.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((HOST, port))
    except OSError:
        listener.close()
        raise
    return listener
