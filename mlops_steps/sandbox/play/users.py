"""Users of an API service: they call it without a pause, and count what was answered and what was not."""

from __future__ import annotations

import itertools
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import requests

# Seconds; a user waits no longer for an answer.
_PATIENCE = 10.0


class Users:
    """Calls at a steady rate, to each API node in turn, from a thread of its own."""

    def __init__(self, urls: Sequence[str], service: str, endpoint: str, records: Sequence[dict[str, Any]]) -> None:
        self._calls = itertools.cycle(
            [f"{url}/public/api/v1/{service}/{endpoint}/predict" for url in urls],
        )
        self._records = itertools.cycle(records)
        self._over = threading.Event()
        self._lock = threading.Lock()
        self._answered: Counter[str] = Counter()
        self._failed: list[str] = []

    @contextmanager
    def calling(self, rate: float) -> Iterator[None]:
        """Calls ``rate`` times a second for the block."""
        thread = threading.Thread(target=self._call, args=(rate,), daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._over.set()
            thread.join(2 * _PATIENCE)

    @property
    def answered(self) -> Counter[str]:
        """How many calls each version has answered."""
        with self._lock:
            return Counter(self._answered)

    @property
    def failed(self) -> list[str]:
        """Why calls had no answer, one text for each."""
        with self._lock:
            return list(self._failed)

    def _call(self, rate: float) -> None:
        due = time.monotonic()
        with requests.Session() as session:
            session.trust_env = False  # no proxy, no .netrc: the nodes are on loopback
            while not self._over.wait(max(0.0, due - time.monotonic())):
                due = max(due + 1 / rate, time.monotonic() - 1)
                self._ask(session, next(self._calls), next(self._records))

    def _ask(self, session: requests.Session, url: str, record: dict[str, Any]) -> None:
        try:
            answer = session.post(url, json={"features": record}, timeout=_PATIENCE)
            answer.raise_for_status()
            version = str(answer.json()["apiContext"]["serviceGeneration"])
        except (requests.RequestException, ValueError, KeyError) as error:
            with self._lock:
                self._failed.append(f"{type(error).__name__}: {error}")
            return
        with self._lock:
            self._answered[version] += 1
