"""The release record: what the steps of one release know of each other.

It is written whole and flushed to disk before anything that it describes is changed, so that after a crash, on another
agent, the next command knows what was live and what is pending.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pydantic_core
from pydantic import ConfigDict, Field, PrivateAttr, ValidationError

from mlops_steps.config.bundle_ids import BUNDLE_ID
from mlops_steps.delivery import schema1
from mlops_steps.delivery.phases import Phase
from mlops_steps.delivery.plan import NotedPlan
from mlops_steps.delivery.record_parts import joined, merged, parts
from mlops_steps.delivery.rollout.progress import Rollout
from mlops_steps.delivery.unit import Kind, Measured, Message, Outcome, Part, Unit, now
from mlops_steps.errors import ConfigError
from mlops_steps.policy.starters import starters
from mlops_steps.system.files import locked, write_atomically
from mlops_steps.system.secrets import redact
from mlops_steps.system.text import clean

SCHEMA = 2

# Bytes. A record holds a few stages; a larger file is not a record.
LARGEST = 4 * 1024 * 1024


class Bundle(Part):
    """The bundle this record is about. ``sha256`` and ``size`` (bytes) are of the archive on the Project Deployer."""

    id: str = Field(pattern=BUNDLE_ID)
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    size: int = Field(ge=0)
    #: When it was exported.
    created: str = Field(default_factory=now)
    #: What the release stage had when this bundle was packaged: "" for nothing, None when that is not known.
    replaces: str | None = None
    #: What changed since then, a line each, for the one who approves.
    changes: list[str] = Field(default_factory=list, max_length=100)


class Package(Part):
    """The package of an API service. ``sha256`` and ``size`` (bytes) are of the archive on the API Deployer."""

    service: str = Field(max_length=200)
    version: str = Field(pattern=BUNDLE_ID)
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    size: int = Field(ge=0)
    #: When it was first recorded.
    created: str = Field(default_factory=now)
    project_commit: str | None = None
    endpoints: list[str] = Field(default_factory=list, max_length=1000)


class Build(Part):
    """The Jenkins build, and the commit of the repository that holds the Jenkinsfile."""

    number: str | None = None
    job: str | None = None
    url: str | None = None
    commit: str | None = None
    #: The users who have started it; none for a timer or a change; None when that is not known.
    started_by: list[str] | None = Field(default=None, max_length=100)


class Approval(Part):
    """Who approved a release to a stage, and when. ``build`` names the build that asked.

    ``bundle`` is the id of what was approved: of a bundle, or of a version of the API service.

    ``sha256`` is that of the approved archive. An approval without it, of an earlier version, does not count.
    ``among`` is whom the question was put to, where it was put to some only. ``plan`` is the SHA-256 of the plan that
    was approved, where there was one.
    """

    by: str = Field(min_length=1, max_length=200)
    bundle: str
    sha256: str | None = None
    at: str = Field(default_factory=now)
    build: str | None = None
    among: list[str] = Field(default_factory=list, max_length=200)
    plan: str | None = Field(default=None, pattern=r"^[0-9a-f]{64}$")

    def covers(self, archive: Bundle | Package, build: str | None, plan: NotedPlan | None) -> bool:
        """Whether this archive was approved, in this build, and by this plan of its release, where there is one."""
        own = archive.id if isinstance(archive, Bundle) else archive.version
        approved = (self.bundle, self.sha256, self.build, self.plan)
        return approved == (own, archive.sha256, build, plan.sha256 if plan else None)


class Forced(Part):
    """A release during a freeze, or of a version that is quarantined: who forced it, and why.

    ``quarantine`` says in words why the version was quarantined.
    """

    by: str = Field(min_length=1, max_length=200)
    reason: Message
    freeze: str = Field(default="", max_length=200)
    quarantine: Message = ""
    at: str = Field(default_factory=now)


class Quarantined(Part):
    """A version that was rolled back: its commit as far as it is known, where, when, by whom, and why."""

    version: str = Field(max_length=200)
    commit: str = Field(default="", max_length=200)
    infra: str = Field(max_length=200)
    at: str = Field(default_factory=now)
    by: str = Field(default="", max_length=1000)
    why: Message = ""


class Rehearsal(Part):
    """The way back from the bundle of ``outcome`` to the bundle ``old``, as it was proved on a stage."""

    old: str = Field(max_length=200)
    outcome: Outcome


class Stage(Part):
    """What was done on one stage, unit by unit. Units are named by their infrastructure.

    ``gates`` is what the gates of `release` measured before the stage was changed, by name. ``forced``: the last
    release was during a freeze, or of a quarantined version. ``quarantined``: the version that was rolled back last.
    ``plan``: the last one that was made of a release to this stage. ``rehearsal``: the way back was proved here.
    """

    plan: NotedPlan | None = None
    approval: Approval | None = None
    forced: Forced | None = None
    quarantined: Quarantined | None = None
    test: Outcome | None = None
    rehearsal: Rehearsal | None = None
    gates: dict[str, Measured] = Field(default_factory=dict, max_length=500)
    units: dict[str, Unit] = Field(default_factory=dict)
    #: The last release in waves, where the stage has several infrastructures.
    rollout: Rollout | None = None

    def plan_of(self, archive: Bundle | Package) -> NotedPlan | None:
        """The plan of the release of this archive; ``None`` where it is of another one."""
        return self.plan if self.plan and self.plan.release.sha256 == archive.sha256 else None

    @property
    def pending(self) -> bool:
        """Whether a restore is pending on one of the units, or a release in waves was interrupted."""
        interrupted = self.rollout is not None and self.rollout.unfinished
        return interrupted or any(unit.pending for unit in self.units.values())

    @property
    def before(self) -> list[str]:
        """What was live on each infrastructure before the last change; ``nothing`` where nothing was."""
        return [(unit.previous.version if unit.previous else None) or "nothing" for unit in self.units.values()]

    def summary(self, version: str | None) -> str | None:
        """What is live, in a few words; ``None`` when this stage has nothing to do with the version."""
        if self.pending:
            return "its restore is pending, see the log"
        if self.rollout and self.rollout.version == version and self.rollout.state in ("stopped", "waiting"):
            done = sum(unit.verified == version for unit in self.units.values())
            waits = ", and waits for an approval" if self.rollout.state == "waiting" else ", stopped"
            return f"live on {done} of {len(self.units)} infrastructures{waits}"
        restored = [unit for unit in self.units.values() if unit.phase is Phase.RESTORED]
        if restored:
            return f"{(restored[0].previous and restored[0].previous.version) or 'nothing'} (restored)"
        units = [unit for unit in self.units.values() if unit.version == version and unit.deploy]
        if not units:
            return None
        if any(unit.phase is not Phase.LIVE for unit in units):
            return "not deployed"
        checks = [("tests", self.test), *(("smoke test", unit.smoke_test) for unit in units)]
        said = [f"{name} {check.result}" for name, check in checks if check and check.bundle == version]
        return ", ".join(["live", *dict.fromkeys(said)])


class ReleaseRecord(Part):
    """The whole record. ``schema_version`` is written as ``schema``."""

    model_config = ConfigDict(extra="ignore", validate_assignment=True, populate_by_name=True)

    schema_version: int = Field(default=SCHEMA, alias="schema")
    project: str
    bundle: Bundle | None = None
    package: Package | None = None
    project_commit: str | None = None
    build: Build = Field(default_factory=Build)
    stages: dict[str, Stage] = Field(default_factory=dict)
    #: The stages of the API service: their names may be those of the project's.
    api_stages: dict[str, Stage] = Field(default_factory=dict)

    #: The parts as they were read or last written: what has changed since is this process's.
    _base: dict[str, Any] = PrivateAttr(default_factory=dict)

    def stage(self, name: str, kind: Kind = "bundle") -> Stage:
        """The stage's part, made when it is not there yet."""
        stages = self.stages if kind == "bundle" else self.api_stages
        return stages.setdefault(name, Stage())

    def unit(self, stage: str, infra: str, deployment: str, kind: Kind = "bundle") -> Unit:
        """The unit of the stage that is on the infrastructure, made when it is not there yet."""
        return self.stage(stage, kind).units.setdefault(infra, Unit(kind=kind, infra=infra, deployment=deployment))

    def begin(self, bundle: Bundle) -> None:
        """Makes the record one of this bundle. Of other bundles only what is pending is kept."""
        if self.bundle is None or self.bundle.id != bundle.id:
            self.stages = _pending(self.stages)
        self.bundle = bundle

    def begin_package(self, package: Package) -> None:
        """Makes the record one of this package of the API service. Of others only what is pending is kept."""
        known = self.package
        if known is None or (known.service, known.version) != (package.service, package.version):
            self.api_stages = _pending(self.api_stages)
            self.package = package

    def tested(self, stage: str) -> bool:
        """Whether this record's bundle passed its tests on the stage."""
        part = self.stages.get(stage)
        test = part.test if part else None
        return bool(self.bundle and test and test.result == "passed" and test.bundle == self.bundle.id)

    def save(self, path: Path) -> None:
        """Writes the record atomically and flushes it to disk. Raises :class:`ConfigError` when that fails.

        Parts that another process has written since, and this one has not changed, are kept: steps of parallel stages
        may share a workspace.
        """
        try:
            with locked(lock_of(path)):
                ours, theirs = self._parts(), self._written(path)
                found = ours if theirs is None else merged(self._base, ours, theirs)
                write_atomically(path, json.dumps(joined(found), indent=2, ensure_ascii=False).encode() + b"\n")
            self._base = ours
        except (OSError, ValueError) as error:
            why = error.strerror if isinstance(error, OSError) else redact(str(error))
            raise ConfigError(
                f"cannot write the release record {path}: {why}",
                next_step="nothing is changed without a record: make room or rights, then run the step again",
            ) from None

    def __eq__(self, other: object) -> bool:
        # What is on disk is no part of the record.
        return isinstance(other, ReleaseRecord) and self.model_dump() == other.model_dump()

    def _parts(self) -> dict[str, Any]:
        return parts(self.model_dump(mode="json", by_alias=True))

    def _written(self, path: Path) -> dict[str, Any] | None:
        """The parts of the record that is there now; ``None`` when there is none, or none of this project."""
        try:
            now = ReleaseRecord.load(path)
        except ConfigError:
            return None
        return now._parts() if now and now.project == self.project else None

    @classmethod
    def load(cls, path: Path) -> ReleaseRecord | None:
        """Reads the record; ``None`` when there is no file. Raises :class:`ConfigError` when it can't be used."""
        try:
            if path.stat().st_size > LARGEST:
                raise ConfigError(f"{path}: larger than {LARGEST} bytes, so not a release record")
            data = path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise ConfigError(f"cannot read the release record {path}: {error.strerror}") from None
        return cls.parse(data, str(path))

    @classmethod
    def parse(cls, data: bytes, source: str) -> ReleaseRecord:
        """Reads a record from bytes; ``source`` names them in errors. Raises :class:`ConfigError`."""
        try:
            record = cls.model_validate(schema1.upgraded(pydantic_core.from_json(data)))
        except ValueError as error:
            raise ConfigError(
                f"{source}: not a release record: {_why(error)}",
                next_step="take the record that the last build archived, or delete the file and begin with "
                "`mlops-steps package`",
            ) from None
        if record.schema_version != SCHEMA:
            raise ConfigError(
                f"{source}: schema {record.schema_version}, but this version of mlops-steps reads schema {SCHEMA}",
                next_step="use the version of mlops-steps that wrote the record",
            )
        record._base = record._parts()
        return record


