"""Which variables of DSS the Python code of a bundle reads, found in its syntax trees.

A read is ``variables["name"]`` of what ``dataiku.get_custom_variables()`` returns, wherever the code passes that to.
The name may be a text, a constant, an item of a constant sequence, or an argument. A read with a default, one that is
guarded by ``"name" in variables``, and one whose ``KeyError`` is caught need no variable.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable
from dataclasses import dataclass, replace

from mlops_steps.needs.model import Reads, Source, Undecided
from mlops_steps.needs.program import Function, Program
from mlops_steps.needs.values import Level, Values, own_nodes

# What may be given the variables without reading one of them.
_HARMLESS_FUNCTIONS = frozenset(
    {"print", "len", "str", "repr", "sorted", "list", "set", "tuple", "dict", "iter", "isinstance", "type", "bool"}
)
_HARMLESS_METHODS = frozenset(
    {"debug", "info", "warning", "error", "exception", "log", "dump", "dumps", "pprint", "update", "keys"}
)
_CAUGHT = frozenset({"KeyError", "LookupError", "Exception", "BaseException"})
_SETS = frozenset({"set_scenario_variables", "set_project_variables"})


def read_variables(sources: Iterable[Source], project: str = "") -> Reads:
    """The variables that the code reads. ``project`` is the key of the project that it belongs to."""
    program = Program(sources)
    reads = Reads(undecided=list(program.undecided))
    try:
        values = Values(program, project)
        values.settle()
    except RecursionError:
        reads.undecided.append(Undecided("Python code", "its names refer to each other too deeply"))
        return reads
    for module in program.modules.values():
        for function in module.functions:
            try:
                _Reader(function, values, reads).read()
            except RecursionError:
                reads.undecided.append(Undecided(module.label, "its Python code is nested too deeply"))
    return reads


@dataclass(frozen=True)
class _Guard:
    """What is known at a place. ``names`` are there, and those that the expressions of ``texts`` stand for."""

    names: frozenset[str] = frozenset()
    texts: frozenset[str] = frozenset()
    caught: bool = False

    def __or__(self, other: _Guard) -> _Guard:
        return _Guard(self.names | other.names, self.texts | other.texts, self.caught or other.caught)


_NOTHING = _Guard()


class _Reader:
    """Reads one function."""

    def __init__(self, function: Function, values: Values, reads: Reads) -> None:
        self.function = function
        self.label = function.module.label
        self.values = values
        self.reads = reads
        self.stored: set[str] = set()

    def read(self) -> None:
        for node in own_nodes(self.function):
            if isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Store) and self._level(node.value):
                self.stored |= self._keys(node.slice) or frozenset()
        self._block(self.function.node.body, _NOTHING)

    def _level(self, node: ast.expr) -> Level:
        return self.values.level(node, self.function)

    def _keys(self, node: ast.expr) -> frozenset[str] | None:
        return self.values.keys(node, self.function)

    # ---- statements

    def _block(self, statements: list[ast.stmt], guard: _Guard) -> None:
        for statement in statements:
            guard = self._statement(statement, guard)

    def _statement(self, node: ast.stmt, guard: _Guard) -> _Guard:
        """Reads a statement; returns what is known after it."""
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            for outside in (*node.decorator_list, *node.args.defaults, *filter(None, node.args.kw_defaults)):
                self._visit(outside, guard)
        elif isinstance(node, (ast.If, ast.While)):
            self._visit(node.test, guard)
            there, absent = self._known(node.test)
            self._block(node.body, guard | there)
            self._block(node.orelse, guard | absent)
            if isinstance(node, ast.If) and isinstance(node.body[-1], (ast.Return, ast.Continue, ast.Break)):
                return guard | absent
        elif isinstance(node, ast.Try):
            caught = replace(guard, caught=guard.caught or any(map(_swallows, node.handlers)))
            self._block(node.body, caught)
            for part in (node.orelse, node.finalbody, *(handler.body for handler in node.handlers)):
                self._block(part, guard)
        else:
            self._visit(node, guard)
        return guard

    # ---- expressions

    def _visit(self, node: ast.AST, guard: _Guard) -> None:
        if isinstance(node, ast.IfExp):
            there, absent = self._known(node.test)
            self._visit(node.test, guard)
            self._visit(node.body, guard | there)
            self._visit(node.orelse, guard | absent)
            return
        if isinstance(node, ast.BoolOp):
            for value in node.values:
                self._visit(value, guard)
                guard |= self._known(value)[0 if isinstance(node.op, ast.And) else 1]
            return
        if isinstance(node, (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)):
            for condition in (one for generator in node.generators for one in generator.ifs):
                guard |= self._known(condition)[0]
        elif isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Load) and (level := self._level(node.value)):
            self._note(node, node.slice, level, guard)
        elif isinstance(node, ast.Call):
            self._call(node, guard)
        for _, field in ast.iter_fields(node):
            if isinstance(field, list) and field and isinstance(field[0], ast.stmt):
                self._block(field, guard)
            else:
                for child in field if isinstance(field, list) else [field]:
                    if isinstance(child, ast.AST):
                        self._visit(child, guard)

    def _call(self, node: ast.Call, guard: _Guard) -> None:
        method = node.func.attr if isinstance(node.func, ast.Attribute) else ""
        if method in _SETS:
            self.reads.provided |= {keyword.arg for keyword in node.keywords if keyword.arg}
        if isinstance(node.func, ast.Attribute) and (level := self._level(node.func.value)):
            if method in ("pop", "__getitem__") and len(node.args) == 1:
                self._note(node, node.args[0], level, guard)
            elif method == "get" and len(node.args) == 1 and not node.keywords:
                for name in (self._keys(node.args[0]) or frozenset()) - guard.names - self.stored:
                    _add(self.reads.tolerated, name, self.label)
        function = self.values.program.called(node, self.function)
        given = [(one.value if isinstance(one, ast.Starred) else one, False) for one in node.args]
        given += [(keyword.value, keyword.arg is None) for keyword in node.keywords]
        for value, unpacked in given:
            if self._level(value) and (unpacked or (function is None and not self._harmless(node, method))):
                name = ast.unparse(node.func)[:60]
                self._undecided(f"line {node.lineno} passes the variables to {name}")

    def _harmless(self, node: ast.Call, method: str) -> bool:
        is_function = isinstance(node.func, ast.Name) and node.func.id in _HARMLESS_FUNCTIONS
        return is_function or method in _HARMLESS_METHODS or self._level(node) > Level.NO

    def _note(self, node: ast.Subscript | ast.Call, key: ast.expr, level: Level, guard: _Guard) -> None:
        if guard.caught or ast.dump(key) in guard.texts:
            return
        names = self._keys(key)
        if names is None:
            self._undecided(f"line {node.lineno} reads a variable whose name is computed")
            return
        for name in sorted(names - guard.names - self.stored):
            if level is Level.YES:
                _add(self.reads.needed, name, self.label)
            else:
                self._undecided(f"line {node.lineno} reads {name} of what may be the variables or something else")

    def _undecided(self, reason: str) -> None:
        found = Undecided(self.label, reason)
        if found not in self.reads.undecided:
            self.reads.undecided.append(found)

    def _known(self, test: ast.expr) -> tuple[_Guard, _Guard]:
        """What is known where the condition is true, and where it is false."""
        if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
            there, absent = self._known(test.operand)
            return absent, there
        if isinstance(test, ast.BoolOp):
            known = [self._known(value) for value in test.values]
            side = 0 if isinstance(test.op, ast.And) else 1
            union = _NOTHING
            for one in known:
                union |= one[side]
            return (union, _NOTHING) if side == 0 else (_NOTHING, union)
        if isinstance(test, ast.Compare) and len(test.ops) == 1 and self._level(test.comparators[0]):
            guard = self._guard_of(test.left)
            if isinstance(test.ops[0], ast.In):
                return guard, _NOTHING
            if isinstance(test.ops[0], ast.NotIn):
                return _NOTHING, guard
        if isinstance(test, ast.Call) and isinstance(test.func, ast.Attribute) and test.args:
            is_there = test.func.attr == "get" and self._level(test.func.value)
            return (self._guard_of(test.args[0]) if is_there else _NOTHING), _NOTHING
        return _NOTHING, _NOTHING

    def _guard_of(self, key: ast.expr) -> _Guard:
        names = self._keys(key) or frozenset()
        return _Guard(names if len(names) == 1 else frozenset(), frozenset({ast.dump(key)}))


def _swallows(handler: ast.ExceptHandler) -> bool:
    """Whether it catches a variable that is missing, and does not raise again."""
    kinds = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    catches = any(kind is None or (isinstance(kind, ast.Name) and kind.id in _CAUGHT) for kind in kinds)
    return catches and not any(isinstance(node, ast.Raise) for one in handler.body for node in ast.walk(one))


def _add(where: dict[str, list[str]], name: str, label: str) -> None:
    labels = where.setdefault(name, [])
    if label not in labels:
        labels.append(label)
