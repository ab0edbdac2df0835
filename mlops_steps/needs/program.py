"""The Python code of a bundle as syntax trees: modules, functions, and what names stand for.

Nothing is run or imported. A name stands for a dotted path (``dataiku.get_custom_variables``,
``churn.retention.budget``), followed through imports from one module of the bundle to another.
"""

from __future__ import annotations

import ast
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from mlops_steps.needs.model import Source, Undecided

FunctionNode = ast.FunctionDef | ast.AsyncFunctionDef
_LONGEST_TEXT = 2 * 1024 * 1024
_MOST_STEPS = 20


@dataclass(eq=False)
class Function:
    """A function, a method, or the code of a module outside of functions (``node`` is the module then)."""

    module: Module
    path: str
    node: FunctionNode | ast.Module
    parent: Function | None = None
    owner: str = ""
    #: name → the values that are bound to it in this scope; ``None`` for what is no plain assignment.
    bindings: dict[str, list[ast.expr | None]] = field(default_factory=dict)
    #: name → what a loop or a comprehension takes it from.
    loops: dict[str, list[ast.expr]] = field(default_factory=dict)
    imports: dict[str, str] = field(default_factory=dict)

    @property
    def parameters(self) -> list[str]:
        """The names that arguments are given to by position, ``self`` left out."""
        if isinstance(self.node, ast.Module):
            return []
        names = [one.arg for one in (*self.node.args.posonlyargs, *self.node.args.args)]
        return names[1:] if self.owner and not _is_static(self.node) else names

    @property
    def all_parameters(self) -> set[str]:
        if isinstance(self.node, ast.Module):
            return set()
        return {*self.parameters, *(one.arg for one in self.node.args.kwonlyargs)}

    def defaults(self) -> Iterator[tuple[str, ast.expr]]:
        """The default values of its parameters."""
        if isinstance(self.node, ast.Module):
            return
        arguments = self.node.args
        positional = [*arguments.posonlyargs, *arguments.args]
        for one, value in zip(reversed(positional), reversed(arguments.defaults), strict=False):
            yield one.arg, value
        for one, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True):
            if default is not None:
                yield one.arg, default


@dataclass(eq=False)
class Module:
    """A module. ``key`` is its dotted name, or its label where it cannot be imported."""

    key: str
    label: str
    tree: ast.Module
    is_package: bool = False
    stars: list[str] = field(default_factory=list)
    functions: list[Function] = field(default_factory=list)
    #: (class, attribute) → the values that are assigned to ``self.attribute``, with the function that does.
    attributes: dict[tuple[str, str], list[tuple[ast.expr, Function]]] = field(default_factory=dict)

    @property
    def body(self) -> Function:
        return self.functions[0]


class Program:
    """All modules. ``undecided`` names those that do not parse."""

    def __init__(self, sources: Iterable[Source]) -> None:
        self.modules: dict[str, Module] = {}
        self.functions: dict[str, Function] = {}
        self.classes: set[str] = set()
        self.undecided: list[Undecided] = []
        for source in sources:
            self._add(source)

    def _add(self, source: Source) -> None:
        tree = _parse(source.text)
        if tree is None:
            self.undecided.append(Undecided(source.label, "its Python code does not parse"))
            return
        is_package = source.label.endswith("/__init__.py")
        module = Module(source.module or f"<{source.label}>", source.label, tree, is_package)
        self.modules[module.key] = module
        try:
            _Collector(module, self.classes).collect()
        except RecursionError:
            self.undecided.append(Undecided(source.label, "its Python code is nested too deeply"))
            del self.modules[module.key]
            return
        for function in module.functions:
            self.functions.setdefault(function.path, function)

    def resolve(self, node: ast.expr, scope: Function) -> str | None:
        """The dotted path that a name, or an attribute of one, stands for; ``None`` for a local value."""
        if isinstance(node, ast.Name):
            return self._resolve_name(node.id, scope)
        if isinstance(node, ast.Attribute):
            if isinstance(node.value, ast.Name) and node.value.id in ("self", "cls") and scope.owner:
                return f"{scope.module.key}.{scope.owner}.{node.attr}"
            base = self.resolve(node.value, scope)
            return self.canonical(f"{base}.{node.attr}") if base else None
        return None

    def _resolve_name(self, name: str, scope: Function) -> str | None:
        current: Function | None = scope
        while current:
            nested = f"{current.path}.{name}"
            if nested in self.functions:
                return nested
            if name in current.imports:
                return self.canonical(current.imports[name])
            if current.parent is None:
                break
            if name in current.bindings or name in current.loops or name in current.all_parameters:
                return None
            current = current.parent
        path = f"{scope.module.key}.{name}"
        if path in self.functions or path in self.classes or name in scope.module.body.bindings:
            return path
        for star in scope.module.stars:
            found = self.canonical(f"{star}.{name}")
            if star == "dataiku" or self.value(found) is not None or found in self.functions:
                return found
        return None

    def canonical(self, path: str) -> str:
        """The path, with what a module of the bundle has imported itself followed to its origin."""
        for _ in range(_MOST_STEPS):
            if path in self.functions or path in self.modules:
                return path
            parts = path.split(".")
            for length in range(len(parts) - 1, 0, -1):
                module = self.modules.get(".".join(parts[:length]))
                if module:
                    target = module.body.imports.get(parts[length])
                    break
            else:
                return path
            if not target:
                return path
            path = ".".join((target, *parts[length + 1 :]))
        return path

    def value(self, path: str) -> tuple[list[ast.expr | None], Function] | None:
        """What is bound to a name of a module or of a class of the bundle, and the scope of these values."""
        parts = path.split(".")
        for length in range(len(parts) - 1, 0, -1):
            module = self.modules.get(".".join(parts[:length]))
            if module:
                bound = module.body.bindings.get(".".join(parts[length:]))
                return (bound, module.body) if bound else None
        return None

    def called(self, node: ast.Call, scope: Function) -> Function | None:
        """The function of the bundle that is called; a class stands for its ``__init__``."""
        path = self.resolve(node.func, scope)
        if path is None:
            return None
        return self.functions.get(f"{path}.__init__" if path in self.classes else path)


