"""The changes that a release record tells of, for a history of many releases."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timezone

from mlops_steps.delivery.record import Build, ReleaseRecord
from mlops_steps.delivery.unit import Kind, Outcome


@dataclass(frozen=True)
class Recorded:
    """What a release record says of a change: of the version, between two moments."""

    project: str
    version: str | None
    began: float
    ended: float
    restore: bool
    why: str = ""
    who: str = ""
    build: str = ""
    commit: str = ""


def recorded(record: ReleaseRecord, stage: str, kind: Kind = "bundle", name: str | None = None) -> list[Recorded]:
    """The changes of the stage that the record tells of; ``name`` is what the history calls the project, or service."""
    stages, commit = record.stages, record.project_commit
    if kind != "bundle":
        stages, commit = record.api_stages, record.package.project_commit if record.package else None
    part = stages.get(stage)
    found = []
    for unit in part.units.values() if part else ():
        approved = part.approval.by if part and part.approval and part.approval.bundle == unit.version else ""
        base = Recorded(
            name or record.project, unit.version, 0.0, 0.0, False, who=approved,
            build=_build(record.build), commit=commit or "",
        )  # fmt: skip
        if unit.deploy:
            began, ended = _times(unit.deploy, unit.since)
            found.append(replace(base, began=began, ended=ended))
        if unit.restore:
            began, ended = _times(unit.restore, unit.since)
            before = unit.previous.version if unit.previous else None
            found.append(
                replace(base, version=before, began=began, ended=ended, restore=True, why=unit.why, commit="", who="")
            )
    return found


def _build(build: Build) -> str:
    name = f"{build.job} #{build.number}" if build.job and build.number else build.number or ""
    return build.url or name


def _times(part: Outcome, since: str) -> tuple[float, float]:
    return _seconds(part.started), _seconds(part.ended or since)


def _seconds(moment: str) -> float:
    try:
        return datetime.strptime(moment, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=timezone.utc).timestamp()
    except ValueError:
        return 0.0
