"""Datasets as data frames and as rows."""

# The signatures are those of DSS, also where the sandbox has no use for an argument.
# ruff: noqa: ARG002

from __future__ import annotations

import csv
import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from ._context import Unsupported, context, split_reference
from ._frames import frame_schema, publish, read_frame, write_frame
from ._layout import DatasetData, write_document

if TYPE_CHECKING:
    import pandas as pd

_CASTS: dict[str, Any] = {
    "tinyint": int,
    "smallint": int,
    "int": int,
    "bigint": int,
    "float": float,
    "double": float,
    "boolean": lambda text: text.lower() == "true",
}


class Dataset:
    """A dataset of the project, by ``name`` or ``PROJECT.name``."""

    def __init__(self, name: str, project_key: str | None = None, ignore_flow: bool = False):
        key, self.short_name = split_reference(name, project_key)
        self._context = context(key)
        self.project_key = self._context.project_key
        self.name = self.full_name = f"{self.project_key}.{self.short_name}"
        self.ignore_flow = ignore_flow
        self._data()

    def _data(self) -> DatasetData:
        # Read again each time: a step of a scenario may have built the dataset meanwhile.
        return self._context.places.dataset(self.short_name)

    def _readable(self) -> DatasetData:
        self._check("inputs")
        return self._data()

    def _writable(self) -> DatasetData:
        self._check("outputs")
        data = self._data()
        if not data.writable:
            raise ValueError(f"dataset {self.short_name} cannot be written: it is not a managed dataset")
        return data

    def _check(self, direction: str) -> None:
        references = (self.short_name, self.full_name)
        self._context.check_declared(direction, references, f"dataset {self.short_name}", self.ignore_flow)

    # ---- schema

    def get_config(self) -> dict[str, Any]:
        """The definition of the dataset."""
        return self._context.places.definition("datasets", self.short_name, "dataset")

    def read_schema(self, raise_if_empty: bool = True) -> list[dict[str, Any]]:
        """The columns: dicts with ``name`` and ``type``."""
        columns = self._data().columns
        if raise_if_empty and not columns:
            raise ValueError(f"dataset {self.short_name} has no schema")
        return columns

    def write_schema(self, columns: Sequence[Mapping[str, Any]], drop_and_create: bool = False) -> None:
        """Replaces the columns of the dataset's schema. The data stay as they are."""
        self._writable()
        definition = self.get_config()
        schema = {"userModified": False, **(definition.get("schema") or {}), "columns": [dict(c) for c in columns]}
        if schema != definition.get("schema"):
            path = self._context.places.config_dir / "datasets" / f"{self.short_name}.json"
            write_document(path, {**definition, "schema": schema})

    def write_schema_from_dataframe(self, df: pd.DataFrame, drop_and_create: bool = False) -> None:
        """Replaces the schema by the one that fits a data frame."""
        self.write_schema(frame_schema(df))

    # ---- read

    def get_dataframe(
        self,
        columns: Sequence[str] | None = None,
        sampling: str = "head",
        sampling_column: str | None = None,
        limit: int | None = None,
        ratio: float | None = None,
        infer_with_pandas: bool = True,
        parse_dates: bool = True,
        bool_as_str: bool = False,
        float_precision: str | None = None,
        na_values: Any = None,
        keep_default_na: bool = True,
        **unknown: Any,
    ) -> pd.DataFrame:
        """The whole dataset, or its first ``limit`` rows, or a random ``ratio`` of it."""
        if unknown:
            raise Unsupported(f"dataiku.Dataset.get_dataframe({', '.join(unknown)}=…) is not supported by the sandbox")
        if sampling not in ("head", "random"):
            raise Unsupported(f"sampling {sampling!r} is not supported by the sandbox")
        frame = read_frame(
            self._readable(),
            columns,
            limit if sampling == "head" else None,
            typed=not infer_with_pandas,
            parse_dates=parse_dates,
            bool_as_str=bool_as_str,
            na_values=na_values,
            keep_default_na=keep_default_na,
        )
        if sampling == "random":
            wanted = min(limit, len(frame)) if limit is not None else None
            frame = frame.sample(n=wanted, frac=None if wanted is not None else (ratio or 1.0)).reset_index(drop=True)
        return frame

    def iter_dataframes(
        self, chunksize: int = 10000, columns: Sequence[str] | None = None, **options: Any
    ) -> Iterator[pd.DataFrame]:
        """The dataset in data frames of at most ``chunksize`` rows."""
        frame = self.get_dataframe(columns=columns, **options)
        for start in range(0, len(frame), chunksize):
            yield frame.iloc[start : start + chunksize].reset_index(drop=True)

    def iter_tuples(self, limit: int | None = None, columns: Sequence[str] | None = None) -> Iterator[tuple[Any, ...]]:
        """The rows as tuples, values cast to the types of the schema."""
        data = self._readable()
        names = list(columns or data.names)
        positions = [data.names.index(name) for name in names]
        casts = [_CASTS.get(data.columns[position]["type"], str) for position in positions]
        for number, row in enumerate(data.rows()):
            if limit is not None and number >= limit:
                return
            yield tuple(
                cast(row[position]) if row[position] != "" else (None if cast is not str else "")
                for position, cast in zip(positions, casts, strict=True)
            )

    def iter_rows(self, limit: int | None = None, columns: Sequence[str] | None = None) -> Iterator[dict[str, Any]]:
        """The rows as dicts, values cast to the types of the schema."""
        names = list(columns or self._data().names)
        for row in self.iter_tuples(limit=limit, columns=columns):
            yield dict(zip(names, row, strict=True))

    # ---- write

    def write_with_schema(self, df: pd.DataFrame, drop_and_create: bool = False, **_: Any) -> None:
        """Writes a data frame and makes the schema fit it."""
        self.write_dataframe(df, infer_schema=True)

    def write_dataframe(self, df: pd.DataFrame, infer_schema: bool = False, **_: Any) -> None:
        """Writes a data frame. Unless ``infer_schema``, its columns must be those of the schema."""
        data = self._writable()
        if infer_schema:
            columns = frame_schema(df)
        else:
            columns = data.columns
            if data.names != [str(name) for name in df.columns]:
                raise ValueError(
                    f"the columns of the data frame are not those of dataset {self.short_name}: "
                    f"{list(df.columns)} instead of {data.names}; use write_with_schema to change the schema"
                )
        write_frame(data, df)
        if infer_schema:
            self.write_schema(columns)

    write_from_dataframe = write_dataframe

    def get_writer(self, *_: Any, **__: Any) -> DatasetWriter:
        """A writer of rows. The dataset changes when it is closed."""
        return DatasetWriter(self._writable())

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        raise Unsupported(f"dataiku.Dataset.{name} is not supported by the sandbox")