def _pending(stages: dict[str, Stage]) -> dict[str, Stage]:
    return {
        name: Stage(units={infra: unit for infra, unit in stage.units.items() if unit.pending})
        for name, stage in stages.items()
        if any(unit.pending for unit in stage.units.values())
    }


def _why(error: ValueError) -> str:
    if not isinstance(error, ValidationError):
        return "not JSON"
    first = error.errors(include_url=False, include_input=False)[0]
    where = ".".join(str(part) for part in first["loc"]) or "the file"
    return f"{where}: {first['msg']}"


def lock_of(path: Path) -> Path:
    """The file that is locked while the record in ``path`` is read, changed and written."""
    return path.with_name(f".{path.name}.lock")


def load_for(path: Path, project: str) -> ReleaseRecord:
    """The record of the project, or a new one. Raises :class:`ConfigError` when the file is another project's."""
    record = ReleaseRecord.load(path)
    if record is None:
        return ReleaseRecord(project=project)
    if record.project != project:
        raise ConfigError(f"{path} is the record of project {record.project}, not of {project}")
    return record


def build_from(environ: Any) -> Build:
    """The build, from the environment variables of Jenkins and of its library; outside of a build, who runs it."""

    def value(name: str) -> str | None:
        return re.sub(r"[\t\n]", "", clean(environ.get(name, "")))[:500] or None

    return Build(
        number=value("BUILD_NUMBER"),
        job=value("JOB_NAME"),
        url=value("BUILD_URL"),
        commit=value("GIT_COMMIT"),
        started_by=starters(environ),
    )
