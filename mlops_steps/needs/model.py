"""What a bundle needs, as data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from mlops_steps.config import NeedKind


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

    ``connection_types`` is what the manifest says; ``writes`` has (connection, what it must allow). ``code_envs`` has
    (language, name); ``bundled_code_envs`` are those that the bundle brings. ``plugin_versions`` and ``pythons`` (the
    Python of a code environment) are those of the node that has exported it, ``version`` is its DSS version.
    ``variables`` without those of ``own_variables``, which the bundle has itself or which its code sets. ``projects``
    are those whose objects it uses. ``scenarios``: when each was last changed, in milliseconds since 1970, 0 where that
    is not known.
    """

    connections: Mapping[str, list[str]] = field(default_factory=dict)
    connection_types: Mapping[str, str] = field(default_factory=dict)
    code_envs: Mapping[tuple[str, str], list[str]] = field(default_factory=dict)
    bundled_code_envs: frozenset[tuple[str, str]] = frozenset()
    plugins: Mapping[str, list[str]] = field(default_factory=dict)
    plugin_versions: Mapping[str, str] = field(default_factory=dict)
    pythons: Mapping[tuple[str, str], str] = field(default_factory=dict)
    writes: Mapping[tuple[str, str], list[str]] = field(default_factory=dict)
    scenarios: Mapping[str, int] = field(default_factory=dict)
    channels: Mapping[str, list[str]] = field(default_factory=dict)
    variables: Mapping[str, list[str]] = field(default_factory=dict)
    tolerated_variables: Mapping[str, list[str]] = field(default_factory=dict)
    own_variables: frozenset[str] = frozenset()
    projects: Mapping[str, list[str]] = field(default_factory=dict)
    version: str = ""
    undecided: tuple[Undecided, ...] = ()


@dataclass(frozen=True)
class Need:
    """A need. ``present``: whether the node has it, ``None`` when it is not known (``unknown`` says why).

    ``mild``: it is at most a warning, whatever the severity of its kind. ``remark``: what is told of it in any case.
    """

    kind: NeedKind
    name: str
    present: bool | None
    missing: str = ""
    unknown: str = ""
    users: tuple[str, ...] = ()
    mild: bool = False
    remark: str = ""
