"""Updates of a deployment, of a project or of an API service: start one, once, and wait for its end."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

from mlops_steps.dss.deployers import PROJECTS, Deployer
from mlops_steps.dss.deployments import message_texts
from mlops_steps.dss.http import LONGEST_MESSAGE
from mlops_steps.dss.session import Dss, expect
from mlops_steps.dss.times import milliseconds
from mlops_steps.errors import DeadlineExceeded, NodeError, NonsenseAnswer, Refusal, Unreachable
from mlops_steps.system.pace import pace
from mlops_steps.system.text import one_line
from mlops_steps.system.waiting import Deadline, poll

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class PastUpdate:
    """An update in the deployer's history. ``started`` in milliseconds since 1970."""

    started: int
    status: str
    version: str | None = None
    raw: dict[str, Any] = field(default_factory=dict)

    @property
    def succeeded(self) -> bool:
        return self.status.upper() in ("SUCCESS", "WARNING", "DONE")

    @property
    def ended(self) -> int:
        """When it ended, in milliseconds since 1970; when it began, where the deployer does not say."""
        with suppress(ValueError):
            return max(self.started, milliseconds(self.raw.get("endTimestamp")))
        return self.started

    @property
    def running(self) -> bool:
        return self.status.upper() in ("RUNNING", "STARTED", "PENDING", "IN_PROGRESS")


@dataclass(frozen=True)
class HookResult:
    """What a hook of the infrastructure said of an update. ``severity``: SUCCESS, INFO, WARNING or ERROR."""

    name: str
    severity: str
    text: str


@dataclass(frozen=True)
class UpdateResult:
    """How an update ended; ``messages`` are the deployer's warnings and errors, ``hooks`` what its hooks said.

    ``before``: when the update before it began, in milliseconds since 1970; 0 when there was none.
    """

    succeeded: bool
    messages: list[str] = field(default_factory=list)
    before: int = 0
    hooks: list[HookResult] = field(default_factory=list)


# What a node answers to a request that it does not know.
_UNKNOWN_REQUEST = frozenset({404, 405, 501})


def history(deployer: Dss, deployment_id: str, of: Deployer = PROJECTS) -> list[PastUpdate]:
    """The deployment's updates, newest first; none from a deployer too old to keep a history.

    Raises :class:`NodeError`.
    """
    return known_history(deployer, deployment_id, of) or []


def known_history(deployer: Dss, deployment_id: str, of: Deployer = PROJECTS) -> list[PastUpdate] | None:
    """As :func:`history`, but ``None`` from a deployer that keeps none: then nothing is known of the past."""
    try:
        with deployer.asking(f"list the updates of deployment {deployment_id}"):
            items = of.deployment(deployer.client, deployment_id).list_updates()
            past = [_past(expect(item.get_raw(), dict, "an update")) for item in items]
    except Refusal as error:
        if error.status not in _UNKNOWN_REQUEST:
            raise
        log.info("%s; going on without the history", error)
        return None
    return sorted(past, key=lambda update: update.started, reverse=True)


def newest_success(deployer: Dss, deployment_id: str) -> PastUpdate | None:
    """The last update that succeeded; ``None`` when none has, or nothing is known. Raises :class:`NodeError`."""
    return next((past for past in history(deployer, deployment_id) if past.succeeded), None)


def details(deployer: Dss, deployment_id: str, started: int, of: Deployer = PROJECTS) -> dict[str, Any]:
    """One update in full. Raises :class:`NodeError`."""
    with deployer.asking(f"read an update of deployment {deployment_id}"):
        deployment = of.deployment(deployer.client, deployment_id)
        return expect(deployment.get_update(started).get_raw(), dict, "the update")


def _past(raw: dict[str, Any]) -> PastUpdate:
    bundle = raw.get("bundleId")
    return PastUpdate(
        milliseconds(raw["startTimestamp"]), str(raw.get("status", "")), str(bundle) if bundle else None, raw
    )


def update(
    deployer: Dss,
    deployment_id: str,
    deadline: Deadline,
    say: Callable[[str], None],
    *,
    abort_at_limit: bool = False,
    of: Deployer = PROJECTS,
) -> UpdateResult:
    """Starts an update and waits for its end.

    An update must not be started twice: after a lost answer the history is searched for it. The same history tells
    the end when the future is lost (a deployer that was restarted). With ``abort_at_limit`` an update that has not
    ended at the deadline is aborted: while it is under way, the deployer starts no other one. Raises
    :class:`NodeError`.
    """
    with deployer.within(deadline):
        before = max((past.started for past in history(deployer, deployment_id, of)), default=0)
        say("starting the update")
        future = _start(deployer, deployment_id, before, deadline, of)
        if future is not None:
            try:
                ended = _await_future(deployer, deployment_id, future, deadline, say)
            except (DeadlineExceeded, Unreachable):
                if abort_at_limit and deadline.passed:
                    _abort(deployer, deployment_id, future)
                raise
            if ended is not None:
                return replace(ended, before=before)
        return replace(_await_history(deployer, deployment_id, before, deadline, say, of), before=before)


