"""What is known of a project on the Design node, as data: what the rules of `validate` look at.

``definition`` is what DSS itself holds of an object, for a team's own rules. Nothing here asks a node.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

PYTHON_RECIPES = frozenset({"python", "pyspark", "cpython"})

# Suffix of the code of the other recipes that hold code.
_SUFFIXES = {
    "r": ".r",
    "sparkr": ".r",
    "sql_query": ".sql",
    "sql_script": ".sql",
    "spark_sql_query": ".sql",
    "hive": ".sql",
    "impala": ".sql",
    "shell": ".sh",
    "spark_scala": ".scala",
}


@dataclass(frozen=True)
class Code:
    """A piece of code. ``object`` is its name in reports: ``recipe train_model``, ``library python/churn/model.py``."""

    object: str
    text: str
    suffix: str = ".py"

    @property
    def is_python(self) -> bool:
        return self.suffix == ".py"


@dataclass(frozen=True)
class Recipe:
    """A recipe. ``inputs`` and ``outputs`` are references: a name, or ``PROJECT.name`` for another project's."""

    name: str
    type: str
    inputs: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()
    code: str | None = None
    definition: Mapping[str, Any] = field(default_factory=dict)

    @property
    def suffix(self) -> str | None:
        """The suffix of its code; ``None`` when it is not a code recipe."""
        return ".py" if self.type in PYTHON_RECIPES else _SUFFIXES.get(self.type)


@dataclass(frozen=True)
class Scenario:
    """A scenario. ``is_test``: its id matches one of the patterns of `test.scenarios`, or it is marked as test.

    ``definition`` is empty for one that is neither active nor a test: only those that run are read in full.
    """

    id: str
    name: str = ""
    is_test: bool = False
    definition: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class CodeEnvUse:
    """A code environment that is named by ``user`` (``recipe train_model``, ``project DKU_CHURN``)."""

    language: str
    name: str
    user: str


@dataclass(frozen=True)
class ProjectFacts:
    """A project.

    ``flow_objects`` are the references of all that the flow may read or write: the project's own objects, and those of
    other projects that it uses and that exist. ``unseen`` maps references that could not be looked up to the reason.
    ``code_envs`` holds (language, name), and is ``None`` when the node does not say.
    """

    key: str
    recipes: tuple[Recipe, ...] = ()
    library: Mapping[str, str] = field(default_factory=dict)
    scenarios: tuple[Scenario, ...] = ()
    datasets: tuple[Mapping[str, Any], ...] = ()
    saved_models: tuple[Mapping[str, Any], ...] = ()
    flow_objects: frozenset[str] = frozenset()
    unseen: Mapping[str, str] = field(default_factory=dict)
    code_envs: frozenset[tuple[str, str]] | None = frozenset()
    code_env_uses: tuple[CodeEnvUse, ...] = ()
    test_patterns: tuple[str, ...] = ("TEST_*",)
    smoke_scenario: str = "TEST_SMOKE"

    @cached_property
    def code(self) -> list[Code]:
        """All code of recipes and of the library."""
        return list(self._code())

    @property
    def python(self) -> list[Code]:
        """The Python code of recipes and of the library."""
        return [code for code in self.code if code.is_python]

    def _code(self) -> Iterator[Code]:
        for recipe in self.recipes:
            if recipe.suffix and recipe.code is not None:
                yield Code(f"recipe {recipe.name}", recipe.code, recipe.suffix)
        for path, text in self.library.items():
            yield Code(f"library {path}", text, f".{path.rpartition('.')[2].lower()}")

    def needed(self) -> dict[str, list[str]]:
        """What the recipes read or write, each with the names of these recipes."""
        needed: dict[str, list[str]] = {}
        for recipe in self.recipes:
            for reference in dict.fromkeys((*recipe.inputs, *recipe.outputs)):
                needed.setdefault(reference, []).append(recipe.name)
        return needed
