"""What the policy requires before a step does its work; what it finds goes into report and record."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta, timezone
from typing import Any

from mlops_steps.config import Settings
from mlops_steps.delivery.record import Build, Forced, ReleaseRecord, Stage
from mlops_steps.delivery.unit import TIME, Kind
from mlops_steps.errors import CheckFailed, ConfigError
from mlops_steps.policy.effective import Policy, resolve
from mlops_steps.policy.freezes import frozen
from mlops_steps.policy.people import may_not_approve, may_not_force
from mlops_steps.report.model import Case, Report
from mlops_steps.system.console import Console


def check_gates(settings: Settings, policy: Policy) -> None:
    """Raises :class:`ConfigError` when a gate that the policy requires is missing, or skips what is inconclusive."""
    line = policy.line("required_gates")
    of_service = not settings.stages()  # else a gate of the service alone is none of the bundle
    problems = []
    for kind in policy.required_gates:
        found = [gate for gate in settings.gates if gate.gate == kind and (of_service or _of_bundles(gate))]
        if not found:
            problems.append(f"gates: no gate {kind}, which policy.required_gates requires ({line.why})")
        elif all(gate.inconclusive == "skip" for gate in found):
            problems.append(
                f"gates: inconclusive: skip of gate {found[0].name} switches off what policy.required_gates "
                f"requires ({line.why})"
            )
    if problems:
        raise ConfigError(
            problems[0],
            details=problems[1:],
            next_step="add the gate to mlops.yml; `mlops-steps policy` shows all that applies",
        )


def _of_bundles(gate: Any) -> bool:
    return any(step in ("test", "release") for step in gate.steps)


def check_scenarios(policy: Policy, stage: str, count: int) -> None:
    """Raises :class:`CheckFailed` when fewer test scenarios would run than the policy requires."""
    line = policy.line("min_scenarios")
    if count < policy.min_scenarios:
        raise CheckFailed(
            f"{stage}: {count} test scenarios, but policy.min_scenarios is {line.shown} ({line.why})",
            next_step="add test scenarios to the project",
        )


def check_release_only(settings: Settings, stage: str) -> None:
    """Raises :class:`CheckFailed` for a deployment on the release stage by another step, where a policy is in force."""
    if stage != settings.release_stage().name:
        return
    policy = resolve(settings)
    if policy.in_force:
        first = next(line for line in policy.lines if line.why != "default")
        raise CheckFailed(
            f"{stage} is the release stage, and a policy applies to it ({first}); {stage} is untouched",
            next_step=f"run `mlops-steps release --stage {stage}`, which heeds it",
        )


def check_release(
    settings: Settings,
    record: ReleaseRecord,
    stage: str,
    build: Build,
    force: str | None,
    report: Report,
    console: Console,
    *,
    kind: Kind = "bundle",
    dry_run: bool = False,
) -> None:
    """Checks freezes, soak time and approval; ``force`` is the reason for a release during a freeze.

    Raises :class:`CheckFailed` when the policy forbids the release now; nothing was changed. A freeze that is forced is
    noted in ``record``, which the caller saves before its first change. A ``dry_run`` needs no approval.
    """
    policy = resolve(settings)
    if not policy.in_force and force is None:
        return
    with report.case("policy") as case:
        check_gates(settings, policy)
        report.set(criticality=policy.line("criticality").value, started_by=", ".join(build.started_by or []))
        part = record.stage(stage, kind)
        if kind == "api service":
            _check_canary(settings, policy)
            _check_service_tests(settings, policy)
        _check_soak(settings, record, policy, stage, kind)
        if not dry_run:
            _check_approval(policy, record, part, build, stage, kind, report)
        _check_freeze(policy, part, stage, build, force, report, console, case)


def refusals(settings: Settings, record: ReleaseRecord, stage: str, build: Build, kind: Kind = "bundle") -> list[str]:
    """Why the policy would refuse a release right now, such as a freeze, which may be over in an hour; none: it would
    not. Approvals are left out: they follow.
    """
    report = Report(settings.project, "policy", stage)
    looked_at = record.model_copy(deep=True)
    try:
        check_release(settings, looked_at, stage, build, None, report, Console(quiet=True), kind=kind, dry_run=True)
    except CheckFailed as error:
        return [error.message]
    return []


def approval_in_words(settings: Settings) -> str:
    """Whose approval a release needs, and which line says so; empty: none."""
    policy = resolve(settings)
    line = policy.line("automation")
    if policy.automation == "full":
        return ""
    if policy.automation == "manual":
        return f"a person releases by hand (automation: manual, {line.why})"
    who = ", ".join(policy.approvers) or "anybody"
    duties = ", who has not started the build" if policy.separation_of_duties else ""
    return f"required, of {who}{duties} (automation: approval, {line.why})"


def _check_freeze(
    policy: Policy,
    part: Stage,
    stage: str,
    build: Build,
    force: str | None,
    report: Report,
    console: Console,
    case: Case,
) -> None:
    on = frozen(policy.freezes, datetime.now(timezone.utc))
    part.forced = None
    if on is None:
        case.stdout = "no freeze is on" + (", so there is nothing to force" if force else "")
        return
    report.set(freeze=str(on))
    why = policy.line("freezes").why
    if force is None:
        raise CheckFailed(
            f"no release to {stage} now: {on} ({why}); {stage} is untouched",
            next_step=f"wait, or force it with a reason, if you may ({policy.line('may_force').shown}): --force 'why'",
        )
    if refused := may_not_force(policy, build.started_by):
        raise CheckFailed(f"no release to {stage} now: {on} ({why}): {refused}; {stage} is untouched")
    by = (build.started_by or [""])[0]
    part.forced = Forced(by=by, reason=force, freeze=on.freeze.name)
    report.set(forced_by=by, forced_because=force)
    case.stdout = f"{on}: forced by {by}: {force}"
    console.warn(case.stdout)


def _check_soak(settings: Settings, record: ReleaseRecord, policy: Policy, stage: str, kind: Kind) -> None:
    if not policy.soak:
        return
    line = policy.line("soak")
    if kind == "bundle":
        earlier = settings.stage_before(stage)
        before = earlier.name if earlier else None
    else:
        before = settings.api.stage_before(stage)
    stages = record.stages if kind == "bundle" else record.api_stages
    part = stages.get(before or "")
    ended = part.test.ended if part and part.test else None
    if ended is None and part and kind != "bundle":
        ended = max((unit.since for unit in part.units.values()), default=None)
    since = _moment(ended)
    if since is None:
        raise CheckFailed(f"the record does not say since when {before} has the tested version; {stage} is untouched")
    soaked = since + timedelta(seconds=policy.soak)
    if datetime.now(timezone.utc) < soaked:
        raise CheckFailed(
            f"no release to {stage} before {soaked:{TIME}}: policy.soak is {line.shown} ({line.why}), and the tests on "
            f"{before} ended at {ended}; {stage} is untouched",
            next_step="run the step again then",
        )


def _check_service_tests(settings: Settings, policy: Policy) -> None:
    """Raises :class:`ConfigError` when the release needs no passed tests, where the policy requires them."""
    if policy.service_tests and settings.api.release.tests == "off":
        raise ConfigError(
            f"{settings.place('api', 'release', 'tests')} is off, but policy.service_tests requires that `api-test` "
            f"has passed ({policy.line('service_tests').why})",
            next_step="set api.release.tests: required",
        )


def _check_canary(settings: Settings, policy: Policy) -> None:
    """Raises :class:`ConfigError` unless the release is a canary, where the policy requires one."""
    release = settings.api.release
    problems = {
        ("strategy",): f"is {release.strategy}" if release.strategy != "canary" else "",
        ("canary", "shares"): "begins with all calls" if release.canary.shares[0] >= 100 else "",
        ("canary", "inconclusive"): "is continue" if release.canary.inconclusive == "continue" else "",
    }
    for key, problem in problems.items():
        if policy.canary and problem:
            raise ConfigError(
                f"{settings.place('api', 'release', *key)} {problem}, but policy.canary requires a canary "
                f"({policy.line('canary').why})",
                next_step="set api.release.strategy: canary (docs/api-services.md)",
            )


def _moment(text: str | None) -> datetime | None:
    try:
        return datetime.strptime(text or "", TIME).replace(tzinfo=timezone.utc)
    except ValueError:
        return None


def _check_approval(
    policy: Policy, record: ReleaseRecord, part: Stage, build: Build, stage: str, kind: Kind, report: Report
) -> None:
    """Where the policy says who may approve, a release needs an approval even if it is run by hand."""
    if policy.automation != "approval" or not (policy.approvers or policy.separation_of_duties):
        return
    approval, archive = part.approval, record.bundle if kind == "bundle" else record.package
    this = build.url or build.number
    if approval is None or archive is None or not approval.covers(archive, this, part.plan_of(archive)):
        step = "approve" if kind == "bundle" else "api-approve"
        line = policy.line("approvers" if policy.approvers else "separation_of_duties")
        raise CheckFailed(
            f"nobody has approved this release to {stage} ({line}); {stage} is untouched",
            next_step=f"`mlops-steps {step} --stage {stage} --by NAME`, or mlopsApprove in the pipeline",
        )
    check_approver(policy, approval.by, approval.among, record, build, stage)
    report.set(approved_by=approval.by)


def check_approver(
    policy: Policy, by: str, among: Sequence[str], record: ReleaseRecord, build: Build, stage: str
) -> None:
    """Raises :class:`CheckFailed` when the policy does not let this user approve the release."""
    builds = [build.started_by]
    if record.build.number or record.build.started_by:
        builds.append(record.build.started_by)
    if refused := may_not_approve(policy, by, among, builds):
        raise CheckFailed(
            f"no approval of the release to {stage}: {refused}; {stage} is untouched",
            next_step="let somebody approve who may: `mlops-steps policy`",
        )
