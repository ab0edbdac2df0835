"""Answers that never end, over raw sockets, and a proxy that gives them in place of a node's."""

from __future__ import annotations

import gzip
import re
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
# Long enough that no test waits for it, short enough that no thread is left for long.
LONGEST = 60.0


def _slowly(piece: bytes) -> Iterator[bytes]:
    while True:
        yield piece
        time.sleep(0.02)


def _status_line() -> Iterator[bytes]:
    yield b"HTTP/1.1 200 "
    yield from _slowly(b"O")


def _head() -> Iterator[bytes]:
    yield HEAD + b"X-Long: "
    yield from _slowly(b"a")


def _head_lines() -> Iterator[bytes]:
    yield HEAD
    for number in range(90):
        yield b"X-%d: a\r\n" % number
        time.sleep(0.5)


def _continue() -> Iterator[bytes]:
    yield from _slowly(b"HTTP/1.1 100 Continue\r\n\r\n")


def _chunk_extension() -> Iterator[bytes]:
    yield CHUNKED + b"2;x="
    yield from _slowly(b"y")


def _long_chunk_extension() -> Iterator[bytes]:
    """As fast as it can be sent: it must not fill the memory."""
    yield CHUNKED + b"2;x="
    while True:
        yield b"y" * 65536


def _empty_chunk_extensions() -> Iterator[bytes]:
    yield CHUNKED
    yield from _slowly(b"1;x=y\r\n \r\n")


def _trailers() -> Iterator[bytes]:
    yield CHUNKED + b"2\r\n{}\r\n0\r\n"
    yield from _slowly(b"X-Trailer: a\r\n")


def _trailer() -> Iterator[bytes]:
    yield CHUNKED + b"2\r\n{}\r\n0\r\nX-Trailer: "
    yield from _slowly(b"a")


def _gzip_members() -> Iterator[bytes]:
    yield HEAD + b"Content-Encoding: gzip\r\nContent-Length: 1000000000\r\n\r\n"
    yield from _slowly(gzip.compress(b"") * 10)


def _body() -> Iterator[bytes]:
    yield HEAD + b"Content-Length: 1000000\r\n\r\n"
    yield from _slowly(b" ")


def _body_until_the_end() -> Iterator[bytes]:
    yield HEAD + b"Connection: close\r\n\r\n{}"
    yield from _slowly(b" ")


KINDS: dict[str, Callable[[], Iterator[bytes]]] = {
    "status line": _status_line,
    "head": _head,
    "head lines": _head_lines,
    "100 Continue": _continue,
    "chunk extension": _chunk_extension,
    "long chunk extension": _long_chunk_extension,
    "chunks with extensions": _empty_chunk_extensions,
    "trailers": _trailers,
    "trailer": _trailer,
    "gzip members": _gzip_members,
    "body": _body,
    "body until the end": _body_until_the_end,
}


def endlessly(connection: socket.socket, kind: str, closed: threading.Event | None = None) -> None:
    """Answers for ever, or until nobody reads any more."""
    end = time.monotonic() + LONGEST
    with suppress(OSError):
        for piece in KINDS[kind]():
            if time.monotonic() > end or (closed is not None and closed.is_set()):
                return
            connection.sendall(piece)


class EndlessProxy:
    """Passes requests on to a node, connection by connection, until ``kind`` is set: then answers never end.

    ``after`` requests that many more are passed on first.
    """

    def __init__(self, url: str = "", context: ssl.SSLContext | None = None) -> None:
        self.kind = ""
        self.after = 0
        self.asked: list[str] = []
        self.endless = 0
        self._target = re.fullmatch(r"http://([^:/]+):(\d+)/?", url)
        self._context = context
        self._closed = threading.Event()
        self._socket = socket.create_server(("127.0.0.1", 0))
        scheme = "https" if context else "http"
        self.url = f"{scheme}://127.0.0.1:{self._socket.getsockname()[1]}"
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        self._closed.set()
        self._socket.close()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            threading.Thread(target=self._answer, args=(connection,), daemon=True).start()

    def _answer(self, connection: socket.socket) -> None:
        with suppress(OSError):
            if self._context:
                connection = self._context.wrap_socket(connection, server_side=True)
            with connection:
                while self._answer_one(connection):
                    pass

    def _answer_one(self, connection: socket.socket) -> bool:
        head, _, body = _read_until(connection, b"\r\n\r\n").partition(b"\r\n\r\n")
        if not head:
            return False
        line = head.split(b"\r\n")[0].decode("latin-1")
        self.asked.append(line)
        if self.kind and self.after <= 0:
            self.endless += 1
            endlessly(connection, self.kind, self._closed)
            return False
        self.after -= 1
        assert self._target
        length = re.search(rb"(?im)^content-length: *(\d+)", head)
        with socket.create_connection((self._target[1], int(self._target[2])), 60) as node:
            # Answered and closed, so that the next request comes through here too.
            head = re.sub(rb"(?im)^(connection|host):.*\r\n", b"", head + b"\r\n")
            host = f"Host: {self._target[1]}:{self._target[2]}\r\nConnection: close\r\n\r\n".encode()
            node.sendall(head + host + body)
            missing = int(length[1]) - len(body) if length else 0
            while missing > 0 and (piece := connection.recv(65536)):
                node.sendall(piece)
                missing -= len(piece)
            while piece := node.recv(65536):
                connection.sendall(piece)
        return False


def _read_until(connection: socket.socket, end: bytes) -> bytes:
    found = b""
    while end not in found:
        piece = connection.recv(65536)
        if not piece:
            return b""
        found += piece
    return found
