"""What an API node has answered: counts for each generation of each endpoint, and the access log."""

from __future__ import annotations

import json
import threading
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

ACCESS_LOG = "access.log"
# Bytes after which the access log begins again; the one before is kept.
LOG_BYTES = 16 * 1024 * 1024
# Calls that latencies are told of.
KEPT_TIMES = 2000
PERCENTILES = (50, 75, 95, 98, 99)


@dataclass(frozen=True)
class Answered:
    """One call. ``generation`` is empty when none was chosen: the call was refused before."""

    service: str
    endpoint: str
    generation: str
    status: int
    milliseconds: float
    records: int = 0
    ignored: int = 0
    forced: bool = False


@dataclass
class Counts:
    """The calls that one generation of an endpoint has answered. ``forced`` are among ``calls``, as are ``errors``.

    ``forced_errors`` are among both.
    """

    calls: int = 0
    forced: int = 0
    errors: int = 0
    forced_errors: int = 0
    records: int = 0
    ignored: int = 0
    times: deque[float] = field(default_factory=lambda: deque(maxlen=KEPT_TIMES))
    unforced_times: deque[float] = field(default_factory=lambda: deque(maxlen=KEPT_TIMES))

    def document(self) -> dict[str, Any]:
        """As plain data, with percentiles of the latest times in milliseconds: of all calls, and of the unforced."""
        return {
            "calls": self.calls,
            "forcedCalls": self.forced,
            "errors": self.errors,
            "forcedErrors": self.forced_errors,
            "records": self.records,
            "ignoredRecords": self.ignored,
            "responseTimeMs": _percentiles(self.times),
            "unforcedResponseTimeMs": _percentiles(self.unforced_times),
        }


def _percentiles(times: Iterable[float]) -> dict[str, float]:
    ordered = sorted(times)
    count = len(ordered)
    return {f"p{p}": round(ordered[min(count - 1, count * p // 100)], 3) for p in PERCENTILES} if ordered else {}


class Activity:
    """The activity of one API node since the sandbox was opened. Safe to use from several threads."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self._counts: dict[tuple[str, str, str], Counts] = {}
        # Calls and errors of an endpoint by the minute (seconds since 1970).
        self._minutes: dict[tuple[str, str], dict[int, list[float]]] = {}

    def add(self, answered: Answered) -> None:
        """Counts a call and writes its line."""
        now = datetime.now(timezone.utc)
        failed = answered.status >= 500
        with self._lock:
            counts = self._counts.setdefault((answered.service, answered.endpoint, answered.generation), Counts())
            counts.calls += 1
            counts.forced += answered.forced
            counts.errors += answered.status >= 400
            counts.forced_errors += answered.forced and answered.status >= 400
            counts.records += answered.records
            counts.ignored += answered.ignored
            counts.times.append(answered.milliseconds)
            if not answered.forced:
                counts.unforced_times.append(answered.milliseconds)
            minutes = self._minutes.setdefault((answered.service, answered.endpoint), {})
            minute = minutes.setdefault(int(now.timestamp()) // 60 * 60, [0, 0, 0.0])
            minute[0] += 1
            minute[1] += failed
            minute[2] += answered.milliseconds
            self._write(now, answered)

    def _write(self, now: datetime, answered: Answered) -> None:
        self._folder.mkdir(mode=0o700, exist_ok=True)
        path = self._folder / ACCESS_LOG
        line = {
            "time": now.isoformat(timespec="milliseconds"),
            "service": answered.service,
            "endpoint": answered.endpoint,
            "generation": answered.generation,
            "forced": answered.forced,
            "status": answered.status,
            "records": answered.records,
            "ignored": answered.ignored,
            "ms": round(answered.milliseconds, 3),
        }
        with path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
            size = file.tell()
        if size > LOG_BYTES:
            path.replace(path.with_suffix(".log.1"))

    def of_generations(self, service: str) -> dict[str, Counts]:
        """The counts of a service by generation, its endpoints together; ``""`` for refused calls."""
        with self._lock:
            found: dict[str, Counts] = {}
            for (name, _endpoint, generation), counts in self._counts.items():
                if name == service:
                    total = found.setdefault(generation, Counts())
                    for item in ("calls", "forced", "errors", "forced_errors", "records", "ignored"):
                        setattr(total, item, getattr(total, item) + getattr(counts, item))
                    total.times.extend(counts.times)
            return found

    def minutes(self, service: str, endpoint: str) -> dict[int, list[float]]:
        """Calls, errors of the node and milliseconds together, by the minute in which they ended."""
        with self._lock:
            return {minute: list(values) for minute, values in self._minutes.get((service, endpoint), {}).items()}

    def document(self) -> dict[str, Any]:
        """All of it as plain data: service → endpoint → generation."""
        with self._lock:
            services: dict[str, Any] = {}
            for (service, endpoint, generation), counts in sorted(self._counts.items()):
                endpoints = services.setdefault(service, {"endpoints": {}})["endpoints"]
                entry = endpoints.setdefault(endpoint, {"generations": {}, "refused": None, "perMinute": []})
                if generation:
                    entry["generations"][generation] = counts.document()
                else:
                    entry["refused"] = counts.document()
            for (service, endpoint), minutes in self._minutes.items():
                services[service]["endpoints"][endpoint]["perMinute"] = [
                    {
                        "timestamp": minute * 1000,
                        "calls": int(calls),
                        "serverErrors": int(errors),
                        "ms": round(total, 3),
                    }
                    for minute, (calls, errors, total) in sorted(minutes.items())
                ]
            return {"services": services}
