"""Test queries of an API service, as a team writes them: a record, and what must be answered to it.

    endpoint: predict_churn
    queries:
      - name: satisfied customer stays
        features: {account_length: 76, total_day_minutes: 189.7}
        expect: {prediction: "0", probas: {"1": 0.1}, tolerance: 0.2}

A file whose name ends with ``.jsonl`` holds one query a line, with its ``endpoint``.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, JsonValue, ValidationError, model_validator

from mlops_steps.config.fields import Id
from mlops_steps.dss.api_services import Endpoint
from mlops_steps.errors import ConfigError
from mlops_steps.system.text import nearest, one_line
from mlops_steps.trials.plain_yaml import NotYaml, load_plain

# Bytes of a file, and values in it, aliases followed.
_LARGEST = 16 * 1024 * 1024
_MOST_VALUES = 500_000
_MOST_QUERIES = 10_000

TOLERANCE = 0.001
#: What a probability, or a prediction that is a number, may differ by.
Tolerance = Annotated[float, Field(ge=0, allow_inf_nan=False)]


def _one_line(text: str) -> str:
    if not text.strip() or not text.isprintable():
        raise ValueError("must be one line of text")
    return text.strip()


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Expected(_Strict):
    """What must be answered. Nothing of it given: any prediction, or any response of a function.

    ``ignored`` is the reason why the model must give no prediction, ``refused`` a part of the message with which the
    node must refuse the call, ``response`` what a function must return.
    """

    prediction: str | bool | int | float | None = None
    probas: dict[str, Annotated[float, Field(ge=0, le=1)]] | None = None
    tolerance: Tolerance | None = None
    ignored: Annotated[str, AfterValidator(_one_line)] | None = None
    refused: Annotated[str, AfterValidator(_one_line)] | None = None
    response: JsonValue = None

    @model_validator(mode="after")
    def _is_one_thing(self) -> Expected:
        given = self.model_fields_set - {"tolerance"}
        kinds = [name for name in ("ignored", "refused", "response") if name in given]
        if kinds and given != {kinds[0]}:
            raise ValueError(f"{kinds[0]} stands alone: not with {', '.join(sorted(given - {kinds[0]}))}")
        if self.probas is not None and not self.probas:
            raise ValueError("probas must name a class")
        return self


class Query(_Strict):
    """A call of an endpoint. ``features`` are for a prediction, ``parameters`` for a function."""

    name: Annotated[str, Field(max_length=200), AfterValidator(_one_line)] = ""
    endpoint: Id
    features: dict[str, JsonValue] | None = None
    parameters: dict[str, JsonValue] | None = None
    expect: Expected = Expected()

    @model_validator(mode="after")
    def _has_a_record(self) -> Query:
        if (self.features is None) == (self.parameters is None):
            raise ValueError("give features (of a prediction), or parameters (of a function)")
        if self.features is not None and "response" in self.expect.model_fields_set:
            raise ValueError("response is of a function: expect a prediction")
        others = {"prediction", "probas", "ignored"} & self.expect.model_fields_set
        if self.parameters is not None and others:
            raise ValueError(f"{min(others)} is of a prediction: expect a response")
        return self

    @property
    def title(self) -> str:
        """The name; without one a name that stays the same as long as the record does."""
        if self.name:
            return self.name
        text = json.dumps(self.features if self.parameters is None else self.parameters, sort_keys=True)
        return f"{self.endpoint} record {hashlib.sha256(text.encode()).hexdigest()[:8]}"


@dataclass(frozen=True)
class _Entry:
    line: int
    data: Any


def load_queries(path: Path, service: str) -> list[Query]:
    """The queries of the file. Raises :class:`ConfigError` with every problem: its line, and what is wrong."""
    text = _text(path)
    try:
        entries, common = _lines(text) if path.suffix == ".jsonl" else _document(text, service)
    except _Problem as problem:
        raise ConfigError(f"{path.name}:{problem.line}: {problem}") from None
    problems, queries, seen = [], [], dict[str, int]()
    for entry in entries:
        try:
            query = Query.model_validate({**common, **entry.data} if isinstance(entry.data, dict) else entry.data)
        except ValidationError as error:
            problems += [f"{path.name}:{entry.line}: {text}" for text in _explained(error, entry.data)]
            continue
        queries.append(query)
        if query.title in seen:
            where = f"{path.name}:{entry.line}"
            problems.append(f"{where}: {query.title!r} stands in line {seen[query.title]} too: give each its own name")
        seen.setdefault(query.title, entry.line)
    if not (queries or problems):
        problems = [f"{path.name}: there is no query in it"]
    if problems:
        raise ConfigError(problems[0], details=problems[1:], next_step="docs/api-services.md shows such a file")
    return queries


def check_endpoints(queries: Sequence[Query], endpoints: Sequence[Endpoint], service: str) -> None:
    """Raises :class:`ConfigError` for queries of an endpoint that the service does not have, or of another type."""
    known = {endpoint.id: endpoint for endpoint in endpoints}
    problems = []
    for query in queries:
        endpoint = known.get(query.endpoint)
        what = "features" if query.parameters is None else "parameters"
        if endpoint is None:
            near = nearest(query.endpoint, known)
            problems.append(f"{query.title!r}: API service {service} has no endpoint {query.endpoint}{near}")
        elif not (endpoint.is_prediction if query.parameters is None else endpoint.is_function):
            problems.append(f"{query.title!r}: endpoint {query.endpoint} is of type {endpoint.type}: no {what}")
    if problems:
        raise ConfigError(f"test query {problems[0]}", details=problems[1:])


def own_queries(endpoint: Endpoint) -> list[Query]:
    """The test queries that the service itself has, in the API Designer."""
    found = []
    for number, body in enumerate(endpoint.queries, 1):
        title = f"{endpoint.id} test query {number}"
        if endpoint.is_function:
            found.append(Query(name=title, endpoint=endpoint.id, parameters=body))
        elif endpoint.is_prediction and isinstance(features := body.get("features"), dict):
            found.append(Query(name=title, endpoint=endpoint.id, features=features))
    return found


class _Problem(Exception):
    def __init__(self, line: int, text: str) -> None:
        super().__init__(text)
        self.line = line


def _text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(_LARGEST + 1)
    except OSError as error:
        raise ConfigError(f"test queries (api.test.queries): {path}: {error.strerror or error}") from None
    if len(content) > _LARGEST:
        raise ConfigError(f"{path.name}: larger than {_LARGEST // 1024 // 1024} MiB")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise ConfigError(f"{path.name}:{line}: not UTF-8 text") from None


def _lines(text: str) -> tuple[list[_Entry], dict[str, Any]]:
    """The queries of JSON lines."""
    entries = []
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            data = json.loads(line, parse_constant=_no_number)
        except (ValueError, RecursionError) as error:
            raise _Problem(number, f"not JSON: {one_line(str(error), 200)}") from None
        entries.append(_Entry(number, data))
        if len(entries) > _MOST_QUERIES:
            raise _Problem(number, f"more than {_MOST_QUERIES} queries")
    return entries, {}


def _no_number(text: str) -> float:
    raise ValueError(f"{text} is no value of JSON")


def _document(text: str, service: str) -> tuple[list[_Entry], dict[str, Any]]:
    """The queries of a YAML document, and what holds for all of them."""
    try:
        found = load_plain(text, _MOST_VALUES)
    except NotYaml as error:
        raise _Problem(error.line, str(error)) from None
    data = found.data
    if not isinstance(data, dict) or not isinstance(data.get("queries"), list):
        raise _Problem(1, "must be a mapping with the list queries")
    for name in data:
        if name not in ("service", "endpoint", "queries"):
            line = found.lines.get((name,), 1)
            raise _Problem(line, f"unknown key {one_line(str(name), 60)}{nearest(str(name), ['endpoint', 'queries'])}")
    if data.get("service", service) != service:
        raise _Problem(found.lines.get(("service",), 1), f"the queries are of another service than {service}")
    if len(data["queries"]) > _MOST_QUERIES:
        raise _Problem(1, f"more than {_MOST_QUERIES} queries")
    entries = [_Entry(found.lines.get(("queries", at), 1), query) for at, query in enumerate(data["queries"])]
    return entries, {"endpoint": data["endpoint"]} if "endpoint" in data else {}


def _explained(error: ValidationError, data: Any) -> Iterator[str]:
    name = data.get("name") if isinstance(data, dict) else None
    where = f"query {one_line(name, 80)!r}: " if isinstance(name, str) else ""
    seen = set()
    for item in error.errors(include_url=False, include_input=False):
        path = ".".join(str(part) for part in item["loc"] if not str(part).startswith(("function-", "json-")))
        text = str(item["ctx"]["error"]) if item["type"] == "value_error" else item["msg"]
        if item["type"] == "extra_forbidden":
            names = Expected.model_fields if path.startswith("expect.") else Query.model_fields
            text = f"unknown key{nearest(path.rpartition('.')[2], names)}"
        elif item["type"] == "missing":
            text = "is missing"
        line = f"{where}{one_line(path, 120)}{': ' if path else ''}{one_line(text, 300)}"
        if line not in seen:
            seen.add(line)
            yield line
