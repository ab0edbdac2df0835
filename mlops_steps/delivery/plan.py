"""A plan: exactly what a release would do. It has a hash, which is approved; a release can be held to it."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any, Literal

import pydantic_core
from pydantic import ConfigDict, Field

from mlops_steps.config.bundle_ids import BUNDLE_ID
from mlops_steps.delivery.unit import Kind, Part, now
from mlops_steps.errors import ConfigError
from mlops_steps.system.files import write_atomically

SCHEMA = 1
# Bytes of a file.
LARGEST = 8 * 1024 * 1024
_SHA256 = r"^[0-9a-f]{64}$"

#: What a release does to a unit. ``verify``: the version is live already, and is only smoke-tested; ``resume``: an
#: earlier release was interrupted, and is gone on with; ``restore``: it had failed, and its restore is finished.
Action = Literal["create", "update", "verify", "resume", "restore", "none"]


class PlannedUnit(Part):
    """What a release does on an infrastructure, and what it found there.

    ``live`` is what the node runs, ``named`` what the deployment's settings name; ``before`` is what a failed release
    returns to, None when nothing was live.
    """

    infra: str
    deployment: str
    action: Action
    live: str | None = None
    named: str | None = None
    enabled: bool | None = None
    before: str | None = None


class PlannedGate(Part):
    """A gate that the release measures; ``definition`` stands for its settings."""

    name: str
    gate: str
    definition: str = ""


class PlannedRelease(Part):
    """What a release does, and on what that depends: when any of it has changed, the plan no longer holds.

    ``waves`` are infrastructures, in the order in which they are changed. ``settings`` are those of mlops.yml that
    decide how, by their dotted names; ``policy`` is what applies to the project, in words.
    """

    project: str
    stage: str
    kind: Kind = "bundle"
    version: str = Field(pattern=BUNDLE_ID)
    sha256: str = Field(pattern=_SHA256)
    units: list[PlannedUnit] = Field(max_length=5000)
    waves: list[list[str]] = Field(default_factory=list, max_length=5000)
    gates: list[PlannedGate] = Field(default_factory=list, max_length=500)
    settings: dict[str, Any] = Field(default_factory=dict)
    policy: dict[str, str] = Field(default_factory=dict)

    @property
    def empty(self) -> bool:
        """Whether there is nothing to do."""
        return all(unit.action == "none" for unit in self.units)


class ChangedObject(Part):
    """An object of the project that the new version has otherwise than what is live."""

    kind: str
    name: str
    what: Literal["added", "removed", "changed"]
    note: str = ""


class Consequences(Part):
    """What follows from a release. ``no_way_back``: what a restore does not undo, a line each."""

    changes: list[ChangedObject] = Field(default_factory=list, max_length=1000)
    left_out: int = 0
    commits: list[str] = Field(default_factory=list, max_length=1000)
    measured: list[str] = Field(default_factory=list, max_length=500)
    approval: str = ""
    no_way_back: list[str] = Field(default_factory=list, max_length=1000)

    @property
    def disappears(self) -> list[ChangedObject]:
        """The objects that the new version does not have any more."""
        return [change for change in self.changes if change.what == "removed"]


class NotedPlan(Part):
    """What the release record keeps of a plan: enough for its approval, and for a release that is held to it.

    ``consequences`` is the SHA-256 of the rest of the plan, ``lines`` is the plan in words.
    """

    sha256: str = Field(pattern=_SHA256)
    release: PlannedRelease
    consequences: str = Field(pattern=_SHA256)
    lines: list[str] = Field(default_factory=list, max_length=100)

    @property
    def whole(self) -> bool:
        """Whether the hash is that of what is noted."""
        return self.sha256 == _hash_of(self.release, self.consequences)


class Plan(Part):
    """The whole plan, as it is written to a file. ``refused``: why a release would be refused right now.

    ``sha256`` covers what is done and what follows, and neither when it was made nor what may be over in an hour.
    """

    model_config = ConfigDict(extra="forbid", validate_assignment=True, populate_by_name=True)

    schema_version: int = Field(default=SCHEMA, alias="schema")
    sha256: str = Field(default="", pattern=r"^([0-9a-f]{64})?$")
    empty: bool = False
    created: str = Field(default_factory=now)
    release: PlannedRelease
    consequences: Consequences = Field(default_factory=Consequences)
    refused: list[str] = Field(default_factory=list, max_length=100)

    @classmethod
    def of(cls, release: PlannedRelease, consequences: Consequences, refused: list[str]) -> Plan:
        """A plan with its hash."""
        found = cls(release=release, consequences=consequences, refused=refused, empty=release.empty)
        found.sha256 = found.digest()
        return found

    def digest(self) -> str:
        """The hash of what the plan says."""
        return _hash_of(self.release, _hash(self.consequences))

    def noted(self, lines: list[str]) -> NotedPlan:
        """What the record keeps of it; ``lines`` is the plan in words."""
        return NotedPlan(
            sha256=self.sha256, release=self.release, consequences=_hash(self.consequences), lines=lines[:100]
        )

    def write(self, path: Path) -> None:
        """Writes the plan. Raises :class:`ConfigError`."""
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(path, json.dumps(self._json(), indent=2, ensure_ascii=False).encode() + b"\n")
        except OSError as error:
            raise ConfigError(f"cannot write the plan {path}: {error.strerror or error}") from None

    def _json(self) -> Any:
        return self.model_dump(mode="json", by_alias=True)

    @classmethod
    def read(cls, path: Path) -> Plan:
        """Reads a plan. Raises :class:`ConfigError` when it is none, or was changed after it was made."""
        try:
            if path.stat().st_size > LARGEST:
                raise ConfigError(f"{path}: larger than {LARGEST} bytes, so not a plan")
            found = cls.model_validate(pydantic_core.from_json(path.read_bytes()))
        except OSError as error:
            raise ConfigError(
                f"cannot read the plan {path}: {error.strerror or error}", next_step="make one with `mlops-steps plan`"
            ) from None
        except ValueError:
            raise ConfigError(f"{path}: not a plan", next_step="make one with `mlops-steps plan`") from None
        if found.schema_version != SCHEMA:
            raise ConfigError(f"{path}: a plan of schema {found.schema_version}; this version reads schema {SCHEMA}")
        if found.sha256 != found.digest():
            raise ConfigError(
                f"{path}: the plan was changed after it was made: it is not what its SHA-256 stands for",
                next_step="make a new one with `mlops-steps plan`",
            )
        return found


def _hash(part: Part) -> str:
    text = json.dumps(part.model_dump(mode="json"), sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()


def _hash_of(release: PlannedRelease, consequences: str) -> str:
    return hashlib.sha256(f"{_hash(release)} {consequences}".encode()).hexdigest()
