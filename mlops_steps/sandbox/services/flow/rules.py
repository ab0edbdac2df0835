"""Data-quality rules of a dataset, and the checks of older projects, which DSS keeps in the same place.

The names of types and parameters are those that public code sends to a real node; the wording of messages, and what a
rule says of several columns, is inferred.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from mlops_steps.sandbox.node.errors import DssError, bad_request, not_supported
from mlops_steps.sandbox.runtime.lib.dataiku._layout import DatasetData, LayoutError
from mlops_steps.sandbox.services.flow import metrics

OK, WARNING, ERROR, EMPTY = "OK", "WARNING", "ERROR", "EMPTY"
#: From good to bad. A rule of several columns, and a dataset of several rules, is as bad as the worst of them.
SEVERITY = (OK, EMPTY, WARNING, ERROR)

Finding = tuple[str, str]

_COLUMN_STATISTICS = {
    "ColumnMinInRangeRule": "MIN",
    "ColumnMaxInRangeRule": "MAX",
    "ColumnAvgInRangeRule": "MEAN",
    "ColumnSumInRangeRule": "SUM",
    "ColumnMedianInRangeRule": "MEDIAN",
    "ColumnStdDevInRangeRule": "STDDEV",
}
_OF_DATASET = {"RecordCountInRangeRule": metrics.RECORDS, "ColumnCountInRangeRule": metrics.COLUMNS}


def is_enabled(rule: Mapping[str, Any]) -> bool:
    """Whether a rule is computed."""
    return bool(rule.get("enabled", True))


def rule_name(rule: Mapping[str, Any]) -> str:
    """How a rule is called."""
    meta = rule.get("meta") or {}
    return str(meta.get("label") or meta.get("name") or rule.get("displayName") or rule.get("type"))


def evaluate(data: DatasetData, rule: Mapping[str, Any]) -> Finding:
    """The outcome of a rule and a message. ``EMPTY``: the data hold nothing to look at.

    :raises DssError: 400, the sandbox does not know the type of the rule.
    """
    kind = str(rule.get("type"))
    if kind in ("numericRange", "valueSet"):
        return _of_metric(data, rule)
    if kind in _OF_DATASET:
        return _in_range(rule, metrics.value_of(data, _OF_DATASET[kind]), _OF_DATASET[kind])
    judge = _COLUMNS.get(kind)
    if judge is None and kind not in _COLUMN_STATISTICS:
        raise not_supported(f"data quality check {rule_name(rule)} of dataset {data.name}: type {kind!r}")
    columns = [str(column) for column in rule.get("columns") or []]
    if not columns:
        raise bad_request(f"rule {rule_name(rule)} of dataset {data.name} names no columns")
    return _worst([_of_column(data, rule, column, judge) for column in columns])


def _worst(findings: list[Finding]) -> Finding:
    outcome = max((outcome for outcome, _ in findings), key=SEVERITY.index)
    return outcome, "; ".join(message for found, message in findings if found == outcome)


# ---- columns


def _of_column(
    data: DatasetData,
    rule: Mapping[str, Any],
    column: str,
    judge: Callable[[Mapping[str, Any], str, list[str]], Finding] | None,
) -> Finding:
    if column not in data.names:
        return ERROR, f"Cannot check: there is no column {column}"
    position = data.names.index(column)
    values = [row[position] if position < len(row) else "" for row in data.rows()]
    if not values:
        return EMPTY, f"{column}: the dataset has no rows"
    if judge is not None:
        return judge(rule, column, values)
    if all(value == "" for value in values):
        return EMPTY, f"{column}: all values are empty"
    identity = f"col_stats:{_COLUMN_STATISTICS[str(rule['type'])]}:{column}"
    try:
        return _in_range(rule, metrics.value_of(data, identity), identity)
    except (DssError, LayoutError) as error:
        return ERROR, f"Cannot check: {error}"


def _not_empty(rule: Mapping[str, Any], column: str, values: list[str]) -> Finding:
    if rule.get("thresholdType", "ENTIRE_COLUMN_NOT_EMPTY") != "ENTIRE_COLUMN_NOT_EMPTY":
        raise not_supported(f"rule {rule_name(rule)}: thresholdType {rule['thresholdType']}")
    empty = sum(value == "" for value in values)
    return (
        (ERROR, f"{column}: {empty} of {len(values)} values are empty") if empty else (OK, f"{column}: no empty value")
    )


def _unique(rule: Mapping[str, Any], column: str, values: list[str]) -> Finding:
    if rule.get("thresholdType", "ENTIRE_COLUMN") != "ENTIRE_COLUMN":
        raise not_supported(f"rule {rule_name(rule)}: thresholdType {rule['thresholdType']}")
    twice = len(values) - len(set(values))
    return (ERROR, f"{column}: {twice} values are not unique") if twice else (OK, f"{column}: all values are unique")


def _in_set(rule: Mapping[str, Any], column: str, values: list[str]) -> Finding:
    allowed = {str(value) for value in rule.get("valueSet") or rule.get("values") or []}
    strange = sorted({value for value in values if value != ""} - allowed)
    if strange:
        return ERROR, f"{column}: {', '.join(strange[:5])} not among the allowed values"
    return OK, f"{column}: all values are allowed"


def _values_in_range(rule: Mapping[str, Any], column: str, values: list[str]) -> Finding:
    try:
        numbers = [float(value) for value in values if value != ""]
    except ValueError:
        return ERROR, f"Cannot check: {column} is not numeric"
    if not numbers:
        return EMPTY, f"{column}: all values are empty"
    return _worst([_in_range(rule, value, column) for value in (min(numbers), max(numbers))])


_COLUMNS: dict[str, Callable[[Mapping[str, Any], str, list[str]], Finding]] = {
    "ColumnNotEmptyRule": _not_empty,
    "ColumnUniqueValuesRule": _unique,
    "ValuesInSetRule": _in_set,
    "ValuesInRangeRule": _values_in_range,
}


# ---- metrics


def _of_metric(data: DatasetData, rule: Mapping[str, Any]) -> Finding:
    params: Mapping[str, Any] = rule if "metricId" in rule else rule.get("params") or {}
    identity = params.get("metricId")
    if not identity:
        raise bad_request(f"check {rule_name(rule)} names no metric")
    value = metrics.value_of(data, identity)
    if rule["type"] != "valueSet":
        return _in_range(params, value, identity)
    allowed = [str(item) for item in params.get("values") or []]
    shown = str(int(value)) if float(value).is_integer() else str(value)
    said = f"{identity} = {value:g}"
    return (OK, said) if shown in allowed else (ERROR, f"{said}: {shown} is not one of {', '.join(allowed)}")


def _in_range(params: Mapping[str, Any], value: float, what: str) -> Finding:
    said = f"{what} = {value:g}"
    for prefix, outcome in (("", ERROR), ("soft", WARNING)):
        low, high = _bound(params, prefix, "minimum"), _bound(params, prefix, "maximum")
        if low is not None and value < low:
            return outcome, f"{said}: less than {low:g}"
        if high is not None and value > high:
            return outcome, f"{said}: more than {high:g}"
    return OK, said


def _bound(params: Mapping[str, Any], prefix: str, name: str) -> float | None:
    field = f"{prefix}{name[0].upper()}{name[1:]}" if prefix else name
    if params.get(field) is None or not params.get(f"{field}Enabled", True):
        return None
    return float(params[field])
