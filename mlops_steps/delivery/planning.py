"""What a release would do, found out from the nodes and the configuration; and whether a plan of it still holds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from mlops_steps.config import Settings
from mlops_steps.delivery.change import Change
from mlops_steps.delivery.evidence import Situation
from mlops_steps.delivery.phases import Phase
from mlops_steps.delivery.plan import Action, NotedPlan, Plan, PlannedGate, PlannedRelease, PlannedUnit
from mlops_steps.delivery.record import Bundle, Package, ReleaseRecord, load_for
from mlops_steps.delivery.targets.base import Live
from mlops_steps.delivery.unit import Kind
from mlops_steps.errors import CheckFailed, ConfigError
from mlops_steps.policy.effective import resolve
from mlops_steps.report.model import Report
from mlops_steps.system.console import Console
from mlops_steps.system.text import one_line
from mlops_steps.system.waiting import duration

# Paths of this machine, and limits of requests: they do not decide what is done.
_OF_THE_MACHINE = {"verify", "client_certificate", "client_key", "api_key_file", "public_key", "records", "queries"}
_WIDTH = 120
_MOST = 20


def planned_release(change: Change, live: Live, situation: Situation, archive: Bundle | Package) -> PlannedRelease:
    """What a release of this archive does now, by what is live and by the configuration."""
    target = change.target
    settings, stage, kind = target.settings, target.stage, target.words.kind
    version = archive.id if isinstance(archive, Bundle) else archive.version
    return PlannedRelease(
        project=settings.project,
        stage=stage,
        kind=kind,
        version=version,
        sha256=archive.sha256,
        units=[_unit(change, live, situation, version)],
        waves=[[target.infra]],
        gates=[
            PlannedGate(name=gate.name, gate=gate.gate, definition=gate.definition)
            for gate in settings.gates
            if ("release" if kind == "bundle" else "api-release") in gate.steps
        ],
        settings=_settings(settings, stage, kind),
        policy={line.key: line.shown for line in resolve(settings).lines},
    )


def _unit(change: Change, live: Live, situation: Situation, version: str) -> PlannedUnit:
    found = live.deployment
    return PlannedUnit(
        infra=change.target.infra,
        deployment=change.deployment_id(live),
        action=_action(live, situation, version),
        live=live.version,
        named=found.version if found else None,
        enabled=found.enabled if found else None,
        before=situation.previous.version if situation.previous else None,
    )


def _action(live: Live, situation: Situation, version: str) -> Action:
    if situation.phase is Phase.LIVE:
        return "none"
    if situation.phase is Phase.RESTORING:
        return "restore"
    if situation.phase is not Phase.NOTED:
        return "resume"
    if live.is_healthy(version):
        return "verify"
    return "update" if live.deployment else "create"


def _settings(settings: Settings, stage: str, kind: Kind) -> dict[str, Any]:
    """What decides how a release is done, flat, without what is of this machine alone."""
    sections: dict[str, Any] = (
        {
            "release": settings.release,
            "deploy": settings.deploy,
            "compare": settings.compare,
            f"nodes.{stage}": settings.stage(stage),
        }
        if kind == "bundle"
        else {"api.release": settings.api.release, f"api.stages.{stage}": settings.api.stage(stage)}
    )
    return {
        key: value
        for name, section in sections.items()
        for key, value in _flat(section.model_dump(mode="json", exclude_none=True), name)
    }


def _flat(value: Any, name: str) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping) and value:
        for key, inner in value.items():
            if key not in _OF_THE_MACHINE:
                yield from _flat(inner, f"{name}.{key}")
    else:
        yield name, value


def keep_plan(settings: Settings, plan: Plan, out: str | None, report: Report, console: Console) -> None:
    """Writes the plan to its file, and what its approval needs to the release record. Raises :class:`ConfigError`."""
    release = plan.release
    prefix = "plan" if release.kind == "bundle" else "plan-api"
    path = Path(out) if out else settings.reports / f"{prefix}-{release.stage}.json"
    plan.write(path)
    record = load_for(settings.record, settings.project)  # without what only the plan has looked at
    record.stage(release.stage, release.kind).plan = plan.noted(in_words(plan))
    record.save(settings.record)
    report.set(plan=plan.sha256, plan_file=str(path))
    console.detail(f"plan: {path}")


def chosen_plan(
    record: ReleaseRecord, stage: str, kind: Kind, archive: Bundle | Package, file: str | None
) -> NotedPlan | None:
    """The plan that a release is held to: that of the file, or else the one whose approval is in the record.

    Raises :class:`ConfigError` when the file is no plan of this stage, :class:`CheckFailed` when it is one of another
    archive, or is not the one that was approved.
    """
    part = record.stage(stage, kind)
    approved = part.approval.plan if part.approval else None
    if file is None:
        return part.plan if part.plan and part.plan.sha256 == approved and part.plan.whole else None
    plan = Plan.read(Path(file))
    release = plan.release
    if (release.project, release.stage, release.kind) != (record.project, stage, kind):
        raise ConfigError(
            f"{file}: a plan of the release of {release.project} ({release.kind}) to {release.stage}, not of "
            f"{record.project} ({kind}) to {stage}"
        )
    if approved and approved != plan.sha256:
        raise CheckFailed(
            f"{file}: plan {plan.sha256[:12]}, but plan {approved[:12]} was approved for {stage}; {stage} is untouched",
            next_step="release by the plan that was approved, or have this one approved",
        )
    _check_archive(release, archive)
    return plan.noted([])


def _check_archive(release: PlannedRelease, archive: Bundle | Package) -> None:
    version = archive.id if isinstance(archive, Bundle) else archive.version
    if (release.version, release.sha256) == (version, archive.sha256):
        return
    name = "bundle" if release.kind == "bundle" else "version"
    raise CheckFailed(
        f"the plan is of {name} {release.version} (SHA-256 {release.sha256[:12]}…), the release record has {name} "
        f"{version} (SHA-256 {archive.sha256[:12]}…); {release.stage} is untouched",
        next_step="make a new plan: `mlops-steps plan`",
    )


def check_plan(plan: NotedPlan | None, now: PlannedRelease, situation: Situation, report: Report) -> None:
    """Raises :class:`CheckFailed` when a release would not do any more what the plan says; nothing was changed.

    What an earlier attempt has begun by this plan has changed what is live: then only the archive counts.
    """
    if plan is None:
        return
    report.set(plan=plan.sha256)
    with report.case("plan"):
        differences = list(_differences(plan.release, now)) if situation.phase is Phase.NOTED else []
        if differences:
            raise CheckFailed(
                f"plan {plan.sha256[:12]} does not hold any more: {differences[0]}; {now.stage} is untouched",
                details=differences[1:_MOST],
                next_step="make a new plan, and have it approved: "
                f"`mlops-steps {'plan' if now.kind == 'bundle' else 'api-plan'} --stage {now.stage}`",
            )


def _differences(planned: PlannedRelease, now: PlannedRelease) -> Iterator[str]:
    """What is otherwise now than in the plan, in words."""
    name = "bundle" if now.kind == "bundle" else "version"
    if (planned.version, planned.sha256) != (now.version, now.sha256):
        yield f"it is of {name} {planned.version}, the release record has {name} {now.version}"
    units = {unit.infra: unit for unit in planned.units}
    for unit in now.units:
        was = units.pop(unit.infra, None)
        if was is None:
            yield f"{unit.infra} is not in it"
        elif was != unit:
            yield _unit_differs(was, unit, name)
    yield from (f"{infra} is in it, and not in mlops.yml" for infra in units)
    if planned.waves != now.waves:
        yield "the waves are others"
    for before, after in ((planned.settings, now.settings), (planned.policy, now.policy)):
        for key in dict.fromkeys([*before, *after]):
            if before.get(key) != after.get(key):
                yield one_line(f"{key} was {_shown(before, key)}, and is {_shown(after, key)} now", 2 * _WIDTH)
    if planned.gates != now.gates:
        yield f"the gates were {_names(planned.gates)}, and are {_names(now.gates)} now (or have other settings)"


def _unit_differs(was: PlannedUnit, unit: PlannedUnit, name: str) -> str:
    if was.live != unit.live:
        before, after = (f"{name} {live}" if live else "nothing" for live in (was.live, unit.live))
        return f"{before} was live on {unit.infra} when it was made, and {after} is now"
    changed = [
        f"{key} {getattr(was, key)} → {getattr(unit, key)}"
        for key in ("deployment", "named", "enabled", "before", "action")
        if getattr(was, key) != getattr(unit, key)
    ]
    return f"on {unit.infra}: {', '.join(changed)}"


def _shown(settings: Mapping[str, Any], key: str) -> str:
    return str(settings[key]) if key in settings else "not set"


def _names(gates: list[PlannedGate]) -> str:
    return ", ".join(gate.name for gate in gates) or "none"


def in_words(plan: Plan) -> list[str]:
    """The plan for people: what is done first, what follows from it, what is in the way."""
    release, follows = plan.release, plan.consequences
    name = "bundle" if release.kind == "bundle" else "version"
    lines = [f"plan {plan.sha256[:12]}: {name} {release.version} of project {release.project} to {release.stage}"]
    for number, wave in enumerate(release.waves, 1):
        units = [unit for unit in release.units if unit.infra in wave]
        if len(release.waves) > 1:
            lines.append(f"  wave {number}{_before_wave(release, number)}: {len(units)} infrastructures")
        for unit in units[:_MOST]:
            lines += [f"  {line}" for line in _unit_in_words(unit, release, name)]
        if len(units) > _MOST:
            lines.append(f"  and {len(units) - _MOST} infrastructures more")
    if release.settings.get("api.release.strategy") == "canary" and not release.empty:
        lines.append(f"  by a canary: {release.settings.get('api.release.canary.shares')} % of the calls, step by step")
    if not release.empty:
        where = release.units[0].infra if len(release.units) == 1 else "each infrastructure"
        lines.append(f"  then {_smoke_test(release)} on {where}")
        if any(release.settings.get(f"{section}.rollback") == "off" for section in ("release", "api.release")):
            lines.append("  if that fails: it stays as it is (rollback: off)")
    if release.empty:
        return [*lines, "  nothing to do"]
    counts = [(what, sum(one.what == what for one in follows.changes)) for what in ("added", "changed", "removed")]
    said = ", ".join(f"{count} {what}" for what, count in counts if count)
    if follows.changes:
        lines.append(f"  differs: {said}" + (f", {follows.left_out} more" if follows.left_out else ""))
        lines += [f"    {_object(one)}" for one in follows.changes if one.what != "removed"][:_MOST]
    lines += [f"  disappears: {one.kind} {one.name}" for one in follows.disappears][:_MOST]
    lines += [f"  commit: {line}" for line in follows.commits[:_MOST]]
    lines += [f"  gate: {line}" for line in follows.measured]
    lines += [f"  approval: {follows.approval}"] if follows.approval else []
    lines += [f"  not undone by a restore: {line}" for line in follows.no_way_back[:_MOST]]
    lines += [f"  refused now: {line}" for line in plan.refused]
    return [_fit(line) for line in lines]


def _before_wave(release: PlannedRelease, number: int) -> str:
    """What is waited for before the wave."""
    rollout = f"nodes.{release.stage}.rollout"
    soak = release.settings.get(f"{rollout}.soak")
    waits = [f"after {duration(soak)}"] if number > 1 and isinstance(soak, (int, float)) else []
    if number in (release.settings.get(f"{rollout}.approval") or []):
        waits.append("after an approval")
    return f" ({', '.join(waits)})" if waits else ""


def _smoke_test(release: PlannedRelease) -> str:
    scenario = release.settings.get("release.smoke_scenario")
    return f"smoke test {scenario}" if release.kind == "bundle" else "test queries"


def _unit_in_words(unit: PlannedUnit, release: PlannedRelease, name: str) -> list[str]:
    version = release.version
    live = f"{name} {unit.live}" if unit.live else "nothing"
    what = {
        "create": f"create deployment {unit.deployment} with {name} {version}",
        "update": f"update deployment {unit.deployment}: {live} → {name} {version}",
        "verify": f"{name} {version} is live already, and is verified",
        "resume": f"go on with the release of {name} {version}, which was interrupted",
        "restore": f"restore {name} {unit.before}" if unit.before else "disable what was created",
        "none": f"{name} {version} is live, healthy and smoke-tested already",
    }[unit.action]
    lines = [f"{unit.infra}: {what}"]
    if unit.action in ("create", "update", "verify", "resume"):
        back = f"back to {name} {unit.before}" if unit.before else "nothing was live: the deployment is disabled"
        if "off" in (release.settings.get(f"{section}.rollback") for section in ("release", "api.release")):
            back = "it stays as it is (rollback: off)"
        lines += [f"  if that fails: {back}"]
    return lines


def _object(one: Any) -> str:
    return f"{one.what}: {one.kind} {one.name}" + (f" ({one.note})" if one.note else "")


def _fit(line: str) -> str:
    """The line as a report may hold it, with the blanks that it begins with."""
    text = line.lstrip(" ")
    return " " * (len(line) - len(text)) + one_line(text, 2 * _WIDTH)
