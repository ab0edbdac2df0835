"""Scores with packages of API services: the work of a process that ``dku_forks.py`` has forked.

A process has modules of its own, so that two generations of a service never see each other's code. It answers on the
socket that came with the request for it, until the other side closes it.

A message is eight bytes with two lengths, a header (JSON), and a body (JSON text, as it came and as it goes out).
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import socket
import struct
import sys
import traceback
from pathlib import Path
from typing import Any

_LENGTHS = struct.Struct(">II")
ESTIMATOR_FILE = "model.joblib"
VERSION_FILE = "version.json"
IGNORED = {"ignored": True, "ignoreReason": "IGNORED_BY_MODEL"}
# A record that lacks a feature is ignored; with this handling the estimator gets it with a gap.
GAPS = "PASS_ON"


class DkuCustomApiException(Exception):
    """Raised by a function: the answer has this status and message."""

    def __init__(self, message: str, http_status_code: int = 500):
        super().__init__(message)
        self.http_status_code = http_status_code


class Prediction:
    """An endpoint that predicts with a version of a saved model."""

    def __init__(self, endpoint: dict[str, Any], root: Path):
        import joblib

        folder = root / endpoint["modelPath"]
        self.version = json.loads((folder / VERSION_FILE).read_text(encoding="utf-8"))
        self.features: list[str] = self.version["features"]
        self.classes = self.version["classes"]
        self.percentiles = self.version.get("probaPercentiles") or []
        self.passes_on = self.version.get("missingHandling") == GAPS
        self.estimator = joblib.load(folder / ESTIMATOR_FILE)

    def answer(self, body: bytes, many: bool) -> tuple[dict[str, Any], bytes]:
        """The header and the body of an answer: a result, or the list of the results of many records."""
        request = json.loads(body)
        records = [item["features"] for item in request["items"]] if many else [request["features"]]
        results = self.results(records)
        ignored = sum(1 for result in results if result["ignored"])
        text = json.dumps(results if many else results[0])
        return {"status": 200, "records": len(records), "ignored": ignored}, text.encode()

    def results(self, records: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """A result for each record, in their order."""
        import pandas as pd

        rows = _plain_rows(records, self.features)
        kept = list(range(len(records)))
        if rows is None:
            looked = [self._row(record) for record in records]
            kept = [number for number, row in enumerate(looked) if row is not None]
            rows = [row for row in looked if row is not None]
        results = [dict(IGNORED) for _ in records]
        if rows:
            predicted = self._predict(pd.DataFrame(rows, columns=self.features or None))
            for number, result in zip(kept, predicted, strict=True):
                results[number] = result
        return results

    def _row(self, record: dict[str, Any]) -> list[Any] | None:
        """The values of the features; None when the record is to be ignored."""
        row = [_value(record.get(name)) for name in self.features]
        if not self.passes_on and any(value is None for value in row):
            return None
        return [math.nan if value is None else value for value in row]

    def _predict(self, frame: Any) -> list[dict[str, Any]]:
        if not self.classes or not hasattr(self.estimator, "predict_proba"):
            return [{"prediction": _plain(value), "ignored": False} for value in self.estimator.predict(frame)]
        probas = self.estimator.predict_proba(frame)
        labels = [str(label) for label in self.classes]
        results = [
            {
                "prediction": labels[best],
                "probas": dict(zip(labels, row, strict=True)),
                "ignored": False,
            }
            for best, row in zip(probas.argmax(axis=1).tolist(), probas.tolist(), strict=True)
        ]
        if self.percentiles and len(labels) == 2:
            import numpy as np

            ranks = np.searchsorted(self.percentiles, probas[:, 1], side="right").tolist()
            for result, rank in zip(results, ranks, strict=True):
                result["probaPercentile"] = rank
        return results


class Function:
    """An endpoint that runs a Python function."""

    def __init__(self, endpoint: dict[str, Any], _root: Path):
        name = endpoint.get("userFunctionName") or "api_py_function"
        names: dict[str, Any] = {"__name__": "__main__", "DkuCustomApiException": DkuCustomApiException}
        exec(compile(endpoint["code"], f"endpoint {endpoint['id']}", "exec"), names)  # noqa: S102 - this is its purpose
        function = names.get(name)
        if not callable(function):
            raise ValueError(f"the code of endpoint {endpoint['id']} has no function {name}")
        self.function = function

    def answer(self, body: bytes, _many: bool) -> tuple[dict[str, Any], bytes]:
        """The header and the body of an answer."""
        try:
            response = self.function(**json.loads(body))
        except DkuCustomApiException as error:
            return _error(error.http_status_code, error), b""
        return {"status": 200, "records": 1, "ignored": 0}, json.dumps(response, default=_plain).encode()


class Service:
    """The endpoints of an unpacked package, each loaded when it is first asked for."""

    def __init__(self, root: Path):
        self.root = root
        settings = json.loads((root / "service.json").read_text(encoding="utf-8"))
        self.definitions = {endpoint["id"]: endpoint for endpoint in settings["endpoints"]}
        self.loaded: dict[str, Prediction | Function] = {}

    def endpoint(self, name: str) -> Prediction | Function:
        """The endpoint of this id."""
        if name not in self.loaded:
            definition = self.definitions[name]
            kind = Function if definition["type"] == "PY_FUNCTION" else Prediction
            self.loaded[name] = kind(definition, self.root)
        return self.loaded[name]

    def answer(self, header: dict[str, Any], body: bytes) -> tuple[dict[str, Any], bytes]:
        """The answer to one request; what the code raises becomes an answer with status 500."""
        try:
            if header["do"] == "load":
                for name in self.definitions:
                    self.endpoint(name)
                return {"status": 200}, b""
            return self.endpoint(header["endpoint"]).answer(body, bool(header.get("many")))
        except Exception as error:
            traceback.print_exc()
            return _error(500, error), b""


def _plain_rows(records: list[dict[str, Any]], features: list[str]) -> list[list[float]] | None:
    """The rows when every record has a number for every feature, which is the usual case; else None."""
    try:
        rows = [[record[name] for name in features] for record in records]
    except KeyError:
        return None
    values = [value for row in rows for value in row]
    numbers = features and set(map(type, values)) <= {int, float}
    return rows if numbers and not any(map(math.isnan, values)) else None


def _value(given: Any) -> Any:
    """A value of a record: numbers may come as text or as booleans; None when there is none."""
    if given is None or (isinstance(given, float) and math.isnan(given)):
        return None
    if isinstance(given, bool):
        return int(given)
    if isinstance(given, str):
        with contextlib.suppress(ValueError):
            return float(given)
        return given if given.strip() else None
    return given


def _plain(value: Any) -> Any:
    return value.item() if hasattr(value, "item") else str(value)


def _error(status: int, error: BaseException) -> dict[str, Any]:
    return {"status": status, "type": type(error).__name__, "message": str(error) or type(error).__name__}


# ---- messages


def receive(line: socket.socket) -> tuple[dict[str, Any], bytes] | None:
    """A message; None when the other side has closed the line."""
    lengths = _exactly(line, _LENGTHS.size)
    if lengths is None:
        return None
    head, body = _LENGTHS.unpack(lengths)
    content = _exactly(line, head + body)
    return None if content is None else (json.loads(content[:head]), content[head:])


def send(line: socket.socket, header: dict[str, Any], body: bytes) -> None:
    """Sends a message."""
    head = json.dumps(header).encode()
    line.sendall(_LENGTHS.pack(len(head), len(body)) + head + body)


def _exactly(line: socket.socket, size: int) -> bytes | None:
    content = bytearray(size)
    view, done = memoryview(content), 0
    while done < size:
        count = line.recv_into(view[done:])
        if not count:
            return None
        done += count
    return bytes(content)


# ---- processes


def work(line: socket.socket, task: dict[str, Any]) -> None:
    """A worker: answers until the line is closed. What its code prints goes to a file."""
    log = os.open(task["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.close(log)
    sys.path[1:1] = task["library"]
    send(line, {"pid": os.getpid()}, b"")
    try:
        service = Service(Path(task["root"]))
    except Exception as error:
        traceback.print_exc()
        while receive(line):
            send(line, _error(500, error), b"")
        return
    while message := receive(line):
        send(line, *service.answer(*message))
