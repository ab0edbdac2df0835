"""release: make the tested bundle live on a stage, smoke-test it there, and put things back when that fails."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from mlops_steps.delivery import gate
from mlops_steps.delivery.attestation import Statements, check_provenance, trusted_key
from mlops_steps.delivery.change import Change
from mlops_steps.delivery.exclusive import all_claimed, claimed, stage_lock
from mlops_steps.delivery.judging import judge_release
from mlops_steps.delivery.needed import check_needed
from mlops_steps.delivery.plan import NotedPlan
from mlops_steps.delivery.planning import check_plan, chosen_plan, planned_release
from mlops_steps.delivery.policing import check_release
from mlops_steps.delivery.quarantine import check_quarantine
from mlops_steps.delivery.record import Bundle, ReleaseRecord, load_for
from mlops_steps.delivery.release import interrupted_before, look, release
from mlops_steps.delivery.rollout.looking import announce_waves, check_plan_of_waves, limit_of, look_at_all
from mlops_steps.delivery.rollout.members import Member, open_members
from mlops_steps.delivery.rollout.waves import Waves
from mlops_steps.delivery.snapshot import check_consent
from mlops_steps.delivery.targets.bundle_target import BundleTarget
from mlops_steps.delivery.targets.opening import open_target
from mlops_steps.errors import MlopsError
from mlops_steps.needs.model import BundleNeeds
from mlops_steps.provenance.envelope import PublicKey
from mlops_steps.steps.context import Context
from mlops_steps.system.console import Console
from mlops_steps.system.interrupts import Interrupts, Stop
from mlops_steps.system.waiting import Deadline


def run(
    context: Context, stage: str, *, plan: str | None = None, dry_run: bool = False, force: str | None = None
) -> None:
    """Releases the record's bundle to the stage. ``force`` is the reason for a release during a freeze, or of
    a bundle that is quarantined.

    ``plan`` is the file of a plan that the release is held to; without it, the one that was approved.

    Raises :class:`CheckFailed` when the bundle may not be released (now) or is damaged, when a gate does not let it
    through, when the plan does not hold any more, or when the node lacks what it needs (nothing was changed),
    :class:`NodeError` when the nodes contradict each other about what is live (nothing was changed),
    :class:`RolledBack` when the release failed and the previous bundle is live again, :class:`ProductionInDoubt` when
    it is not, :class:`Interrupted` after a signal, when the previous bundle is live again.
    """
    settings, report, console = context.settings, context.report, context.console
    record = load_for(settings.record, settings.project)
    statements, key = Statements(settings, console, context.build), trusted_key(settings)
    with report.case("gate"):
        bundle = gate.tested_bundle(settings, record, stage)
        planned = chosen_plan(record, stage, "bundle", bundle, plan)
        check_consent(settings.release.no_way_back, planned is not None or record.stage(stage).pending, stage)
    check_release(settings, record, stage, context.build, force, report, console, dry_run=dry_run)
    report.set(bundle=bundle.id, sha256=bundle.sha256)
    if settings.stage(stage).infras:
        _release_in_waves(context, stage, record, bundle, planned, statements, key, force, dry_run=dry_run)
        return
    report.set(infrastructure=settings.stage(stage).infra)
    with stage_lock(settings, stage, console), open_target(settings, stage) as target:
        change = Change(target, report, console, record, settings.record, dry_run=dry_run)
        began = False
        try:
            check_quarantine(change, target, bundle.id, record.project_commit, force, context.build)
            with report.case("archive"):
                needs = _check_archive(target, bundle, console)
            if key is not None:
                with report.case("provenance"):
                    check_provenance(target, bundle, key, console)
            with statements.of_gates(target, bundle, report, dry_run=dry_run):
                judged = judge_release(change, target, bundle, Deadline(settings.release.timeout))
            deadline = Deadline(settings.release.timeout)
            if dry_run:
                live, situation = look(change, bundle.id, deadline)
                check_plan(planned, planned_release(change, live, situation, bundle), situation, report)
                check_needed(change, target, needs, live, situation, deadline)
                console.line("dry run: nothing was changed")
                return
            with claimed(target, console, deadline):
                live, situation = look(change, bundle.id, deadline)
                judged.check(live, stage)
                check_plan(planned, planned_release(change, live, situation, bundle), situation, report)
                check_needed(change, target, needs, live, situation, deadline)
                statements.seal([target], bundle)
                began = True
                with _stated(statements, target, bundle, context.signals):
                    release(change, live, situation, bundle.id, deadline, context.signals)
        except Stop as stop:
            if began:
                raise
            raise interrupted_before(change, stop) from None


def _release_in_waves(
    context: Context,
    stage: str,
    record: ReleaseRecord,
    bundle: Bundle,
    planned: NotedPlan | None,
    statements: Statements,
    key: PublicKey | None,
    force: str | None,
    *,
    dry_run: bool,
) -> None:
    """The same over the infrastructures of a stage that has several."""
    settings, report, console, signals = context.settings, context.report, context.console, context.signals
    rollout = settings.stage(stage).rollout
    with (
        stage_lock(settings, stage, console),
        open_members(settings, stage, report, console, record, dry_run=dry_run) as members,
    ):
        first = members[0]
        began = False
        try:
            change = Change(first.target, report, console, record, settings.record, dry_run=dry_run)
            if not record.stage(stage).pending:  # what an earlier attempt has begun is finished
                check_quarantine(change, first.target, bundle.id, record.project_commit, force, context.build)
            with report.case("archive"):
                needs = _check_archive(first.target, bundle, console)
            if key is not None:
                with report.case("provenance"):
                    check_provenance(first.target, bundle, key, console)
            with statements.of_gates(first.target, bundle, report, dry_run=dry_run):
                judged = judge_release(change, first.target, bundle, Deadline(settings.release.timeout))

            def check(member: Member, deadline: Deadline) -> None:
                assert member.live is not None
                assert member.situation is not None
                check_needed(member.change, member.target, needs, member.live, member.situation, deadline)

            def look_again() -> None:
                look_at_all(members, bundle.id, rollout.at_once, signals, report, console, check)
                assert first.live is not None
                judged.check(first.live, stage)
                check_plan_of_waves(planned, members, bundle, report)

            if dry_run:
                look_again()
                announce_waves(members, bundle, console)
                console.line("dry run: nothing was changed")
                return
            with all_claimed(
                [member.target for member in members], console, Deadline(settings.release.timeout), limit_of(members)
            ):
                look_again()
                announce_waves(members, bundle, console)
                statements.seal([member.target for member in members], bundle)
                began = True
                build = context.build.url or context.build.number
                with _stated(statements, first.target, bundle, signals):
                    Waves(members, bundle, rollout, record, report, console, signals, build).release()
        except Stop as stop:
            if began:
                raise
            raise interrupted_before(first.change, stop) from None


def _check_archive(target: BundleTarget, bundle: Bundle, console: Console) -> BundleNeeds | None:
    """Checks that the archive is the one that was tested; reads from it what the bundle needs, if that is asked for."""
    limit = target.settings.package.timeout
    if target.settings.compare.at_release == "off":
        gate.check_same_archive(target, bundle, console, limit)
        return None
    return gate.needs_of_same_archive(target, bundle, console, limit)


@contextmanager
def _stated(statements: Statements, target: BundleTarget, bundle: Bundle, signals: Interrupts) -> Iterator[None]:
    """States how the release in the block ended."""
    try:
        yield
    except MlopsError as error:
        with signals.shielded():
            statements.released(target, bundle, error.message)
        raise
    with signals.shielded():
        statements.released(target, bundle)
