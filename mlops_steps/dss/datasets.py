"""Rows of datasets. Read as a stream, up to a number of rows."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from typing import Any

from mlops_steps.dss.session import Dss, expect
from mlops_steps.errors import CheckFailed
from mlops_steps.system.text import nearest

#: Rows that are read at most: statistics change little beyond, and memory must not grow with a dataset.
MOST_ROWS = 200_000
#: The types of DSS that hold numbers.
NUMBERS = frozenset({"tinyint", "smallint", "int", "bigint", "float", "double"})


def columns_of(dss: Dss, project_key: str, dataset: str) -> list[str]:
    """The names of the columns. Raises :class:`NodeError`, also when there is no such dataset."""
    with dss.asking(f"read the schema of dataset {dataset} of project {project_key}"):
        schema = dss.client.get_project(project_key).get_dataset(dataset).get_schema()
        return [expect(column["name"], str, "the name of a column") for column in expect(schema["columns"], list, "it")]


def read(
    dss: Dss, project_key: str, dataset: str, columns: Sequence[str], most: int = MOST_ROWS
) -> dict[str, list[Any]]:
    """The values of the columns, the first ``most`` rows, column by column; empty cells are ``None``.

    Raises :class:`CheckFailed` with the nearest name for a column that is not there, :class:`NodeError` when the node
    cannot be asked.
    """
    present = columns_of(dss, project_key, dataset)
    for column in columns:
        if column not in present:
            raise CheckFailed(
                f"{dss}: dataset {dataset} has no column {column}{nearest(column, present)}",
                details=[f"columns: {', '.join(present)}"],
            )
    wanted = list(dict.fromkeys(columns))
    values: dict[str, list[Any]] = {column: [] for column in wanted}
    with dss.asking(f"read dataset {dataset} of project {project_key}"):
        rows = dss.client.get_project(project_key).get_dataset(dataset).iter_rows(columns=wanted)
        try:
            for row in islice(rows, most):
                for column, value in zip(wanted, row, strict=True):
                    values[column].append(None if value == "" else value)
        finally:
            rows.close()
    return values


def typed(dss: Dss, project_key: str, dataset: str, most: int = MOST_ROWS) -> dict[str, list[Any]]:
    """The values of all columns, numbers as numbers where the schema has numbers; otherwise as :func:`read`."""
    with dss.asking(f"read the schema of dataset {dataset} of project {project_key}"):
        schema = dss.client.get_project(project_key).get_dataset(dataset).get_schema()
        types = {str(column["name"]): str(column.get("type")) for column in expect(schema["columns"], list, "it")}
    found = read(dss, project_key, dataset, list(types), most)
    return {
        name: [_number(value) for value in found[name]] if types[name] in NUMBERS else found[name] for name in types
    }


def _number(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    try:
        found = float(value)
    except ValueError:
        return value
    return int(found) if found.is_integer() else found