class _Collector(ast.NodeVisitor):
    """Collects scopes, bindings and imports of one module."""

    def __init__(self, module: Module, classes: set[str]) -> None:
        self.module = module
        self.classes = classes
        self.scope = Function(module, module.key, module.tree)
        self.owner = ""
        module.functions.append(self.scope)

    def collect(self) -> None:
        self.generic_visit(self.module.tree)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        self._function(node)

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> None:
        self._function(node)

    def _function(self, node: FunctionNode) -> None:
        for outside in (*node.decorator_list, *node.args.defaults, *filter(None, node.args.kw_defaults)):
            self.visit(outside)
        outer, owner = self.scope, self.owner
        is_method = bool(owner) and outer.parent is None
        path = f"{outer.path}.{owner}.{node.name}" if is_method else f"{outer.path}.{node.name}"
        # A function within a method still knows what ``self`` is.
        inner_owner = owner if is_method else ""
        self.scope = Function(self.module, path, node, outer, inner_owner)
        self.owner = ""
        self.module.functions.append(self.scope)
        for statement in node.body:
            self.visit(statement)
        self.scope, self.owner = outer, owner

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        owner = self.owner
        self.owner = node.name
        self.classes.add(f"{self.module.key}.{node.name}")
        for statement in node.body:
            self.visit(statement)
        self.owner = owner

    def visit_Import(self, node: ast.Import) -> None:
        for item in node.names:
            self.scope.imports[item.asname or item.name.partition(".")[0]] = (
                item.name if item.asname else item.name.partition(".")[0]
            )

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        base = node.module or ""
        if node.level:
            parts = self.module.key.split(".")
            kept = parts[: len(parts) - node.level + (1 if self.module.is_package else 0)]
            base = ".".join([*kept, *([base] if base else [])])
        for item in node.names:
            if item.name == "*":
                self.module.stars.append(base)
            else:
                self.scope.imports[item.asname or item.name] = f"{base}.{item.name}" if base else item.name

    def visit_Assign(self, node: ast.Assign) -> None:
        for target in node.targets:
            self._bind(target, node.value)
        self.generic_visit(node)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        if node.value is not None:
            self._bind(node.target, node.value)
        self.generic_visit(node)

    def visit_NamedExpr(self, node: ast.NamedExpr) -> None:
        self._bind(node.target, node.value)
        self.generic_visit(node)

    def visit_AugAssign(self, node: ast.AugAssign) -> None:
        self._bind(node.target, None)
        self.generic_visit(node)

    def visit_For(self, node: ast.For) -> None:
        self._loop(node.target, node.iter)
        self.generic_visit(node)

    def visit_AsyncFor(self, node: ast.AsyncFor) -> None:
        self._bind(node.target, None)
        self.generic_visit(node)

    def visit_comprehension(self, node: ast.comprehension) -> None:
        self._loop(node.target, node.iter)
        self.generic_visit(node)

    def visit_withitem(self, node: ast.withitem) -> None:
        if node.optional_vars:
            self._bind(node.optional_vars, None)
        self.generic_visit(node)

    def visit_ExceptHandler(self, node: ast.ExceptHandler) -> None:
        if node.name:
            self._name(node.name, None)
        self.generic_visit(node)

    def visit_Lambda(self, node: ast.Lambda) -> None:
        for one in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs):
            self._name(one.arg, None)
        self.generic_visit(node)

    def _loop(self, target: ast.expr, source: ast.expr) -> None:
        if isinstance(target, ast.Name):
            self.scope.loops.setdefault(target.id, []).append(source)
        else:
            self._bind(target, None)

    def _bind(self, target: ast.expr, value: ast.expr | None) -> None:
        if isinstance(target, ast.Name):
            self._name(target.id, value)
        elif isinstance(target, ast.Starred):
            self._bind(target.value, None)
        elif isinstance(target, (ast.Tuple, ast.List)):
            same = isinstance(value, (ast.Tuple, ast.List)) and len(value.elts) == len(target.elts)
            for index, element in enumerate(target.elts):
                self._bind(element, value.elts[index] if same else None)  # type: ignore[union-attr]
        elif value is not None and self.scope.owner and _is_of_self(target):
            place = (self.scope.owner, target.attr)  # type: ignore[attr-defined]
            self.module.attributes.setdefault(place, []).append((value, self.scope))

    def _name(self, name: str, value: ast.expr | None) -> None:
        # The constants of a class are names of the module's scope: ``Names.BUDGET``.
        name = f"{self.owner}.{name}" if self.owner else name
        self.scope.bindings.setdefault(name, []).append(value)


def _is_of_self(node: ast.expr) -> bool:
    return isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "self"


def _is_static(node: FunctionNode) -> bool:
    return any(isinstance(one, ast.Name) and one.id == "staticmethod" for one in node.decorator_list)


def _parse(text: str) -> ast.Module | None:
    if len(text) > _LONGEST_TEXT:
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
