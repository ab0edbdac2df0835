"""plan: exactly what a release to a stage would do, what follows from it, and what is in the way. Changes nothing."""

from __future__ import annotations

from collections import Counter
from contextlib import ExitStack
from pathlib import Path

from mlops_steps.delivery import gate
from mlops_steps.delivery.attestation import check_provenance, trusted_key
from mlops_steps.delivery.change import Change
from mlops_steps.delivery.judging import judge_release
from mlops_steps.delivery.needed import check_needed
from mlops_steps.delivery.plan import ChangedObject, Consequences, Plan, PlannedRelease
from mlops_steps.delivery.planning import in_words, keep_plan, planned_release
from mlops_steps.delivery.policing import approval_in_words, refusals
from mlops_steps.delivery.quarantine import quarantined
from mlops_steps.delivery.record import Bundle, load_for
from mlops_steps.delivery.release import look
from mlops_steps.delivery.rollout.looking import look_at_all, planned_waves
from mlops_steps.delivery.rollout.members import Member, open_members
from mlops_steps.delivery.targets.archive_file import archive_file
from mlops_steps.delivery.targets.bundle_target import BundleTarget
from mlops_steps.delivery.targets.opening import open_target
from mlops_steps.errors import MlopsError
from mlops_steps.insight.difference import compare
from mlops_steps.insight.no_way_back import lasting
from mlops_steps.insight.published import archive_of, commits_between
from mlops_steps.needs.bundle import read_needs
from mlops_steps.needs.model import BundleNeeds
from mlops_steps.report.attachments import Difference
from mlops_steps.steps.context import Context
from mlops_steps.system.console import Console
from mlops_steps.system.waiting import Deadline


def run(context: Context, stage: str, *, out: str | None = None) -> None:
    """Writes the plan to ``out`` as JSON, notes it in the release record for its approval, and prints it.

    It makes the checks that `release` makes before its first change, and raises what that raises. What may be over
    until then, such as a freeze, only stands in the plan.
    """
    settings, report, console = context.settings, context.report, context.console
    record, key = load_for(settings.record, settings.project), trusted_key(settings)
    with report.case("gate"):
        bundle = gate.tested_bundle(settings, record, stage)
    refused = refusals(settings, record, stage, context.build)
    report.set(bundle=bundle.id, sha256=bundle.sha256, infrastructure=settings.stage(stage).infra)
    with ExitStack() as stack:
        archive = stack.enter_context(archive_file(settings))
        members: list[Member] = []
        if settings.stage(stage).infras:
            members = stack.enter_context(open_members(settings, stage, report, console, record, dry_run=True))
        target = members[0].target if members else stack.enter_context(open_target(settings, stage))
        change = Change(target, report, console, record, settings.record, dry_run=True)
        if note := quarantined(change, target, bundle.id, record.project_commit):
            refused = [*refused, f"bundle {bundle.id} is quarantined: {note}"]
        with report.case("archive"):
            gate.check_same_archive(target, bundle, console, settings.package.timeout, keep=archive)
            needs = read_needs(archive, bundle.id, target.project) if settings.compare.at_release != "off" else None
        if key is not None:
            with report.case("provenance"):
                check_provenance(target, bundle, key, console)
        judge_release(change, target, bundle, Deadline(settings.release.timeout))
        release = _in_waves(members, bundle, needs, context) if members else _at_once(change, bundle, needs)
        with report.case("plan") as case:
            difference, stays = _difference(target, bundle, archive, release, console)
            if difference:
                report.attach().differences.append(difference)
            plan = Plan.of(release, _consequences(change, release, difference, stays), refused)
            keep_plan(settings, plan, out, report, console)
            case.stdout = "\n".join(in_words(plan))
    console.result(case.stdout)


def _at_once(change: Change, bundle: Bundle, needs: BundleNeeds | None) -> PlannedRelease:
    target = change.target
    assert isinstance(target, BundleTarget)
    deadline = Deadline(target.limits.change)
    live, situation = look(change, bundle.id, deadline, announce=False)
    check_needed(change, target, needs, live, situation, deadline, ahead=True)
    return planned_release(change, live, situation, bundle)


def _in_waves(members: list[Member], bundle: Bundle, needs: BundleNeeds | None, context: Context) -> PlannedRelease:
    """The same over the infrastructures of a stage that has several."""

    def check(member: Member, deadline: Deadline) -> None:
        assert member.live is not None
        assert member.situation is not None
        check_needed(member.change, member.target, needs, member.live, member.situation, deadline, ahead=True)

    first = members[0].target
    at_once = first.settings.stage(first.stage).rollout.at_once
    look_at_all(members, bundle.id, at_once, context.signals, context.report, context.console, check)
    return planned_waves(members, bundle)


def _difference(
    target: BundleTarget, bundle: Bundle, archive: Path, release: PlannedRelease, console: Console
) -> tuple[Difference | None, list[str]]:
    """What the bundle has otherwise than what is live (on most infrastructures), and what a rollback does not undo.

    Nothing where nothing is live, or that archive cannot be read.
    """
    live = Counter(unit.live for unit in release.units if unit.live)
    before = live.most_common(1)[0][0] if live else None
    if before is None or before == bundle.id:
        return None, []
    try:
        with archive_of(target.settings, before, console) as old:
            commits = commits_between(target.settings, before, bundle.id)
            both = (f"bundle {before}", old), (f"bundle {bundle.id}", archive)
            with target.within(Deadline(target.settings.compare.timeout)):
                stays = lasting(*both, target.may_run(target.observe()))
            return compare(*both, commits), stays
    except MlopsError as error:
        console.warn(f"what differs from bundle {before} is not known: {error.message}")
        return None, []


def _consequences(
    change: Change, release: PlannedRelease, difference: Difference | None, stays: list[str]
) -> Consequences:
    if release.empty:
        return Consequences()
    measured = change.record.stage(release.stage).gates
    found = [(one.name, measured.get(one.name)) for one in release.gates]
    return Consequences(
        changes=[
            ChangedObject(kind=one.kind, name=one.name, what=one.what, note=one.note)
            for one in (difference.changes if difference else ())
        ],
        left_out=difference.left_out if difference else 0,
        commits=list(difference.commits) if difference else [],
        measured=[f"{name}: {one.verdict}: {one.message}" if one else f"{name}: not measured" for name, one in found],
        approval=approval_in_words(change.target.settings),
        no_way_back=stays,
    )
