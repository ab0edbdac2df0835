"""The time after a release in which a look at what is live may still take it back."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass

from mlops_steps.config import Settings
from mlops_steps.delivery.change import Change
from mlops_steps.delivery.exclusive import claimed, infra_lock, stage_lock
from mlops_steps.delivery.going_back import go_back
from mlops_steps.delivery.record import load_for
from mlops_steps.delivery.rollout.members import open_members
from mlops_steps.delivery.rollout.rolling_back import roll_back_all
from mlops_steps.delivery.service_gate import open_service, recorded_package
from mlops_steps.delivery.targets.base import BUNDLE, SERVICE, Live, Target
from mlops_steps.delivery.targets.opening import open_target
from mlops_steps.delivery.unit import Kind
from mlops_steps.dss import api_services
from mlops_steps.errors import CheckFailed, RolledBack
from mlops_steps.insight.findings import Finding, Level
from mlops_steps.report.model import Report
from mlops_steps.system.console import Console
from mlops_steps.system.interrupts import Interrupts
from mlops_steps.system.text import one_line
from mlops_steps.system.waiting import Deadline

_LONGEST_REASON = 300


@dataclass(frozen=True)
class OnProbation:
    """A version that is on probation on an infrastructure, from ``since`` ``until`` (seconds since 1970)."""

    kind: Kind
    stage: str
    infra: str
    version: str
    since: float
    until: float


def window(settings: Settings, stage: str, kind: Kind) -> float | None:
    """How long a release to the stage is on probation, in seconds; ``None`` where none is."""
    if kind == "bundle":
        return settings.release.probation if stage == settings.release_stage().name else None
    return settings.api.release.probation if settings.api.is_release_stage(stage) else None


def on_probation(target: Target, live: Live, seconds: float | None, now: float) -> OnProbation | None:
    """The version that is live, if it was released within so many seconds, and for the first time.

    What a rollback has made live again is not on probation: otherwise two bad versions would replace each other.
    Raises :class:`NodeError`.
    """
    version = live.version
    if seconds is None or version is None:
        return None
    history = list(target.made_live(live))
    run = 0
    while run < len(history) and history[run].version == version:
        run += 1
    if not run or any(past.version == version for past in history[run:]):
        return None
    since = history[run - 1].started / 1000
    found = OnProbation(target.words.kind, target.stage, target.infra, version, since, since + seconds)
    return found if now < found.until else None


def finding(found: Sequence[OnProbation], findings: Sequence[Finding], name: str) -> Finding:
    """What is said of it in the report."""
    if not found:
        return Finding(name, Level.SKIPPED, "no release is on probation", of_release=False)
    until = time.strftime("%Y-%m-%d %H:%M:%SZ", time.gmtime(min(one.until for one in found)))
    versions = ", ".join(dict.fromkeys(one.version for one in found))
    bad = blamed(findings)
    text = f"{versions} is on probation until {until}"
    return Finding(name, Level.GOOD, f"{text}; going back" if bad else f"{text}: nothing against it", of_release=False)


def blamed(findings: Sequence[Finding]) -> list[Finding]:
    """What speaks against the release."""
    return [one for one in findings if one.level is Level.ACT and one.of_release]


def roll_back(
    settings: Settings,
    released: Sequence[OnProbation],
    findings: Sequence[Finding],
    report: Report,
    console: Console,
    signals: Interrupts,
) -> None:
    """Goes back to the version before, by the ways of `rollback`, and raises :class:`RolledBack`.

    ``released``: one version, on each infrastructure on which it is on probation. Raises :class:`CheckFailed` when
    nothing was changed (somebody else has, there is no version before, rolling back is off),
    :class:`ProductionInDoubt` when the version before could not be restored, :class:`Busy`.
    """
    one = released[0]
    bad = blamed(findings)
    why = one_line("; ".join(f"{found.name}: {found.message}" for found in bad), _LONGEST_REASON)
    words, limits = (BUNDLE, settings.release) if one.kind == "bundle" else (SERVICE, settings.api.release)
    name = f"{words.version} {one.version}"
    if limits.rollback == "off":
        raise CheckFailed(
            f"{one.stage}: {name} is on probation and fails it: {why}; {words.settings}.rollback is off, nothing was "
            "changed",
            next_step=f"`mlops-steps {words.steps}rollback --stage {one.stage}` goes back",
        )
    console.warn(f"{name} fails its probation on {one.stage}: {why}")
    because = f"it failed its probation: {why}"
    if one.kind == "bundle":
        live = _bundle_back(settings, released, because, report, console, signals)
    else:
        live = _service_back(settings, one, because, report, console, signals)
    raise RolledBack(
        f"{one.stage}: {name} was released, and has failed its probation: {why}",
        details=[f"{found.name}: {found.message}" for found in bad],
        live=f"{live}, verified" if live else None,
        next_step="look at the failed checks in the report, fix it on the Design node, then run the pipeline again",
    )


def _bundle_back(
    settings: Settings,
    released: Sequence[OnProbation],
    because: str,
    report: Report,
    console: Console,
    signals: Interrupts,
) -> str:
    one, record = released[0], load_for(settings.record, settings.project)
    infras = {each.infra for each in released}
    if settings.stage(one.stage).infras:
        with stage_lock(settings, one.stage, console), ExitStack() as stack:
            members = stack.enter_context(open_members(settings, one.stage, report, console, record))
            chosen = [member for member in members if member.infra in infras]
            roll_back_all(chosen, None, record, report, console, signals, only=one.version, because=because)
        return ""
    deadline = Deadline(settings.release.rollback_timeout)
    with (
        stage_lock(settings, one.stage, console),
        open_target(settings, one.stage) as target,
        claimed(target, console, deadline),
    ):
        change = Change(target, report, console, record, settings.record)
        with target.within(deadline):
            published = target.available()
        return go_back(change, None, published, deadline, signals, only=one.version, because=because)


def _service_back(
    settings: Settings, one: OnProbation, because: str, report: Report, console: Console, signals: Interrupts
) -> str:
    deadline = Deadline(settings.api.release.rollback_timeout)
    with infra_lock(settings, f"API {one.infra}", one.stage, console):
        record = load_for(settings.record, settings.project)
        with (
            open_service(settings, one.stage, recorded_package(settings, record), deadline) as target,
            claimed(target, console, deadline),
        ):
            change = Change(target, report, console, record, settings.record)
            with target.within(deadline):
                published = api_services.published_versions(target.deployer, target.service)
            return go_back(change, None, published, deadline, signals, only=one.version, because=because)