class DatasetWriter:
    """Writes rows to a dataset; a context manager. Leaving it with an error leaves the old data."""

    def __init__(self, data: DatasetData):
        self._data = data
        data.directory.mkdir(parents=True, exist_ok=True)
        suffix = ".csv.gz" if data.format.compressed else ".csv"
        handle, name = tempfile.mkstemp(dir=data.directory, prefix=".", suffix=suffix)
        os.close(handle)
        self._path = Path(name)
        self._stream = _open_for_writing(self._path)
        self._csv = csv.writer(self._stream, **data.format.reader_arguments())
        if data.format.header:
            self._csv.writerow(data.names)

    def write_tuple(self, row: Iterable[Any]) -> None:
        """Writes one row, in the order of the schema."""
        self._csv.writerow([_text(value) for value in row])

    def write_row_dict(self, row: Mapping[str, Any]) -> None:
        """Writes one row; columns that it lacks are empty."""
        self.write_tuple(row.get(name) for name in self._data.names)

    def write_dataframe(self, df: pd.DataFrame) -> None:
        """Appends a data frame with the columns of the schema."""
        for row in df[self._data.names].itertuples(index=False):
            self.write_tuple(None if value != value else value for value in row)

    def close(self) -> None:
        """Makes the rows the dataset's data."""
        self._stream.close()
        publish(self._data, self._path)

    def __enter__(self) -> DatasetWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        if kind is None:
            self.close()
        else:
            self._stream.close()
            self._path.unlink(missing_ok=True)


def _open_for_writing(path: Path) -> Any:
    if path.suffix == ".gz":
        import gzip

        return gzip.open(path, "wt", encoding="utf-8", newline="")
    return path.open("w", encoding="utf-8", newline="")


def _text(value: Any) -> Any:
    if value is None:
        return ""
    return str(value).lower() if isinstance(value, bool) else value
