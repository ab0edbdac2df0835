"""One end in time for a request, which nothing that the other side sends can move.

The time limits of sockets hold for one piece of an answer. A head that arrives a byte at a time, ``100 Continue`` over
and over, a chunk extension or a trailer without an end, empty members of a gzip stream: each of them goes on for ever
inside one call of the standard library. So the limit is kept from outside: one thread for the whole process shuts the
socket of a request whose time is up, and the call that reads from it ends.
"""

from __future__ import annotations

import contextvars
import http.client
import io
import math
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import requests.adapters
import urllib3
import urllib3.connection

# Bytes of a line of an answer: of the head, of a chunk's size, of a trailer. The standard library has the same limit
# for the head.
_LONGEST_LINE = 65536


class RequestLimit:
    """The end of one request in time. ``expired`` says that its socket was shut. Close it when the answer is read."""

    def __init__(self, seconds: float) -> None:
        self.expired = False
        self._end = time.monotonic() + seconds
        # At most one; whoever takes it out of the list shuts or closes it, so that no lock is needed: a signal may
        # interrupt the main thread anywhere.
        self._sockets: list[socket.socket] = []

    @property
    def end(self) -> float:
        """By the monotonic clock, in seconds."""
        return self._end

    @contextmanager
    def running(self) -> Iterator[RequestLimit]:
        """Connections that are used by this thread in the block belong to this request."""
        _watch(self)
        token = _current.set(self)
        try:
            yield self
        finally:
            _current.reset(token)

    def restart(self, seconds: float) -> None:
        """Moves the end: the head has arrived, and a download may take longer than an answer."""
        self._end = time.monotonic() + seconds
        _watch(self)

    def close(self) -> None:
        """The answer has been read, or given up."""
        _watched.discard(self)
        self._drop(shut=False)

    def attach(self, connected: socket.socket) -> None:
        """The socket that the request goes through. A duplicate is kept, as the owner may close or wrap its own."""
        duplicate = socket.socket(fileno=os.dup(connected.fileno()))
        self._drop(shut=False)
        self._sockets.append(duplicate)
        if self.expired:
            self._drop(shut=True)

    def expire(self) -> None:
        """Shuts the socket."""
        self.expired = True
        self._drop(shut=True)

    def _drop(self, *, shut: bool) -> None:
        while self._sockets:
            with suppress(IndexError, OSError):
                taken = self._sockets.pop()
                if shut:
                    with suppress(OSError):
                        taken.shutdown(socket.SHUT_RDWR)
                taken.close()


_current: contextvars.ContextVar[RequestLimit | None] = contextvars.ContextVar("request limit", default=None)
_watched: set[RequestLimit] = set()


class _Watcher:
    """The thread that shuts sockets, started with the first request. It sleeps until the earliest end that it knows."""

    def __init__(self) -> None:
        self._next = -math.inf
        self._earlier = threading.Event()
        self._threads: dict[str, threading.Thread] = {}

    def look(self, end: float) -> None:
        """A request has begun that ends at this time."""
        if "one" not in self._threads:
            thread = threading.Thread(target=self._run, name="request limits", daemon=True)
            if self._threads.setdefault("one", thread) is thread:
                thread.start()
        if end < self._next:
            self._earlier.set()

    def _run(self) -> None:
        while True:
            self._earlier.clear()
            # Whoever comes while the list is looked through wakes the thread once more.
            self._next = math.inf
            now, earliest = time.monotonic(), math.inf
            for limit in list(_watched):
                if limit.end <= now:
                    _watched.discard(limit)
                    limit.expire()
                else:
                    earliest = min(earliest, limit.end)
            self._next = earliest
            self._earlier.wait(min(max(earliest - time.monotonic(), 0.0), 3600.0))


_watcher = _Watcher()


def _watch(limit: RequestLimit) -> None:
    _watched.add(limit)
    _watcher.look(limit.end)


def _after_fork() -> None:
    global _watcher
    _watched.clear()
    _watcher = _Watcher()


os.register_at_fork(after_in_child=_after_fork)


class _Lines(io.BufferedReader):
    """What arrives; a line without an end is refused before it fills the memory."""

    def readline(self, size: int | None = -1) -> bytes:
        if size is not None and size >= 0:
            return super().readline(size)
        line = super().readline(_LONGEST_LINE + 1)
        if len(line) > _LONGEST_LINE:
            raise http.client.LineTooLong("a line of the answer")
        return line


class _Answer(http.client.HTTPResponse):
    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.fp: io.BufferedReader = _Lines(self.fp.detach())


class _Watched:
    """A connection of urllib3 that reports its socket to the limit of the request that uses it."""

    def _new_conn(self) -> socket.socket:
        connected: socket.socket = super()._new_conn()  # type: ignore[misc]
        _attach(connected)
        return connected

    def request(self, *arguments: Any, **options: Any) -> None:
        _attach(self.sock)  # type: ignore[attr-defined]
        super().request(*arguments, **options)  # type: ignore[misc]


def _attach(connected: socket.socket | None) -> None:
    limit = _current.get()
    if limit is not None and connected is not None:
        with suppress(OSError):  # closed already
            limit.attach(connected)


class _Connection(_Watched, urllib3.connection.HTTPConnection):
    response_class = _Answer


class _TlsConnection(_Watched, urllib3.connection.HTTPSConnection):
    response_class = _Answer


class _Pool(urllib3.HTTPConnectionPool):
    ConnectionCls = _Connection


class _TlsPool(urllib3.HTTPSConnectionPool):
    ConnectionCls = _TlsConnection


_POOLS = {"http": _Pool, "https": _TlsPool}


# An upload is sent in pieces of so many bytes. The default of urllib3, 16 KiB, takes several times as long.
_UPLOAD_BLOCK = 256 * 1024


class LimitedAdapter(requests.adapters.HTTPAdapter):
    """Sends requests through connections that a :class:`RequestLimit` can shut."""

    def init_poolmanager(self, *arguments: Any, **options: Any) -> None:
        super().init_poolmanager(*arguments, blocksize=_UPLOAD_BLOCK, **options)
        self.poolmanager.pool_classes_by_scheme = _POOLS

    def proxy_manager_for(self, proxy: str, **options: Any) -> Any:
        manager = super().proxy_manager_for(proxy, blocksize=_UPLOAD_BLOCK, **options)
        if not proxy.lower().startswith("socks"):
            manager.pool_classes_by_scheme = _POOLS
        return manager


def mount(session: requests.Session, connections: int = 10) -> None:
    """Makes the session send its requests through a :class:`LimitedAdapter`, which keeps that many connections open."""
    for scheme in ("http://", "https://"):
        session.mount(scheme, LimitedAdapter(pool_maxsize=connections))
