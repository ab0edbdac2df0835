"""Data frames from and to CSV files. Imports pandas when it is first needed."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ._layout import DatasetData, LayoutError

if TYPE_CHECKING:
    import pandas as pd

_DTYPES = {
    "tinyint": "Int64",
    "smallint": "Int64",
    "int": "Int64",
    "bigint": "Int64",
    "float": "float32",
    "double": "float64",
    "boolean": "boolean",
    "string": "str",
}
_DATE_TYPES = ("date", "dateonly", "datetimenotz")


def read_frame(
    data: DatasetData,
    columns: Sequence[str] | None,
    limit: int | None,
    *,
    typed: bool,
    parse_dates: bool,
    bool_as_str: bool,
    na_values: Any,
    keep_default_na: bool,
) -> pd.DataFrame:
    """The dataset as a data frame.

    :param typed: types of the schema instead of those that pandas finds.
    :raises LayoutError: there are no data, or a column does not exist.
    """
    import pandas as pd

    files = data.files()
    if not files:
        raise LayoutError(f"dataset {data.name} has no data")
    for name in columns or ():
        if name not in data.names:
            raise LayoutError(f"dataset {data.name} has no column {name!r}")
    types = {column["name"]: column["type"] for column in data.columns}
    dtypes = {name: _DTYPES[kind] for name, kind in types.items() if kind in _DTYPES} if typed else {}
    if bool_as_str:
        dtypes.update({name: "str" for name, kind in types.items() if kind == "boolean"})
    frames: list[pd.DataFrame] = []
    left = limit
    for path in files:
        if left is not None and left <= 0:
            break
        frame = pd.read_csv(
            path,
            sep=data.format.separator,
            quotechar=data.format.quote,
            doublequote=data.format.escape is None,
            escapechar=data.format.escape,
            encoding=data.format.encoding,
            names=data.names or None,
            header=None if data.names else 0,
            skiprows=_skipped(data),
            usecols=list(columns) if columns else None,
            nrows=left,
            dtype=dtypes or None,
            na_values=na_values,
            keep_default_na=keep_default_na,
        )
        frames.append(frame)
        left = left - len(frame) if left is not None else None
    result = frames[0] if len(frames) == 1 else pd.concat(frames, ignore_index=True)
    if parse_dates:
        for name, kind in types.items():
            if kind in _DATE_TYPES and name in result:
                result[name] = pd.to_datetime(result[name], utc=kind == "date")
    return result[list(columns)] if columns else result


def _skipped(data: DatasetData) -> int:
    named_by_schema = bool(data.names)
    return data.format.skip_before + (int(data.format.header) if named_by_schema else 0) + data.format.skip_after


def frame_schema(df: pd.DataFrame) -> list[dict[str, str]]:
    """The columns of the schema that fits a data frame."""
    return [{"name": str(name), "type": _type_of(df[name])} for name in df.columns]


def _type_of(series: pd.Series[Any]) -> str:
    import pandas.api.types as types

    if types.is_bool_dtype(series):
        return "boolean"
    if types.is_integer_dtype(series):
        return "bigint"
    if types.is_float_dtype(series):
        return "double"
    if types.is_datetime64_any_dtype(series):
        return "date"
    return "string"


def write_frame(data: DatasetData, df: pd.DataFrame) -> None:
    """Replaces the dataset's data by a data frame."""
    import pandas.api.types as types

    data.directory.mkdir(parents=True, exist_ok=True)
    suffix = ".csv.gz" if data.format.compressed else ".csv"
    handle, name = tempfile.mkstemp(dir=data.directory, prefix=".", suffix=suffix)
    os.close(handle)
    booleans = [column for column in df.columns if types.is_bool_dtype(df[column])]
    if booleans:
        words = {True: "true", False: "false"}
        df = df.assign(**{str(column): df[column].astype(object).map(words) for column in booleans})
    try:
        df.to_csv(
            name,
            sep=data.format.separator,
            quotechar=data.format.quote,
            doublequote=data.format.escape is None,
            escapechar=data.format.escape,
            encoding="utf-8",
            header=data.format.header,
            index=False,
            date_format="%Y-%m-%dT%H:%M:%S.%fZ",
        )
        publish(data, Path(name))
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def publish(data: DatasetData, written: Path) -> None:
    """Makes one written file the only data file of a dataset."""
    target = data.directory / ("out-s0.csv.gz" if data.format.compressed else "out-s0.csv")
    written.replace(target)
    for path in data.files():
        if path != target:
            path.unlink()
