"""Formulas of prepare recipes: a small subset of the language, standard library only.

Numbers, texts in single or double quotes, ``true``, ``false``, ``null``, columns by name or with ``val("name")``,
``+ - * / %``, comparisons, ``&& || !``, brackets, and the functions of :data:`FUNCTIONS`. A number with an empty cell
gives an empty cell; ``+`` joins as soon as one of the two sides is a text.
"""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Mapping
from typing import Any

Row = Mapping[str, str]
Evaluate = Callable[[Row], Any]
_TOKEN = re.compile(
    r"""\s*(?:(?P<number>\d+(?:\.\d+)?)|(?P<text>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')|(?P<name>[^\W\d]\w*)"""
    r"""|(?P<sign>&&|\|\||==|!=|<=|>=|[-+*/%<>!(),]))"""
)
_LEVELS: list[dict[str, Callable[[Any, Any], Any]]]


class FormulaError(Exception):
    """A formula that is not one, or that the sandbox cannot compute."""


def number(value: Any) -> float | None:
    """A value as a number; None for what is none."""
    if isinstance(value, bool) or value in (None, ""):
        return None
    try:
        found = float(value)
    except (TypeError, ValueError):
        return None
    return found if math.isfinite(found) else None


def text(value: Any) -> str:
    """A value as the text of a cell."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)
    return str(value)


def _blank(value: Any) -> bool:
    return text(value).strip() == ""


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "if": lambda condition, then, otherwise=None: then if condition is True else otherwise,
    "isBlank": _blank,
    "isNotBlank": lambda value: not _blank(value),
    "isNull": lambda value: text(value) == "",
    "isNotNull": lambda value: text(value) != "",
    "coalesce": lambda *values: next((value for value in values if text(value) != ""), None),
    "strval": text,
    "numval": number,
    "toUppercase": lambda value: text(value).upper(),
    "toLowercase": lambda value: text(value).lower(),
    "trim": lambda value: text(value).strip(),
    "length": lambda value: float(len(text(value))),
    "concat": lambda *values: "".join(text(value) for value in values),
    "contains": lambda value, part: text(part) in text(value),
    "startsWith": lambda value, part: text(value).startswith(text(part)),
    "endsWith": lambda value, part: text(value).endswith(text(part)),
    "replace": lambda value, old, new: text(value).replace(text(old), text(new)),
    "round": lambda value: _numeric(lambda one: float(math.floor(one + 0.5)), value),
    "floor": lambda value: _numeric(lambda one: float(math.floor(one)), value),
    "ceil": lambda value: _numeric(lambda one: float(math.ceil(one)), value),
    "abs": lambda value: _numeric(abs, value),
    "min": lambda *values: min((one for one in map(number, values) if one is not None), default=None),
    "max": lambda *values: max((one for one in map(number, values) if one is not None), default=None),
}


def _numeric(function: Callable[..., float], *values: Any) -> float | None:
    numbers = [number(value) for value in values]
    if any(one is None for one in numbers):
        return None
    try:
        return function(*numbers)
    except ZeroDivisionError:
        return None


def _plus(left: Any, right: Any) -> Any:
    for value in (left, right):
        if text(value) != "" and number(value) is None:
            return text(left) + text(right)
    return _numeric(operator.add, left, right)


def _compare(compare: Callable[[Any, Any], bool]) -> Callable[[Any, Any], bool]:
    def run(left: Any, right: Any) -> bool:
        if isinstance(left, bool) or isinstance(right, bool):
            return compare(text(left), text(right))
        first, second = number(left), number(right)
        if first is not None and second is not None:
            return compare(first, second)
        if compare in (operator.eq, operator.ne):
            return compare(text(left), text(right))
        return text(left) != "" and text(right) != "" and compare(text(left), text(right))

    return run


_LEVELS = [
    {"||": lambda left, right: left is True or right is True},
    {"&&": lambda left, right: left is True and right is True},
    {"==": _compare(operator.eq), "!=": _compare(operator.ne)},
    {
        "<": _compare(operator.lt),
        "<=": _compare(operator.le),
        ">": _compare(operator.gt),
        ">=": _compare(operator.ge),
    },
    {"+": _plus, "-": lambda left, right: _numeric(operator.sub, left, right)},
    {
        "*": lambda left, right: _numeric(operator.mul, left, right),
        "/": lambda left, right: _numeric(operator.truediv, left, right),
        "%": lambda left, right: _numeric(math.fmod, left, right) if number(right) else None,
    },
]


class _Parser:
    def __init__(self, formula: str, columns: list[str]) -> None:
        self.columns = columns
        self.tokens = _tokens(formula)

    def parse(self) -> Evaluate:
        found = self.level(0)
        if self.tokens:
            raise FormulaError(f"{self.tokens[0][1]!r} is not expected there")
        return found

    def sign(self, *wanted: str) -> str | None:
        if self.tokens and self.tokens[0][0] == "sign" and self.tokens[0][1] in wanted:
            return self.tokens.pop(0)[1]
        return None

    def level(self, depth: int) -> Evaluate:
        if depth == len(_LEVELS):
            return self.one()
        left = self.level(depth + 1)
        while sign := self.sign(*_LEVELS[depth]):
            left = _applied(_LEVELS[depth][sign], left, self.level(depth + 1))
        return left

    def one(self) -> Evaluate:
        if self.sign("!"):
            return _applied(lambda value: value is not True, self.one())
        if self.sign("-"):
            return _applied(lambda value: _numeric(operator.neg, value), self.one())
        if self.sign("("):
            inner = self.level(0)
            self.expect(")")
            return inner
        if not self.tokens:
            raise FormulaError("it ends too early")
        kind, token = self.tokens.pop(0)
        if kind == "number":
            return _constant(float(token))
        if kind == "text":
            return _constant(re.sub(r"\\(.)", r"\1", token[1:-1]))
        if kind == "name":
            return self.call(token) if self.sign("(") else self.name(token)
        raise FormulaError(f"{token!r} is not expected there")

    def expect(self, sign: str) -> None:
        if not self.sign(sign):
            raise FormulaError(f"{sign!r} is missing")

    def name(self, token: str) -> Evaluate:
        constants = {"true": True, "false": False, "null": None}
        if token in constants and token not in self.columns:
            return _constant(constants[token])
        return self.column(token)

    def column(self, name: str) -> Evaluate:
        if name not in self.columns:
            raise FormulaError(f"there is no column {name!r}")
        return lambda row: row[name]

    def call(self, name: str) -> Evaluate:
        arguments: list[Evaluate] = []
        if not self.sign(")"):
            arguments.append(self.level(0))
            while self.sign(","):
                arguments.append(self.level(0))
            self.expect(")")
        if name == "val" and len(arguments) == 1:
            return self.column(str(arguments[0]({})))
        if name not in FUNCTIONS:
            raise FormulaError(f"function {name} is not supported by the sandbox")
        return _applied(FUNCTIONS[name], *arguments)


def _tokens(formula: str) -> list[tuple[str, str]]:
    found, position = [], 0
    formula = formula.rstrip()
    while position < len(formula):
        match = _TOKEN.match(formula, position)
        if match is None or match.lastgroup is None:
            raise FormulaError(f"{formula[position:].lstrip()[:1]!r} is not supported by the sandbox")
        found.append((match.lastgroup, match[match.lastgroup]))
        position = match.end()
    return found


def _constant(value: Any) -> Evaluate:
    return lambda _row: value


def _applied(function: Callable[..., Any], *arguments: Evaluate) -> Evaluate:
    return lambda row: function(*(argument(row) for argument in arguments))


def compile_formula(formula: str, columns: list[str]) -> Evaluate:
    """A function that computes the formula of a row.

    :raises FormulaError: it is outside of the subset; the message names what.
    """
    try:
        return _Parser(formula, columns).parse()
    except RecursionError:
        raise FormulaError("it is nested too deeply") from None