def _start(deployer: Dss, deployment_id: str, before: int, deadline: Deadline, of: Deployer) -> Any:
    """The future of the update; ``None`` when the answer was lost, but the update has begun."""
    try:
        with deployer.asking(f"start the update of deployment {deployment_id}"):
            future = of.deployment(deployer.client, deployment_id).start_update()
            return future if future.job_id else None
    except (Unreachable, NonsenseAnswer) as error:
        log.warning("%s; looking whether the update has begun", error)
        try:
            poll(
                lambda: _newest(deployer, deployment_id, before, of),
                deadline=deadline.at_most(pace().lost),
                what="the update",
                longest=2.0,
            )
        except NodeError:
            raise error from None
        return None


def _newest(deployer: Dss, deployment_id: str, before: int, of: Deployer) -> PastUpdate | None:
    return next((past for past in history(deployer, deployment_id, of) if past.started > before), None)


def _await_future(
    deployer: Dss, deployment_id: str, future: Any, deadline: Deadline, say: Callable[[str], None]
) -> UpdateResult | None:
    """Waits for the future; ``None`` when it is lost or ended without a result, so that the history must show it."""

    def look() -> dict[str, Any] | None:
        with deployer.asking(f"look at the update of deployment {deployment_id}"):
            state = expect(future.get_state(), dict, "the future's state")
        if state.get("hasResult") or not state.get("alive", True):
            return state
        say("updating")
        return None

    try:
        state = poll(look, deadline=deadline, what=f"update of deployment {deployment_id}", longest=3.0)
    except Refusal as error:
        log.warning("%s; the history must show how the update ended", error)
        return None
    result = state.get("result")
    if not isinstance(result, dict):
        return None
    return _result_of(result)


def _abort(deployer: Dss, deployment_id: str, future: Any) -> None:
    try:
        with (
            deployer.within(Deadline(pace().grace)),
            deployer.asking(f"abort the update of deployment {deployment_id}"),
        ):
            future.abort()
    except NodeError as error:
        log.warning("%s", error)


def _result_of(result: dict[str, Any]) -> UpdateResult:
    """Reads the report of an update: errors in its messages, or a status that says so, mean that it failed."""
    report = result.get("infoMessages") or result.get("messages") or {}
    found = report.get("messages") if isinstance(report, dict) else report
    messages = [message for message in found or [] if isinstance(message, dict)]
    failed = (
        any(message.get("severity") == "ERROR" for message in messages)
        or (isinstance(report, dict) and bool(report.get("error") or report.get("fatal")))
        or str(result.get("status") or result.get("state") or "").upper() in ("ERROR", "FAILED", "ABORTED", "FAILURE")
    )
    return UpdateResult(not failed, message_texts(messages), hooks=_hooks(messages))


def _hooks(messages: list[dict[str, Any]]) -> list[HookResult]:
    """The messages that are of hooks, by their code or their title: how DSS marks them is not documented."""
    found = []
    for message in messages:
        title = one_line(str(message.get("title") or ""), 100)
        if "HOOK" in str(message.get("code") or "").upper() or "hook" in title.lower():
            text = one_line(str(message.get("message") or message.get("details") or ""), LONGEST_MESSAGE)
            found.append(HookResult(title or "deployment hook", str(message.get("severity")), text))
    return found


def _await_history(
    deployer: Dss, deployment_id: str, before: int, deadline: Deadline, say: Callable[[str], None], of: Deployer
) -> UpdateResult:
    def look() -> PastUpdate | None:
        newest = _newest(deployer, deployment_id, before, of)
        say("updating")
        return None if newest is None or not newest.status or newest.running else newest

    past = poll(look, deadline=deadline, what=f"update of deployment {deployment_id}", longest=3.0)
    return _result_of(details(deployer, deployment_id, past.started, of) | {"status": past.status})


def wait_until_idle(
    deployer: Dss, deployment_id: str, deadline: Deadline, say: Callable[[str], None], of: Deployer = PROJECTS
) -> PastUpdate | None:
    """Waits for an update that somebody (or this step before a crash) has started, and returns how it ended.

    ``None`` when none was under way. Raises :class:`NodeError`.
    """
    waited = False

    def look() -> list[PastUpdate] | None:
        nonlocal waited
        newest = history(deployer, deployment_id, of)[:1]
        if not any(past.running for past in newest):
            return newest
        waited = True
        say("waiting for an update that is under way")
        return None

    with deployer.within(deadline):
        what = f"the update of deployment {deployment_id} that is under way"
        newest = poll(look, deadline=deadline, what=what, longest=3.0)
    return newest[0] if waited and newest else None
