"""When an object of the flow was last built on this node, and whether that succeeded. Kept beside the data."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from mlops_steps.sandbox.node.store import read_json, write_json
from mlops_steps.sandbox.services.projects.model import Project


def _path(project: Project) -> Path:
    return project.data_dir / "last-builds.json"


def record(project: Project, names: Iterable[str], start: int, end: int, success: bool, job_id: str) -> None:
    """Notes a build of these objects. Times are in milliseconds since 1970."""
    build = {"buildStartTime": start, "buildEndTime": end, "buildSuccess": success, "jobId": job_id}
    with project.node.lock(project.key):
        write_json(_path(project), {**read_json(_path(project), {}), **dict.fromkeys(names, build)})


def last_build(project: Project, name: str) -> dict[str, Any] | None:
    """The last build of an object, None when it was never built on this node."""
    builds: dict[str, dict[str, Any]] = read_json(_path(project), {})
    return builds.get(name)
