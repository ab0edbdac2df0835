"""Every error that a user can meet stands in errors.py, in the tree on top of it too."""

from __future__ import annotations

import importlib
import pkgutil
import re

import pytest

import mlops_steps
from mlops_steps import errors
from mlops_steps.errors import InternalError, MlopsError

#: The nodes of the sandbox, and what their projects hold, are imported by nobody else.
_APART = ("mlops_steps.sandbox", "mlops_steps.__main__")


def drawn() -> dict[str, tuple[str, str]]:
    """The tree on top of errors.py: each class with the one above it, and what is said of its exit code."""
    found: dict[str, tuple[str, str]] = {}
    above: list[str] = []
    for indent, name, code in re.findall(r"^    ((?:[│├└─ ]{4})*)(\w+) {2,}(.+)$", str(errors.__doc__), re.MULTILINE):
        depth = len(indent) // 4
        del above[depth:]
        found[name] = (above[-1] if above else "Exception", code)
        above.append(name)
    return found


def descendants(kind: type[MlopsError]) -> set[type[MlopsError]]:
    return {kind}.union(*(descendants(child) for child in kind.__subclasses__()))


def test_the_drawing_is_the_tree() -> None:
    classes = {name: value for name, value in vars(errors).items() if isinstance(value, type)}
    found = {name: value for name, value in classes.items() if issubclass(value, Exception)}
    assert {name: above for name, (above, _) in drawn().items()} == {
        name: value.__base__.__name__ for name, value in found.items()
    }
    for name, (_, code) in drawn().items():
        assert code == str(found[name].exit_code) or (name, code[:3]) == ("Interrupted", "128")


def test_no_error_that_ends_a_step_is_defined_elsewhere() -> None:
    for module in pkgutil.walk_packages(mlops_steps.__path__, "mlops_steps.", onerror=lambda name: None):
        if not module.name.startswith(_APART):
            importlib.import_module(module.name)
    elsewhere = {kind for kind in descendants(MlopsError) if kind.__module__ != "mlops_steps.errors"}
    assert {kind for kind in elsewhere if not kind.__module__.startswith(("mlops_steps.sandbox", "tests"))} == set()


@pytest.mark.parametrize("name", sorted(drawn()))
def test_each_has_a_label_and_says_what_it_means(name: str) -> None:
    kind = getattr(errors, name)
    assert kind.label
    assert kind.__doc__


def test_a_mistake_of_ours_is_not_called_a_nodes() -> None:
    error = InternalError.of(ZeroDivisionError("division by zero"))
    assert (error.label, error.exit_code) == ("mlops-steps", 3)
    assert error.lines() == ["internal error: ZeroDivisionError: division by zero"]
