"""What a bundle needs, as data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Source:
    """A piece of Python code. ``label`` names it in reports: ``recipe train_model``, ``library churn/model.py``.

    ``module`` is the dotted name by which other code of the bundle imports it, "" where none can.
    """

    label: str
    text: str
    module: str = ""


@dataclass(frozen=True)
class Undecided:
    """Something that the archive alone does not tell. ``object`` is stable from build to build."""

    object: str
    reason: str


@dataclass
class Reads:
    """The variables that code reads, each with the labels of the code that reads it.

    ``needed``: without the variable the code fails. ``tolerated``: ``.get`` without a default, which gives ``None``.
    ``provided``: names that the code sets itself.
    """

    needed: dict[str, list[str]] = field(default_factory=dict)
    tolerated: dict[str, list[str]] = field(default_factory=dict)
    provided: set[str] = field(default_factory=set)
    undecided: list[Undecided] = field(default_factory=list)


@dataclass(frozen=True)
class BundleNeeds:
    """What the bundle needs. Each mapping goes from a name to the objects of the bundle that need it.

    ``connection_types`` is what the manifest says. ``code_envs`` has (language, name); ``bundled_code_envs`` are those
    that the bundle brings. ``variables`` without those of ``own_variables``, which the bundle has itself or which its
    code sets. ``projects`` are those whose objects it uses. ``version`` is the DSS version that has exported it.
    """

    connections: Mapping[str, list[str]] = field(default_factory=dict)
    connection_types: Mapping[str, str] = field(default_factory=dict)
    code_envs: Mapping[tuple[str, str], list[str]] = field(default_factory=dict)
    bundled_code_envs: frozenset[tuple[str, str]] = frozenset()
    plugins: Mapping[str, list[str]] = field(default_factory=dict)
    channels: Mapping[str, list[str]] = field(default_factory=dict)
    variables: Mapping[str, list[str]] = field(default_factory=dict)
    tolerated_variables: Mapping[str, list[str]] = field(default_factory=dict)
    own_variables: frozenset[str] = frozenset()
    projects: Mapping[str, list[str]] = field(default_factory=dict)
    version: str = ""
    undecided: tuple[Undecided, ...] = ()
