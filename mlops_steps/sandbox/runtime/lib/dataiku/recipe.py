"""The inputs and outputs of the recipe that runs."""

from __future__ import annotations

from typing import Any

from ._context import context
from .dataset import Dataset


def _names(direction: str) -> list[str]:
    recipe = context().recipe
    if recipe is None:
        raise RuntimeError("dataiku.recipe can be used in the code of a recipe only")
    return list(recipe[direction])


def get_inputs() -> list[str]:
    """The names of the inputs."""
    return _names("inputs")


def get_outputs() -> list[str]:
    """The names of the outputs."""
    return _names("outputs")


def get_inputs_as_datasets() -> list[Any]:
    """The inputs as datasets."""
    return [Dataset(name) for name in _names("inputs")]


def get_outputs_as_datasets() -> list[Any]:
    """The outputs as datasets."""
    return [Dataset(name) for name in _names("outputs")]
