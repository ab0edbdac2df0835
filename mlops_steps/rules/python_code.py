"""Rules on the Python code of recipes and of the project library."""

from __future__ import annotations

import ast
import platform
import warnings
from collections.abc import Callable, Iterator
from functools import lru_cache

from mlops_steps.config import ValidateSettings
from mlops_steps.dss.facts import Code, ProjectFacts
from mlops_steps.rules.model import Finding, rule

_NOT_PARSED = "the code does not parse"


@rule("python-parses")
def python_parses(project: ProjectFacts, _settings: ValidateSettings) -> Iterator[Finding]:
    """Each Python recipe and library module is valid Python, for the version that runs this check."""
    for code in project.python:
        _, problem = _parse(code.text)
        yield Finding(code.object, ok=not problem, message=problem)


@rule("max-lines")
def max_lines(project: ProjectFacts, settings: ValidateSettings) -> Iterator[Finding]:
    """Each Python recipe and library module has at most `validate.limits.lines` lines."""
    limit = settings.limits.lines
    for code in project.python:
        count = len(code.text.splitlines())
        yield Finding(code.object, ok=count <= limit, message=f"{count} lines; the limit is {limit}")


@rule("max-logical-lines")
def max_logical_lines(project: ProjectFacts, settings: ValidateSettings) -> Iterator[Finding]:
    """Each Python recipe and library module has at most `validate.limits.logical_lines` statements."""
    limit = settings.limits.logical_lines
    yield from _measured(project, lambda code: _logical_lines(code, limit))


@rule("max-complexity")
def max_complexity(project: ProjectFacts, settings: ValidateSettings) -> Iterator[Finding]:
    """No function, and no code outside of functions, is more complex than `validate.limits.complexity`."""
    limit = settings.limits.complexity
    yield from _measured(project, lambda code: _complexity(code, limit))


def _measured(project: ProjectFacts, measure: Callable[[Code], Finding]) -> Iterator[Finding]:
    for code in project.python:
        if _parse(code.text)[0] is None:
            yield Finding(code.object, skipped=_NOT_PARSED)
            continue
        try:
            finding = measure(code)
        except (SyntaxError, RecursionError, ValueError, LookupError) as error:
            # radon reads the text in its own way, too.
            finding = Finding(code.object, ok=False, message=f"radon cannot measure it: {type(error).__name__}")
        yield finding


def _logical_lines(code: Code, limit: int) -> Finding:
    from radon.raw import analyze

    count = analyze(code.text).lloc
    return Finding(code.object, ok=count <= limit, message=f"{count} logical lines; the limit is {limit}")


def _complexity(code: Code, limit: int) -> Finding:
    from radon.visitors import ComplexityVisitor

    tree, _ = _parse(code.text)
    visitor = ComplexityVisitor.from_ast(tree)
    methods = [method for block in visitor.classes for method in block.methods]
    functions = [*visitor.functions, *methods]
    measured = [(visitor.complexity, 1, "the code outside of functions")]
    measured += [(function.complexity, function.lineno, f"function {function.fullname}") for function in functions]
    worst = sorted((item for item in measured if item[0] > limit), key=lambda item: (-item[0], item[1]))
    message = f"{worst[0][2]} has complexity {worst[0][0]}; the limit is {limit}" if worst else ""
    details = "\n".join(f"line {line}: {name} has complexity {count}" for count, line, name in worst)
    return Finding(code.object, ok=not worst, message=message, details=details)


@lru_cache(maxsize=4096)
def _parse(text: str) -> tuple[ast.AST | None, str]:
    """The syntax tree, or what is wrong. The text of the line is left out: it may hold a secret."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ast.parse(text), ""
    except SyntaxError as error:
        place = f"line {error.lineno}: " if error.lineno else ""
        return None, f"{place}{type(error).__name__} for Python {platform.python_version()}: {_reason(error)}"
    except (ValueError, RecursionError, MemoryError) as error:
        reason = "nested too deeply" if not isinstance(error, ValueError) else str(error)
        return None, f"cannot be parsed: {reason}"


def _reason(error: SyntaxError) -> str:
    """The parser's words. Those on a character or a name quote it; that is short and no secret."""
    return str(error.msg or "invalid syntax").splitlines()[0][:200]
