"""What a child process knows of its node: the project's places, the variables, the recipe that runs."""

from __future__ import annotations

import functools
import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ._layout import Places


class Unsupported(NotImplementedError, AttributeError):
    """A call that exists in DSS and not in the sandbox. The message names it."""


class Context:
    """The context that the sandbox wrote for this process."""

    def __init__(self, document: dict[str, Any]):
        self.project_key: str = document["projectKey"]
        self.places = Places.from_document(document)
        self.recipe: dict[str, Any] | None = document.get("recipe")
        self.scenario: dict[str, Any] | None = document.get("scenario")
        self._variables: dict[str, Any] = document["variables"]

    def variables(self, typed: bool = False) -> dict[str, Any]:
        """The resolved variables, as strings unless ``typed``."""
        if typed:
            return dict(self._variables)
        return {name: value if isinstance(value, str) else json.dumps(value) for name, value in self._variables.items()}

    def check_declared(self, direction: str, references: Iterable[str], label: str, ignore_flow: bool) -> None:
        """Raises when a recipe uses an object that it does not declare, as DSS does.

        :param direction: ``inputs`` or ``outputs``.
        """
        if ignore_flow or self.recipe is None:
            return
        declared = set(self.recipe[direction])
        if direction == "inputs":
            declared |= set(self.recipe["outputs"])
        if declared.isdisjoint(references):
            kind = "an input" if direction == "inputs" else "an output"
            raise ValueError(f"{label} is not declared as {kind} of recipe {self.recipe['name']}")


@functools.lru_cache(maxsize=1)
def _own() -> Context:
    document = json.loads(Path(os.environ["DKU_SANDBOX_CONTEXT"]).read_text(encoding="utf-8"))
    return Context(document)


def context(project_key: str | None = None) -> Context:
    """The context; objects of other projects cannot be used in the sandbox."""
    own = _own()
    if project_key and project_key != own.project_key:
        raise Unsupported(f"objects of another project ({project_key}) are not supported by the sandbox")
    return own


def split_reference(reference: str, project_key: str | None) -> tuple[str | None, str]:
    """``PROJECT.name`` or ``name`` → project key (or None), name."""
    if project_key is None and "." in reference:
        key, _, name = reference.partition(".")
        return key, name
    return project_key, reference
