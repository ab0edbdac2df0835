"""Builds of a job by a value of one of its parameters: whoever acts on a reason looks whether that was done before."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import requests

from mlops_steps.jenkins.builds import Build
from mlops_steps.jenkins.session import Session, errors_in_words

#: Builds of a job that are looked at.
MOST = 200


@dataclass(frozen=True)
class Triggered:
    """A build, or one that waits in the queue (``build`` is ``None``). ``at`` is in seconds since 1970.

    ``result`` is Jenkins' word, or "" while there is none.
    """

    value: str
    at: float
    result: str
    build: Build | None


def with_parameter(session: Session, job: str, parameter: str, prefix: str) -> list[Triggered]:
    """The builds whose parameter has a value that begins with the prefix, those in the queue first, then the newest.

    Raises :class:`ControllerError` when there is no such job or it cannot be read.
    """
    with errors_in_words(f"job {job}"):
        address = session.build_job_url(job).removesuffix("build")
        actions = "actions[parameters[name,value]]"
        tree = f"builds[number,url,timestamp,result,{actions}]{{0,{MOST}}},queueItem[inQueueSince,{actions}]"
        answer = session.jenkins_request(requests.Request("GET", f"{address}api/json", params={"tree": tree})).json()
        found = []
        waiting = answer.get("queueItem")
        if waiting:
            at = float(waiting.get("inQueueSince") or 0) / 1000
            found.append(Triggered(_value(waiting, parameter), at, "", None))
        found += [
            Triggered(
                _value(one, parameter),
                float(one["timestamp"]) / 1000,
                str(one.get("result") or ""),
                Build(job, int(one["number"]), str(one["url"])),
            )
            for one in answer["builds"]
        ]
    return [one for one in found if one.value.startswith(prefix)]


def _value(build: Mapping[str, Any], parameter: str) -> str:
    for action in build.get("actions") or []:
        for given in action.get("parameters") or []:
            if given.get("name") == parameter:
                return str(given.get("value") or "")
    return ""
