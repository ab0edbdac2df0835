"""Files that the builds of a job have archived."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import quote

import requests

from mlops_steps.errors import ControllerError
from mlops_steps.jenkins.builds import Build, ask_of_build, place_of
from mlops_steps.jenkins.session import Session, errors_in_words

#: Builds of a job that are looked at.
MOST = 500


@dataclass(frozen=True)
class Archived:
    """A file of a build. ``at`` is when the build began, in seconds since 1970."""

    build: Build
    at: float
    data: bytes


def files(session: Session, job: str, path: str, since: float, largest: int) -> list[Archived]:
    """The file of that path of each build since then that has one of at most ``largest`` bytes, the newest first.

    Raises :class:`ControllerError` when there is no such job or it cannot be read.
    """
    return [
        Archived(build, at, _file(session, build, path, largest))
        for build, at in _builds(session, job, path)
        if at >= since
    ]


def _builds(session: Session, job: str, path: str) -> list[tuple[Build, float]]:
    """The builds of the job that have archived a file of that path, and when each began, the newest first."""
    with errors_in_words(f"job {job}"):
        address = session.build_job_url(job).removesuffix("build")
        tree = f"builds[number,url,timestamp,artifacts[relativePath]]{{0,{MOST}}}"
        answer = session.jenkins_request(requests.Request("GET", f"{address}api/json", params={"tree": tree})).json()
        return [
            (Build(job, int(one["number"]), str(one["url"])), float(one["timestamp"]) / 1000)
            for one in answer["builds"]
            if any(artifact.get("relativePath") == path for artifact in one.get("artifacts") or [])
        ]


def newest(session: Session, job: str, path: str, largest: int) -> Archived | None:
    """The file of that path of the newest build that has one; ``None`` where none has.

    Raises :class:`ControllerError` when there is no such job or it cannot be read.
    """
    for build, at in _builds(session, job, path):
        return Archived(build, at, _file(session, build, path, largest))
    return None


def of_build(session: Session, build: Build, wanted: re.Pattern[str], largest: int) -> dict[str, bytes]:
    """The files of a build whose path matches as a whole, by their paths; none where it has archived none.

    Raises :class:`ControllerError` when there is no such build or it cannot be read.
    """
    found = ask_of_build(session, build, "", "artifacts[relativePath]")
    if found is None:
        raise ControllerError(f"{build}: not found")
    with errors_in_words(f"the artifacts of {build}"):
        paths = [str(one["relativePath"]) for one in found.get("artifacts") or []]
    return {path: _file(session, build, path, largest) for path in paths if wanted.fullmatch(path)}


def _file(session: Session, build: Build, path: str, largest: int) -> bytes:
    with errors_in_words(f"{path} of {build}"):
        request = requests.Request("GET", f"{place_of(session, build)}artifact/{quote(path)}")
        data: bytes = session.jenkins_request(request).content
    if len(data) > largest:
        raise ControllerError(f"{path} of {build} has {len(data)} bytes; more than {largest} are too many")
    return data
