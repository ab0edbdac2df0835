"""Files that the builds of a job have archived."""

from __future__ import annotations

from dataclasses import dataclass

import requests

from mlops_steps.errors import ControllerError
from mlops_steps.jenkins.builds import Build, place_of
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
    with errors_in_words(f"job {job}"):
        address = session.build_job_url(job).removesuffix("build")
        tree = f"builds[number,url,timestamp,building,artifacts[relativePath]]{{0,{MOST}}}"
        answer = session.jenkins_request(requests.Request("GET", f"{address}api/json", params={"tree": tree})).json()
        builds = [
            (Build(job, int(one["number"]), str(one["url"])), float(one["timestamp"]) / 1000)
            for one in answer["builds"]
            if any(artifact.get("relativePath") == path for artifact in one.get("artifacts") or [])
        ]
    found = []
    for build, at in builds:
        if at < since:
            continue
        with errors_in_words(f"{path} of {build}"):
            data = session.jenkins_request(
                requests.Request("GET", f"{place_of(session, build)}artifact/{path}")
            ).content
        if len(data) > largest:
            raise ControllerError(f"{path} of {build} has {len(data)} bytes; more than {largest} are too many")
        found.append(Archived(build, at, data))
    return found
