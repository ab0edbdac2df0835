"""Visual recipes that run in the sandbox: sync, and prepare with its commonest steps. Standard library only.

The parameters of the steps are those that public project exports and descriptions of the product show.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from typing import Any

from ._formula import FormulaError, compile_formula, text

Params = Mapping[str, Any]
Column = dict[str, Any]
Row = dict[str, str]
# Changes a row in place and says whether it stays.
Change = Callable[[Row], bool]


class StepError(Exception):
    """A step that the sandbox does not run. The message says what of it."""


@dataclass
class Step:
    """A compiled step: the columns after it, and what it does to a row."""

    columns: list[Column]
    change: Change


def steps_of(payload: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The steps that are switched on, those of groups too, each with its number (``2``, or ``2.1`` in a group)."""
    for number, step in enumerate(payload.get("steps") or [], start=1):
        if step.get("disabled"):
            continue
        if step.get("metaType") == "GROUP":
            yield from ((f"{number}.{inner}", one) for inner, one in steps_of(step))
        else:
            yield str(number), step


def compile_steps(payload: Mapping[str, Any], columns: list[Column]) -> list[Step]:
    """The steps of a prepare recipe for a dataset with these columns.

    :raises StepError: a step that does not run; the message names it.
    """
    compiled: list[Step] = []
    for number, step in steps_of(payload):
        kind = str(step.get("type"))
        label = f"step {number} ({kind})"
        if kind not in PROCESSORS:
            raise StepError(f"{label} is not supported by the sandbox: it runs {', '.join(sorted(PROCESSORS))}")
        try:
            made = PROCESSORS[kind](step.get("params") or {}, [dict(column) for column in columns])
        except (StepError, FormulaError, re.error) as error:
            raise StepError(f"{label}: {error}") from None
        compiled.append(made)
        columns = made.columns
    return compiled


def run_prepare(payload: Mapping[str, Any]) -> None:
    """Runs a prepare recipe in its own process."""
    source = _main_input()
    columns = [dict(column) for column in source.columns]
    steps = compile_steps(payload, columns)
    final = steps[-1].columns if steps else columns
    _write(final, (row for row in map(_named(source.names), source.rows()) if all(step.change(row) for step in steps)))


def run_sync() -> None:
    """Runs a sync recipe in its own process."""
    source = _main_input()
    _write(source.columns, map(_named(source.names), source.rows()))


def _main_input() -> Any:
    from ._context import context

    own = context()
    assert own.recipe is not None
    return own.places.dataset(own.recipe["inputs"][0])


def _write(columns: list[Column], rows: Iterator[Row]) -> None:
    from ._context import context
    from .dataset import Dataset, DatasetWriter

    own = context()
    assert own.recipe is not None
    (name,) = own.recipe["outputs"]
    # The schema changes last: an error in a row leaves schema and data as they were.
    with DatasetWriter(replace(own.places.dataset(name), columns=columns)) as writer:
        written = 0
        for written, row in enumerate(rows, start=1):  # noqa: B007 - the count is printed
            writer.write_row_dict(row)
    Dataset(name).write_schema(columns)
    print(f"{written} rows written to {name}")


def _named(names: list[str]) -> Callable[[list[str]], Row]:
    def named(row: list[str]) -> Row:
        return {name: row[position] if position < len(row) else "" for position, name in enumerate(names)}

    return named


# ---- parameters that many steps share


def _chosen(params: Params, columns: list[Column]) -> list[str]:
    """The columns that a step applies to; those that do not exist are left out, as DSS does."""
    names = [column["name"] for column in columns]
    scope = params.get("appliesTo", "COLUMNS")
    if scope == "ALL":
        return names
    if scope == "PATTERN":
        pattern = re.compile(str(params.get("appliesToPattern") or ""))
        return [name for name in names if pattern.search(name)]
    if scope not in ("SINGLE_COLUMN", "COLUMNS"):
        raise StepError(f"appliesTo {scope} is not supported by the sandbox")
    wanted = params.get("columns") or [params.get("column")]
    return [str(name) for name in wanted if name in names]


def _added(columns: list[Column], name: str, kind: str = "string", after: str | None = None) -> list[Column]:
    left = [column for column in columns if column["name"] != name]
    place = next((number + 1 for number, column in enumerate(left) if column["name"] == after), len(left))
    known = next((number for number, column in enumerate(columns) if column["name"] == name), place)
    return [*left[:known], {"name": name, "type": kind}, *left[known:]]


def _cells(names: list[str], change: Callable[[str], str]) -> Change:
    def run(row: Row) -> bool:
        for name in names:
            row[name] = change(row[name])
        return True

    return run


