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
from mlops_steps.delivery.service_gate import open_service, recorded_package
from mlops_steps.delivery.targets.base import Live, Target
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
    """A version that is on probation on an infrastructure, ``until`` (seconds since 1970)."""

    kind: Kind
    stage: str
    infra: str
    version: str
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
    until = history[run - 1].started / 1000 + seconds
    return OnProbation(target.words.kind, target.stage, target.infra, version, until) if now < until else None


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
    one: OnProbation,
    findings: Sequence[Finding],
    report: Report,
    console: Console,
    signals: Interrupts,
) -> None:
    """Goes back to the version before, by the same ways as `rollback`, and raises :class:`RolledBack`.

    Raises :class:`CheckFailed` when nothing was changed (somebody else has, there is no version before, rolling back is
    off), :class:`ProductionInDoubt` when the version before could not be restored, :class:`Busy`.
    """
    bad = blamed(findings)
    why = one_line("; ".join(f"{found.name}: {found.message}" for found in bad), _LONGEST_REASON)
    limits = settings.release if one.kind == "bundle" else settings.api.release
    deadline = Deadline(limits.rollback_timeout)
    with ExitStack() as stack:
        target, published = _opened(settings, one, stack, console, deadline)
        name = f"{target.words.version} {one.version}"
        if not target.limits.restores:
            raise CheckFailed(
                f"{one.stage}: {name} is on probation and fails it: {why}; {target.words.settings}.rollback is off, "
                "nothing was changed",
                next_step=f"`mlops-steps {target.words.steps}rollback --stage {one.stage}` goes back",
            )
        change = Change(target, report, console, load_for(settings.record, settings.project), settings.record)
        console.warn(f"{name} fails its probation on {one.infra}: {why}")
        live = go_back(
            change, None, published, deadline, signals, only=one.version, because=f"it failed its probation: {why}"
        )
    raise RolledBack(
        f"{one.stage}: {name} was released, and has failed its probation: {why}",
        details=[f"{found.name}: {found.message}" for found in bad],
        live=f"{live}, verified",
        next_step="look at the failed checks in the report, fix it on the Design node, then run the pipeline again",
    )


def _opened(
    settings: Settings, one: OnProbation, stack: ExitStack, console: Console, deadline: Deadline
) -> tuple[Target, list[str]]:
    """The target, which no other process changes meanwhile, and the versions that are published."""
    if one.kind == "bundle":
        stack.enter_context(stage_lock(settings, one.stage, console, infra=one.infra))
        target = stack.enter_context(open_target(settings, one.stage, one.infra))
        stack.enter_context(claimed(target, console, deadline))
        with target.within(deadline):
            return target, target.available()
    stack.enter_context(infra_lock(settings, f"API {one.infra}", one.stage, console))
    package = recorded_package(settings, load_for(settings.record, settings.project))
    service = stack.enter_context(open_service(settings, one.stage, package, deadline))
    stack.enter_context(claimed(service, console, deadline))
    with service.within(deadline):
        return service, api_services.published_versions(service.deployer, service.service)
