"""The data of a dataset as text, in the formats that clients ask for; streamed."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from mlops_steps.sandbox.node.errors import bad_request, not_supported
from mlops_steps.sandbox.runtime.lib.dataiku._layout import DatasetData

# Rows in one part of a stream.
_STREAMED_ROWS = 1000
MEDIA_TYPES = {
    "tsv-excel-noheader": "text/tab-separated-values",
    "tsv-excel-header": "text/tab-separated-values",
    "csv": "text/csv",
    "json": "application/json",
}
_NUMBERS: dict[str, Callable[[str], Any]] = {
    **dict.fromkeys(("tinyint", "smallint", "int", "bigint"), int),
    **dict.fromkeys(("float", "double"), float),
    "boolean": lambda text: {"true": True, "false": False}[text.lower()],
}


@dataclass(frozen=True)
class Wanted:
    """What a client wants of a dataset: the format, the columns (none: all of them), at most so many rows."""

    format: str
    columns: Sequence[str] = ()
    limit: int | None = None

    @classmethod
    def of(cls, params: Mapping[str, str], columns: Sequence[str]) -> Wanted:
        """Out of the query of a request.

        :raises DssError: 400, something that the sandbox does not do, or a sampling that is not one.
        """
        chosen = params.get("format", "tsv-excel-noheader")
        if chosen not in MEDIA_TYPES:
            raise not_supported(f"dataset data in format {chosen}")
        if params.get("partitions"):
            raise not_supported("partitions of datasets")
        if params.get("filter"):
            raise not_supported("filters of dataset data")
        names = [name for text in columns for name in text.split(",") if name]
        return cls(chosen, names, _limit(params))


def _limit(params: Mapping[str, str]) -> int | None:
    limits = [params["limit"]] if params.get("limit") else []
    if params.get("sampling"):
        try:
            sampling = json.loads(params["sampling"])
        except ValueError:
            sampling = None
        if not isinstance(sampling, dict):
            raise bad_request("sampling must be a JSON object")
        method = sampling.get("samplingMethod", "FULL")
        if method not in ("FULL", "HEAD_SEQUENTIAL"):
            raise not_supported(f"sampling {method} of dataset data")
        if method == "HEAD_SEQUENTIAL":
            limits.append(str(sampling.get("maxRecords", "")))
    if any(not limit.isdigit() for limit in limits):
        raise bad_request(f"limit must be a number, not {', '.join(limits)}")
    return min((int(limit) for limit in limits), default=None)


def stream(data: DatasetData, wanted: Wanted) -> Iterator[bytes]:
    """The rows as text in the wanted format.

    :raises DssError: 400, an unknown column or no data.
    """
    names = list(wanted.columns or data.names)
    unknown = [name for name in names if name not in data.names]
    if unknown:
        raise bad_request(f"dataset {data.name} has no column {', '.join(unknown)}")
    if not data.files():
        raise bad_request(f"dataset {data.name} has no data")
    positions = [data.names.index(name) for name in names]
    rows = (
        [row[position] if position < len(row) else "" for position in positions]
        for row in islice(data.rows(), wanted.limit)
    )
    if wanted.format == "json":
        types = [str(data.columns[position].get("type")) for position in positions]
        return _parts(_json(rows, names, types))
    header = [names] if wanted.format in ("csv", "tsv-excel-header") else []
    return _parts(_csv(header, rows, "," if wanted.format == "csv" else "\t"))


def _csv(header: list[list[str]], rows: Iterator[list[str]], separator: str) -> Iterator[str]:
    buffer = io.StringIO()
    writer = csv.writer(buffer, delimiter=separator, quotechar='"', doublequote=True, lineterminator="\n")
    for some in (header, rows):
        for row in some:
            writer.writerow(row)
            yield buffer.getvalue()
            buffer.seek(0)
            buffer.truncate()


def _json(rows: Iterator[list[str]], names: list[str], types: list[str]) -> Iterator[str]:
    yield "["
    for number, row in enumerate(rows):
        values = [_value(text, kind) for text, kind in zip(row, types, strict=True)]
        yield (",\n" if number else "\n") + json.dumps(dict(zip(names, values, strict=True)), ensure_ascii=False)
    yield "\n]\n"


def _value(text: str, kind: str) -> Any:
    if text == "":
        return None
    try:
        return _NUMBERS.get(kind, str)(text)
    except (ValueError, KeyError):
        # As DSS does with a value that does not fit its column: the text stays.
        return text


def _parts(texts: Iterator[str]) -> Iterator[bytes]:
    while part := "".join(islice(texts, _STREAMED_ROWS)):
        yield part.encode()