def _matcher(mode: str, normalization: str, values: list[str]) -> Callable[[str], bool]:
    if normalization not in ("EXACT", "LOWERCASE"):
        raise StepError(f"normalization {normalization} is not supported by the sandbox")
    lower = normalization == "LOWERCASE"
    wanted = [value.lower() for value in values] if lower and mode != "PATTERN" else values
    if mode == "FULL_STRING":
        return lambda cell: (cell.lower() if lower else cell) in wanted
    if mode == "SUBSTRING":
        return lambda cell: any(value in (cell.lower() if lower else cell) for value in wanted)
    if mode == "PATTERN":
        patterns = [re.compile(value, re.IGNORECASE if lower else 0) for value in wanted]
        return lambda cell: any(pattern.search(cell) for pattern in patterns)
    raise StepError(f"matching {mode} is not supported by the sandbox")


# ---- the steps


def _columns_selector(params: Params, columns: list[Column]) -> Step:
    chosen = _chosen(params, columns)
    by_name = {column["name"]: column for column in columns}
    kept = chosen if params.get("keep") else [name for name in by_name if name not in chosen]

    def run(row: Row) -> bool:
        for name in [name for name in row if name not in kept]:
            del row[name]
        return True

    return Step([by_name[name] for name in kept], run)


def _column_renamer(params: Params, columns: list[Column]) -> Step:
    renamings = [(str(one["from"]), str(one["to"])) for one in params.get("renamings") or []]
    for old, new in renamings:
        columns = [
            {**column, "name": new} if column["name"] == old else column
            for column in columns
            if column["name"] != new or old == new
        ]

    def run(row: Row) -> bool:
        for old, new in renamings:
            if old in row:
                row[new] = row.pop(old)
        return True

    return Step(columns, run)


def _filter_on_value(params: Params, columns: list[Column]) -> Step:
    names = _chosen(params, columns)
    values = [str(value) for value in params.get("values") or []]
    mode, normalization = params.get("matchingMode", "FULL_STRING"), params.get("normalizationMode", "EXACT")
    matches = _matcher(mode, normalization, values)
    empty, exclude = bool(params.get("processNullOrEmptyValues")), bool(params.get("exclude"))
    action = params.get("action")

    def hit(cell: str) -> bool:
        return ((cell != "" or empty) and matches(cell)) != exclude

    if action in ("KEEP_ROW", "REMOVE_ROW"):
        if not names:
            return Step(columns, lambda _row: True)
        every = all if params.get("booleanMode", "AND") == "AND" else any
        return Step(columns, lambda row: every(hit(row[name]) for name in names) == (action == "KEEP_ROW"))
    if action in ("CLEAR_CELL", "DONTCLEAR_CELL"):
        return Step(columns, _cells(names, lambda cell: "" if hit(cell) == (action == "CLEAR_CELL") else cell))
    raise StepError(f"action {action} is not supported by the sandbox")


def _fill_empty(params: Params, columns: list[Column]) -> Step:
    value = text(params.get("value"))
    return Step(columns, _cells(_chosen(params, columns), lambda cell: cell or value))


def _remove_rows_on_empty(params: Params, columns: list[Column]) -> Step:
    names, keep = _chosen(params, columns), bool(params.get("keep"))
    return Step(columns, lambda row: not names or any(row[name] == "" for name in names) == keep)


def _find_replace(params: Params, columns: list[Column]) -> Step:
    if params.get("useDatasetForMapping"):
        raise StepError("a mapping from a dataset is not supported by the sandbox")
    mapping = [(str(one.get("from", "")), str(one.get("to", ""))) for one in params.get("mapping") or []]
    mode, normalization = params.get("matching", "FULL_STRING"), params.get("normalization", "EXACT")
    rules = [(_matcher(mode, normalization, [old]), old, new) for old, new in mapping]
    flags = re.IGNORECASE if normalization == "LOWERCASE" else 0
    once = bool(params.get("stopAfterFirstMatch"))

    def replaced(cell: str) -> str:
        for matches, old, new in rules:
            if not matches(cell):
                continue
            if mode == "FULL_STRING":
                return new
            pattern = old if mode == "PATTERN" else re.escape(old)
            # Java's groups are written $1.
            target = re.sub(r"\$(\d)", r"\\\1", new) if mode == "PATTERN" else new.replace("\\", r"\\")
            cell = re.sub(pattern, target, cell, flags=flags)
            if once:
                return cell
        return cell

    names, output = _chosen(params, columns), str(params.get("output") or "")
    if not output:
        return Step(columns, _cells(names, replaced))
    if len(names) != 1:
        raise StepError("an output column needs exactly one column that it is made of")
    known = output in [column["name"] for column in columns]
    return Step(columns if known else _added(columns, output), _made(output, lambda row: replaced(row[names[0]])))


