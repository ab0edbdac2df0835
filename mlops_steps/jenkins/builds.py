"""A build: started, waited for, followed, stopped."""

from __future__ import annotations

import codecs
import re
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import jenkins
import requests

from mlops_steps.errors import ControllerError
from mlops_steps.jenkins import parameters
from mlops_steps.jenkins.session import Session, errors_in_words
from mlops_steps.system.waiting import Deadline, poll

# Seconds that a controller may be away (it restarts) while a build is followed.
AWAY = 300.0

# Seconds between two questions for more of the console.
_PAUSES = (0.5, 5.0)

# Another text each time it is asked for: one line is enough for the quiet period.
_QUIET = re.compile(r"(?<=quiet period\.) Expires in .*", re.IGNORECASE)

_QUEUE_ITEM = re.compile(r"/queue/item/(\d+)/?$")


@dataclass(frozen=True)
class Build:
    """A build of a job. ``url`` is its page as Jenkins names it."""

    job: str
    number: int
    url: str

    def __str__(self) -> str:
        return f"{self.job} #{self.number}"


def check(session: Session, job: str, values: Mapping[str, str]) -> dict[str, Any]:
    """What Jenkins says of a job that can be started with these values. Raises as :func:`trigger` does."""
    with errors_in_words(f"job {job}"):
        info: dict[str, Any] = session.get_job_info(job)
    if "builds" not in info:
        raise ControllerError(f"{job} is not a job that can be built")
    parameters.check(info, job, values)
    if not info.get("buildable", True):
        raise ControllerError(f"{job} is disabled", next_step="enable it in Jenkins")
    return info


def trigger(session: Session, job: str, values: Mapping[str, str]) -> int:
    """Starts a build; returns the number of its item in the queue.

    A job with parameters is started at the address for these, also when all take their defaults: the plain one
    answers 400. Values travel in the body, so that no proxy logs them. Raises :class:`ConfigError` for parameters
    that do not fit, :class:`ControllerError` when there is no such job, it is disabled, or Jenkins refuses.
    """
    info = check(session, job, values)
    with errors_in_words(f"starting {job}"):
        url = session.build_job_url(job)
        if parameters.definitions(info):
            request = requests.Request("POST", f"{url}WithParameters", data=dict(values))
        else:
            request = requests.Request("POST", url)
        place = session.jenkins_request(request).headers.get("Location", "")
    item = _QUEUE_ITEM.search(place)
    if item is None:
        raise ControllerError(f"starting {job}: Jenkins did not say where the build is in the queue")
    return int(item[1])


def wait_for_start(
    session: Session, job: str, item: int, deadline: Deadline, say: Callable[[str], None] = lambda _: None
) -> Build:
    """Waits until the build has left the queue. ``say`` is told why it is still there.

    Raises :class:`DeadlineExceeded`, or :class:`ControllerError` when the item was cancelled.
    """

    def ask() -> Build | None:
        with errors_in_words(f"item {item} of the queue"):
            found = session.get_queue_item(item)
            if found.get("cancelled"):
                raise ControllerError(f"{job} was cancelled in the queue")
            started = found.get("executable")
            if started:
                return Build(job, int(started["number"]), str(started["url"]))
            if str(found.get("_class")).endswith("$LeftItem"):
                return None  # it waits no longer; the build has no number yet
            say(_QUIET.sub("", str(found.get("why") or "waiting")))
        return None

    return poll(ask, deadline=deadline, what=f"{job} waits in the queue", longest=5.0)


def console(session: Session, build: Build, deadline: Deadline) -> Iterator[str]:
    """The build's console as it grows, in pieces, until the build has ended.

    A controller that restarts meanwhile is waited for. Raises :class:`DeadlineExceeded` or :class:`ControllerError`.
    """
    # The position is one of bytes: a character may be cut in two by it.
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    address = place_of(session, build) + "logText/progressiveText"
    position, pause = 0, _PAUSES[0]
    while True:
        with errors_in_words(f"the console of {build}"), session.patient(min(AWAY, deadline.remaining)):
            request = requests.Request("GET", address, params={"start": position})
            answer = session.jenkins_request(request)
            reached = int(answer.headers.get("X-Text-Size", position))
        more = answer.headers.get("X-More-Data") == "true"
        if reached > position:
            yield decoder.decode(answer.content, final=not more)
        if not more:
            return
        pause = _PAUSES[0] if reached > position else min(pause * 1.5, _PAUSES[1])
        position = reached
        deadline.check(f"{build} goes on")
        time.sleep(min(pause, deadline.remaining))


def wait_for_end(session: Session, build: Build, deadline: Deadline) -> Mapping[str, Any]:
    """The build's data once it has ended. The console may end a moment earlier. Raises :class:`DeadlineExceeded`."""

    def ask() -> Mapping[str, Any] | None:
        with errors_in_words(str(build)), session.patient(min(AWAY, deadline.remaining)):
            info: Mapping[str, Any] = session.get_build_info(build.job, build.number)
            return None if info["building"] else info

    return poll(ask, deadline=deadline, what=f"{build} goes on", longest=5.0)


def stop(session: Session, build: Build) -> None:
    """Asks Jenkins to abort the build."""
    with errors_in_words(f"stopping {build}"):
        session.stop_build(build.job, build.number)


def cancel(session: Session, job: str, item: int) -> None:
    """Takes an item out of the queue."""
    with errors_in_words(f"taking {job} out of the queue"):
        session.cancel_queue(item)


def ask_of_build(session: Session, build: Build, path: str, tree: str) -> Mapping[str, Any] | None:
    """The fields of ``tree`` of what a build has at ``path`` (``""``, ``"testReport/"``); ``None`` if empty."""
    with errors_in_words(f"{path or 'data'} of {build}"):
        request = requests.Request("GET", f"{place_of(session, build)}{path}api/json", params={"tree": tree})
        try:
            data = session.jenkins_request(request).json()
        except jenkins.NotFoundException:
            return None
        if not isinstance(data, dict):
            raise TypeError
        return data


def place_of(session: Session, build: Build) -> str:
    """The build's address on the controller that was named; its own URL may lead elsewhere."""
    job: str = session.build_job_url(build.job).removesuffix("build")
    return f"{job}{build.number}/"
