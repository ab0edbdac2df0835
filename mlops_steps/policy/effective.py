"""What applies to a project, and which file says so."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from mlops_steps.config import Settings
from mlops_steps.config.policy import Freeze
from mlops_steps.errors import ConfigError
from mlops_steps.policy.levels import CRITICALITIES, KEYS, Key
from mlops_steps.policy.minimums import Organisation, read_all


@dataclass(frozen=True)
class Line:
    """A key of the policy: its value, in words too, and why it applies."""

    key: str
    value: Any
    shown: str
    why: str

    def __str__(self) -> str:
        return f"{self.key}: {self.shown} ({self.why})"


@dataclass(frozen=True)
class Policy:
    """What applies. ``in_force``: a file says something beyond the defaults."""

    lines: tuple[Line, ...]
    in_force: bool

    def line(self, key: str) -> Line:
        """The line of a key, such as ``soak``."""
        return next(line for line in self.lines if line.key.rpartition(".")[2] == key)

    @property
    def automation(self) -> str:
        """full, approval or manual."""
        return str(self.line("automation").value)

    @property
    def approvers(self) -> list[str]:
        """Who may approve; empty: anybody."""
        return list(self.line("approvers").value)

    @property
    def separation_of_duties(self) -> bool:
        """Whether whoever approves must not have started the build."""
        return bool(self.line("separation_of_duties").value)

    @property
    def required_gates(self) -> list[str]:
        """Kinds of gates that cannot be switched off."""
        return list(self.line("required_gates").value)

    @property
    def min_scenarios(self) -> int:
        """Fewest test scenarios."""
        return int(self.line("min_scenarios").value)

    @property
    def soak(self) -> float:
        """Seconds between the tests and the release."""
        return float(self.line("soak").value)

    @property
    def canary(self) -> bool:
        """Whether a version of the API service is released by a canary."""
        return bool(self.line("canary").value)

    @property
    def service_tests(self) -> bool:
        """Whether a version of the API service must have passed its tests on the stage before."""
        return bool(self.line("service_tests").value)

    @property
    def may_force(self) -> list[str]:
        """Who may release during a freeze; empty: nobody."""
        return list(self.line("may_force").value)

    @property
    def freezes(self) -> list[Freeze]:
        """When nothing is released."""
        return list(self.line("freezes").value)


def resolve(settings: Settings) -> Policy:
    """What applies to the project.

    Raises :class:`ConfigError` when the project loosens what its organisation requires, naming both lines, and when
    the organisation's file cannot be read.
    """
    organisations = read_all(settings.minimum_sources())
    problems: list[str] = []
    criticality = _criticality(settings, organisations, problems)
    lines = [criticality, *(_line(key, settings, organisations, criticality, problems) for key in KEYS)]
    if problems:
        raise ConfigError(
            problems[0],
            details=problems[1:],
            next_step="a project can tighten what its organisation requires, not loosen it: see `mlops-steps policy`",
        )
    own = settings.criticality is not None or settings.policy.model_fields_set
    return Policy(tuple(lines), bool(organisations or own))


def _criticality(settings: Settings, organisations: Sequence[Organisation], problems: list[str]) -> Line:
    floors = [
        (CRITICALITIES.index(found), found, organisation.place("criticality"))
        for organisation in organisations
        if (found := organisation.minimums.criticality)
    ]
    own, floor = settings.criticality, max(floors, default=None)
    place = _place(settings, "criticality")
    if own and floor and CRITICALITIES.index(own) < floor[0]:
        problems.append(f"{place}: criticality: {own} is less than {floor[1]}, which {floor[2]} requires")
    if own:
        return Line("criticality", own, own, place)
    if floor:
        return Line("criticality", floor[1], floor[1], floor[2])
    return Line("criticality", None, "not set", "default")


def _line(
    key: Key, settings: Settings, organisations: Sequence[Organisation], criticality: Line, problems: list[str]
) -> Line:
    path = ".".join(key.path)
    floor = _floor(key, organisations)
    own, default = _of(settings, key), key.defaults[criticality.value]
    place = _place(settings, *key.path)
    if own is not None and key.name != "freezes":
        if floor is not None and key.loosens(own, floor.value):
            problems.append(f"{place}: {path}: {key.shown(own)} is less than {floor.shown}, which {floor.why} requires")
        return Line(path, own, key.shown(own), place)
    why = f"criticality {criticality.value}, {criticality.why}" if criticality.value else "default"
    value = default
    if own is not None:
        value, why = own, place
    if floor is None:
        return Line(path, value, key.shown(value), why)
    both = key.both(value, floor.value)
    if both == value:
        return Line(path, value, key.shown(value), why)
    return Line(path, both, key.shown(both), floor.why if both == floor.value else f"{floor.why}; {why}")


def _floor(key: Key, organisations: Sequence[Organisation]) -> Line | None:
    """What all organisations together require at least; ``None`` if none of them says anything about it."""
    found: Line | None = None
    for organisation in organisations:
        minimums = organisation.minimums
        value, why = _of(minimums, key), organisation.place(*key.path)
        if value is None and minimums.criticality:
            value = key.defaults[minimums.criticality]
            why = f"criticality {minimums.criticality}, {organisation.place('criticality')}"
        if value is None:
            continue
        if found is None:
            found = Line(key.name, value, key.shown(value), why)
            continue
        both = key.both(value, found.value)
        if both == found.value:
            continue
        if key.name == "approvers" and not both:
            raise ConfigError(f"nobody may approve a release: {found.why} and {why} have no approver in common")
        found = Line(key.name, both, key.shown(both), why if both == value else f"{found.why} and {why}")
    return found


def _of(said: Any, key: Key) -> Any:
    """What settings, or minimums, say of the key themselves; ``None``: nothing."""
    return said.automation if key.name == "automation" else getattr(said.policy, key.name)


def _place(settings: Settings, *key: str) -> str:
    """Where the project says it: ``mlops.yml:4``."""
    path = ".".join(key)
    return settings.place(*key).removesuffix(path).removesuffix(": ") or "mlops.yml"