def _made(name: str, value: Callable[[Row], str]) -> Change:
    def run(row: Row) -> bool:
        row[name] = value(row)
        return True

    return run


_CHANGES: dict[str, Callable[[str], str]] = {
    "TO_UPPER": str.upper,
    "TO_LOWER": str.lower,
    "TRIM": str.strip,
    "CAPITALIZE": lambda cell: cell[:1].upper() + cell[1:],
}


def _string_transformer(params: Params, columns: list[Column]) -> Step:
    mode = str(params.get("mode"))
    if mode == "TRUNCATE":
        limit = int(params.get("truncate_limit") or 0)
        return Step(columns, _cells(_chosen(params, columns), lambda cell: cell[:limit]))
    if mode not in _CHANGES:
        raise StepError(f"mode {mode} is not supported by the sandbox: it has TRUNCATE, {', '.join(_CHANGES)}")
    return Step(columns, _cells(_chosen(params, columns), _CHANGES[mode]))


_JAVA_DATES = {
    "yyyy": "%Y", "yy": "%y", "MMMM": "%B", "MMM": "%b", "MM": "%m", "M": "%m", "dd": "%d", "d": "%d", "HH": "%H",
    "H": "%H", "hh": "%I", "h": "%I", "mm": "%M", "ss": "%S", "SSS": "%f", "a": "%p", "EEEE": "%A", "EEE": "%a",
    "Z": "%z", "X": "%z", "XX": "%z", "XXX": "%z",
}  # fmt: skip
_OUTPUTS: dict[str, tuple[str, Callable[[datetime], str]]] = {
    "date": ("date", lambda moment: moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"),
    "dateonly": ("dateonly", lambda moment: moment.strftime("%Y-%m-%d")),
    "datetimenotz": ("datetimenotz", lambda moment: moment.strftime("%Y-%m-%d %H:%M:%S")),
}


def _java_format(pattern: str) -> str:
    """A Java pattern of dates as one of Python."""
    found = []
    for quoted, letters, other in re.findall(r"'([^']*)'|([A-Za-z]+)|([^A-Za-z']+)", pattern):
        parts = re.findall(r"(([A-Za-z])\2*)", letters)
        for part, _ in parts:
            if part not in _JAVA_DATES:
                raise StepError(f"{part} in format {pattern!r} is not supported by the sandbox")
            found.append(_JAVA_DATES[part])
        found.append((quoted + other).replace("%", "%%"))
    return "".join(found)


def _date_parser(params: Params, columns: list[Column]) -> Step:
    names = _chosen(params, columns)
    if params.get("timezone_id", "UTC") not in ("UTC", "GMT", ""):
        raise StepError(f"time zone {params['timezone_id']} is not supported by the sandbox, only UTC")
    if str(params.get("lang") or "auto").split("_")[0] not in ("auto", "en"):
        raise StepError(f"language {params['lang']} is not supported by the sandbox, only English")
    formats = [_java_format(str(pattern)) for pattern in params.get("formats") or []]
    out_type = str((params.get("outType") or {}).get("type") or "date")
    if not formats or out_type not in _OUTPUTS:
        raise StepError("it needs formats, and one of the types date, dateonly and datetimenotz")
    kind, shown = _OUTPUTS[out_type]

    @functools.lru_cache(maxsize=4096)
    def parsed(cell: str) -> str:
        for pattern in formats:
            try:
                moment = datetime.strptime(cell.strip(), pattern)
            except ValueError:
                continue
            return shown(moment.astimezone(timezone.utc) if moment.tzinfo else moment)
        return ""

    output = str(params.get("outCol") or "")
    if not output:
        changed = [{**column, "type": kind} if column["name"] in names else column for column in columns]
        return Step(changed, _cells(names, parsed))
    if len(names) != 1:
        raise StepError("an output column needs exactly one column that it is made of")
    return Step(_added(columns, output, kind, after=names[0]), _made(output, lambda row: parsed(row[names[0]])))


def _formula(params: Params, columns: list[Column]) -> Step:
    name, names = str(params.get("column") or ""), [column["name"] for column in columns]
    if not name:
        raise StepError("it names no column to make")
    value = compile_formula(str(params.get("expression") or ""), names)
    known = name in names
    return Step(columns if known else _added(columns, name), _made(name, lambda row: text(value(row))))


PROCESSORS: dict[str, Callable[[Params, list[Column]], Step]] = {
    "ColumnsSelector": _columns_selector,
    "ColumnRenamer": _column_renamer,
    "FilterOnValue": _filter_on_value,
    "FillEmptyWithValue": _fill_empty,
    "RemoveRowsOnEmpty": _remove_rows_on_empty,
    "FindReplace": _find_replace,
    "StringTransformer": _string_transformer,
    "DateParser": _date_parser,
    "CreateColumnWithGREL": _formula,
}
