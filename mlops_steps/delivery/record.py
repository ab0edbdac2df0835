"""The release record: what the steps of one release know of each other.

It is written whole and flushed to disk before anything that it describes is changed, so that after a crash, on another
agent, the next command knows what was live and what is owed.
"""

from __future__ import annotations

import re
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from mlops_steps.config.bundle_ids import BUNDLE_ID
from mlops_steps.errors import ConfigError
from mlops_steps.system.files import write_atomically
from mlops_steps.system.secrets import redact
from mlops_steps.system.text import clean, shorten_middle

SCHEMA = 1

# A record holds a few stages; a larger file is none.
LARGEST = 4 * 1024 * 1024
# Bytes of a message, which may be a node's.
_MESSAGE = 4000

Result = Literal["started", "passed", "failed", "error", "skipped"]


def now() -> str:
    """UTC in ISO 8601 with seconds."""
    return datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


class _Part(BaseModel):
    model_config = ConfigDict(extra="ignore", validate_assignment=True)


class Outcome(_Part):
    """How something that a step did has ended, or that it has begun.

    ``attempt`` names the scenario runs of this attempt, so that after a crash they are found and not run again.
    """

    result: Result = "started"
    bundle: str | None = None
    attempt: str = Field(default="", max_length=200)
    started: str = Field(default_factory=now)
    ended: str | None = None
    message: str = ""

    @field_validator("message")
    @classmethod
    def _fit(cls, text: str) -> str:
        fit = redact(clean(text))
        # What was shortened once stays as it is: the line that says so comes on top of the limit.
        return fit if len(fit.encode()) <= _MESSAGE + 100 else shorten_middle(fit, _MESSAGE)

    def end(self, result: Result, message: str = "") -> None:
        """Notes the end."""
        self.result, self.message, self.ended = result, message, now()


class Bundle(_Part):
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


class Build(_Part):
    """The Jenkins build, and the commit of the repository that holds the Jenkinsfile."""

    number: str | None = None
    job: str | None = None
    url: str | None = None
    commit: str | None = None


class Previous(_Part):
    """What was live before a change. ``bundle`` is None when nothing was.

    ``in_settings`` is what the deployment's settings named, which is another bundle after an update that failed.
    """

    bundle: str | None = None
    in_settings: str | None = None
    deployment_existed: bool = True
    enabled: bool = True
    health: str = "UNKNOWN"


class Approval(_Part):
    """Who approved the release of a bundle to a stage, and when. ``build`` names the build that asked.

    ``sha256`` is that of the approved archive. An approval without it, of an earlier version, does not count.
    """

    by: str = Field(min_length=1, max_length=200)
    bundle: str
    sha256: str | None = None
    at: str = Field(default_factory=now)
    build: str | None = None

    def covers(self, bundle: Bundle, build: str | None) -> bool:
        """Whether it is this very archive that was approved, in this very build."""
        return (self.bundle, self.sha256, self.build) == (bundle.id, bundle.sha256, build)


class Stage(_Part):
    """What was done on one stage."""

    infra: str
    deployment: str
    previous: Previous | None = None
    owed: Literal["nothing", "verify", "restore"] = "nothing"
    approval: Approval | None = None
    deploy: Outcome | None = None
    test: Outcome | None = None
    smoke_test: Outcome | None = None
    rollback: Outcome | None = None

    @property
    def ours(self) -> set[str]:
        """The bundles that the deployment's settings may name when nobody else has changed them."""
        before = self.previous
        names = (self.deploy and self.deploy.bundle, before and before.bundle, before and before.in_settings)
        return {name for name in names if name}

    def still_owed(self, seen: str | None) -> Previous | None:
        """What to return to after one more change, which found bundle ``seen`` in the deployment's settings."""
        if self.previous and seen in self.ours:
            return self.previous.model_copy(update={"in_settings": seen})
        return self.previous

    def owes_nothing(self) -> None:
        """Forgets what a release that was cut off has left."""
        self.owed = "nothing"
        self.previous = self.deploy = self.smoke_test = self.rollback = None


class ReleaseRecord(_Part):
    """The whole record. ``schema_version`` is written as ``schema``."""

    model_config = ConfigDict(extra="ignore", validate_assignment=True, populate_by_name=True)

    schema_version: int = Field(default=SCHEMA, alias="schema")
    project: str
    bundle: Bundle | None = None
    project_commit: str | None = None
    build: Build = Field(default_factory=Build)
    stages: dict[str, Stage] = Field(default_factory=dict)

    def stage(self, name: str, infra: str, deployment: str) -> Stage:
        """The stage's part, made when it is not there yet."""
        if name not in self.stages:
            self.stages[name] = Stage(infra=infra, deployment=deployment)
        return self.stages[name]

    def begin(self, bundle: Bundle) -> None:
        """Makes the record one of this bundle. Of other bundles only what is still owed is kept."""
        if self.bundle is None or self.bundle.id != bundle.id:
            for name, part in list(self.stages.items()):
                if part.owed == "nothing":
                    del self.stages[name]
                else:
                    part.approval = part.test = part.smoke_test = None
        self.bundle = bundle

    def tested(self, stage: str) -> bool:
        """Whether this record's bundle passed its tests on the stage."""
        part = self.stages.get(stage)
        test = part.test if part else None
        return bool(self.bundle and test and test.result == "passed" and test.bundle == self.bundle.id)

    def save(self, path: Path) -> None:
        """Writes the record atomically and flushes it to disk. Raises :class:`ConfigError` when that fails."""
        try:
            write_atomically(path, self.model_dump_json(indent=2, by_alias=True).encode() + b"\n")
        except (OSError, ValueError) as error:
            why = error.strerror if isinstance(error, OSError) else redact(str(error))
            raise ConfigError(
                f"cannot write the release record {path}: {why}",
                next_step="nothing is changed without a record: make room or rights, then run the step again",
            ) from None

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
        """Reads a record from bytes; ``source`` names them in the :class:`ConfigError` that nonsense raises."""
        try:
            record = cls.model_validate_json(data)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            where = ".".join(str(part) for part in first["loc"]) or "the file"
            raise ConfigError(
                f"{source}: not a release record: {where}: {first['msg']}",
                next_step="take the record that the last build archived, or delete the file and begin with "
                "`mlops-steps package`",
            ) from None
        if record.schema_version != SCHEMA:
            raise ConfigError(
                f"{source}: schema {record.schema_version}, but this version of mlops-steps reads schema {SCHEMA}",
                next_step="use the version of mlops-steps that wrote the record",
            )
        return record


def load_for(path: Path, project: str) -> ReleaseRecord:
    """The record of the project, or a new one. Raises :class:`ConfigError` when the file is another project's."""
    record = ReleaseRecord.load(path)
    if record is None:
        return ReleaseRecord(project=project)
    if record.project != project:
        raise ConfigError(f"{path} is the record of project {record.project}, not of {project}")
    return record


def build_from(environ: Any) -> Build:
    """The build as Jenkins' environment variables tell it (BUILD_NUMBER, JOB_NAME, BUILD_URL, GIT_COMMIT)."""

    def value(name: str) -> str | None:
        return re.sub(r"[\t\n]", "", clean(environ.get(name, "")))[:500] or None

    return Build(
        number=value("BUILD_NUMBER"), job=value("JOB_NAME"), url=value("BUILD_URL"), commit=value("GIT_COMMIT")
    )
