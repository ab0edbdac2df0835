"""Which expressions of a program are the variables of DSS, and which names a key of theirs may be.

Followed through assignments, attributes of ``self``, arguments and results of the bundle's own functions.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from enum import IntEnum

from mlops_steps.needs.program import Function, Program

#: Functions that return the resolved variables, and what holds them.
_CALLS = frozenset({"dataiku.get_custom_variables", "dataiku.get_flow_variables"})
_VALUES = frozenset({"dataiku.dku_flow_variables"})
_METHODS = frozenset({"get_all_variables"})
_SAME_ITEMS = frozenset({"tuple", "list", "set", "frozenset", "sorted", "reversed"})
_MOST_ROUNDS = 12


class Level(IntEnum):
    """Whether an expression is the variables. ``MAYBE``: or something else, or with more in it."""

    NO = 0
    MAYBE = 1
    YES = 2


class Values:
    """Answers about expressions, once :meth:`settle` has followed all calls."""

    def __init__(self, program: Program, project: str) -> None:
        self.program = program
        self.project = project
        self._parameters: dict[tuple[str, str], Level] = {}
        self._keys: dict[tuple[str, str], frozenset[str] | None] = {}
        self._results: dict[str, Level] = {}
        self._active: set[tuple[str, str, str]] = set()
        self._settled = False

    def settle(self) -> None:
        """Follows arguments and results until nothing new is found."""
        functions = [function for module in self.program.modules.values() for function in module.functions]
        for function in functions:
            for name, default in function.defaults():
                scope = function.parent or function
                self._keys[function.path, name] = self.keys(default, scope)
        for _ in range(_MOST_ROUNDS):
            before = (dict(self._parameters), dict(self._keys), dict(self._results))
            for function in functions:
                for node in own_nodes(function):
                    if isinstance(node, ast.Call):
                        self._follow(node, function)
                    elif isinstance(node, ast.Return) and node.value is not None:
                        level = self.level(node.value, function)
                        self._results[function.path] = max(level, self._results.get(function.path, Level.NO))
            if before == (self._parameters, self._keys, self._results):
                break
        self._settled = True

    def _follow(self, call: ast.Call, scope: Function) -> None:
        function = self.program.called(call, scope)
        if function is None:
            return
        given = list(zip(function.parameters, call.args, strict=False))
        given += [(keyword.arg, keyword.value) for keyword in call.keywords if keyword.arg]
        for name, value in given:
            place = (function.path, name)
            if isinstance(value, ast.Starred):
                break
            self._parameters[place] = max(self.level(value, scope), self._parameters.get(place, Level.NO))
            known, new = self._keys.get(place, frozenset()), self.keys(value, scope)
            self._keys[place] = None if known is None or new is None else known | new

    # ---- the variables

    def level(self, node: ast.expr | None, scope: Function) -> Level:
        """Whether the expression is the variables."""
        if isinstance(node, ast.Call):
            return self._call(node, scope)
        if isinstance(node, ast.Name):
            return self._name(node, scope)
        if isinstance(node, ast.Attribute):
            return self._attribute(node, scope)
        if isinstance(node, (ast.NamedExpr, ast.Await)):
            return self.level(node.value, scope)
        if isinstance(node, ast.IfExp):
            return _combined([self.level(node.body, scope), self.level(node.orelse, scope)])
        if isinstance(node, ast.BoolOp):
            values = [value for value in node.values if not (isinstance(value, ast.Dict) and not value.keys)]
            return _combined([self.level(value, scope) for value in values])
        parts: list[ast.expr] = []
        if isinstance(node, ast.Dict):
            parts = [value for key, value in zip(node.keys, node.values, strict=True) if key is None]
        elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
            parts = [node.left, node.right]
        return Level.MAYBE if any(self.level(part, scope) for part in parts) else Level.NO

    def _call(self, node: ast.Call, scope: Function) -> Level:
        path = self.program.resolve(node.func, scope)
        if path in _CALLS:
            return Level.NO if self._of_another_project(node, scope) else Level.YES
        if isinstance(node.func, ast.Attribute):
            if node.func.attr in _METHODS:
                return Level.YES
            if node.func.attr == "copy" and not node.args:
                return self.level(node.func.value, scope)
        if isinstance(node.func, ast.Name) and node.func.id == "dict" and path is None and node.args:
            level = self.level(node.args[0], scope)
            return min(level, Level.MAYBE) if node.keywords else level
        function = self.program.called(node, scope)
        return self._results.get(function.path, Level.NO) if function else Level.NO

    def _of_another_project(self, node: ast.Call, scope: Function) -> bool:
        named = [*node.args[:1], *(keyword.value for keyword in node.keywords if keyword.arg == "project_key")]
        for value in named:
            own = isinstance(value, ast.Constant) and value.value in (None, self.project)
            own = own or (
                isinstance(value, ast.Call)
                and self.program.resolve(value.func, scope) in ("dataiku.default_project_key",)
            )
            if not own:
                return True
        return False

    def _name(self, node: ast.Name, scope: Function) -> Level:
        levels = []
        for value, place in self._bound(node.id, scope):
            if isinstance(value, str):
                levels.append(self._parameters.get((place.path, value), Level.NO))
            elif (level := self._level_once(value, place, node.id)) is not None:
                levels.append(level)
        return _combined(levels)

    def _attribute(self, node: ast.Attribute, scope: Function) -> Level:
        path = self.program.resolve(node, scope)
        if path in _VALUES:
            return Level.YES
        if path and (found := self.program.value(path)):
            values, place = found
            return _combined([self.level(value, place) for value in values])
        if isinstance(node.value, ast.Name) and node.value.id == "self":
            owner = next((one.owner for one in _outwards(scope) if one.owner), "")
            levels = [
                level
                for value, place in scope.module.attributes.get((owner, node.attr), [])
                if (level := self._level_once(value, place, f"self.{node.attr}")) is not None
            ]
            return _combined(levels)
        return Level.NO

    def _level_once(self, value: ast.expr | None, place: Function, name: str) -> Level | None:
        """``None`` for a value that is being looked at already, as in ``variables = dict(variables)``."""
        entry = ("level", place.path, f"{name} {getattr(value, 'lineno', 0)} {getattr(value, 'col_offset', 0)}")
        if entry in self._active:
            return None
        self._active.add(entry)
        try:
            return self.level(value, place)
        finally:
            self._active.discard(entry)

    # ---- keys

    def keys(self, node: ast.expr | None, scope: Function) -> frozenset[str] | None:
        """The texts that the expression may be, ``None`` when they cannot be told."""
        if isinstance(node, ast.Constant):
            return frozenset({node.value}) if isinstance(node.value, str) else None
        if isinstance(node, ast.IfExp):
            return _union([self.keys(node.body, scope), self.keys(node.orelse, scope)])
        if isinstance(node, ast.NamedExpr):
            return self.keys(node.value, scope)
        if isinstance(node, ast.Name):
            return self._once("key", node, self._bound(node.id, scope))
        if isinstance(node, ast.Attribute):
            path = self.program.resolve(node, scope)
            found = self.program.value(path) if path else None
            return self._once("key", node, [(value, found[1]) for value in found[0]]) if found else None
        return None

    def _items(self, node: ast.expr | None, scope: Function) -> frozenset[str] | None:
        """The texts that a sequence holds."""
        if isinstance(node, (ast.Tuple, ast.List, ast.Set)):
            return _union([self.keys(element, scope) for element in node.elts])
        if isinstance(node, ast.Dict):
            return _union([self.keys(key, scope) for key in node.keys])
        if isinstance(node, ast.Call) and len(node.args) == 1:
            if isinstance(node.func, ast.Name) and node.func.id in _SAME_ITEMS:
                return self._items(node.args[0], scope)
            return None
        if isinstance(node, ast.Name):
            bound = [one for one in self._bound(node.id, scope) if not isinstance(one[0], str)]
            return self._once("items", node, bound)
        if isinstance(node, ast.Attribute):
            path = self.program.resolve(node, scope)
            found = self.program.value(path) if path else None
            return self._once("items", node, [(value, found[1]) for value in found[0]]) if found else None
        return None

    def _once(
        self, what: str, node: ast.Name | ast.Attribute, bound: Iterable[tuple[ast.expr | str | None, Function]]
    ) -> frozenset[str] | None:
        found: list[frozenset[str] | None] = []
        for value, place in bound:
            if isinstance(value, str):
                found.append(self._keys.get((place.path, value), None if self._settled else frozenset()))
                continue
            if isinstance(value, _From):
                found.append(self._items(value.source, place))
                continue
            entry = (what, place.path, f"{ast.dump(node)} {getattr(value, 'lineno', 0)}")
            if entry in self._active:
                return None
            self._active.add(entry)
            try:
                found.append(self.keys(value, place) if what == "key" else self._items(value, place))
            finally:
                self._active.discard(entry)
        return _union(found) if found else None

    # ---- names

    def _bound(self, name: str, scope: Function) -> Iterator[tuple[ast.expr | str | None, Function]]:
        """What a name is bound to, each with its scope: a value, a loop's sequence, a parameter (its name)."""
        for current in _outwards(scope):
            is_parameter = name in current.all_parameters
            if not (is_parameter or name in current.bindings or name in current.loops):
                continue
            if is_parameter:
                yield name, current
            for value in current.bindings.get(name, []):
                yield value, current
            for source in current.loops.get(name, []):
                yield _From(source), current
            return
        path = self.program.resolve(ast.Name(name), scope)
        found = self.program.value(path) if path else None
        for value in found[0] if found else []:
            yield value, found[1]  # type: ignore[index]


class _From(ast.expr):
    """An item of a sequence: no expression of the code, so nothing else knows it."""

    _fields = ()

    def __init__(self, source: ast.expr) -> None:
        super().__init__()
        self.source = source


def own_nodes(function: Function) -> Iterator[ast.AST]:
    """All nodes of the function that are not those of a function within it."""
    rest: list[ast.AST] = list(reversed(function.node.body))
    while rest:
        node = rest.pop()
        yield node
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            rest.extend(node.decorator_list)
            continue
        rest.extend(ast.iter_child_nodes(node))


def _outwards(scope: Function) -> Iterator[Function]:
    current: Function | None = scope
    while current:
        yield current
        current = current.parent


def _combined(levels: list[Level]) -> Level:
    if levels and all(level is Level.YES for level in levels):
        return Level.YES
    return Level.MAYBE if any(levels) else Level.NO


def _union(found: Iterable[frozenset[str] | None]) -> frozenset[str] | None:
    union: frozenset[str] = frozenset()
    for one in found:
        if one is None:
            return None
        union |= one
    return union
