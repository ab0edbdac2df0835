"""deploy: create or update the deployment of a stage, and check with both nodes that it is live."""

from __future__ import annotations

from mlops_steps.config.bundle_ids import valid_bundle_id
from mlops_steps.delivery import evidence, gate, policing
from mlops_steps.delivery.change import Change, superseded
from mlops_steps.delivery.exclusive import all_claimed, claimed, stage_lock
from mlops_steps.delivery.record import ReleaseRecord, load_for
from mlops_steps.delivery.rehearsal import is_rehearsed, rehearse
from mlops_steps.delivery.rollout.each import on_each
from mlops_steps.delivery.rollout.looking import limit_of
from mlops_steps.delivery.rollout.members import Member, open_members
from mlops_steps.delivery.targets.base import Live, Target
from mlops_steps.delivery.targets.opening import open_target
from mlops_steps.errors import CheckFailed, InternalError, Interrupted, MlopsError, ProductionInDoubt
from mlops_steps.steps.context import Context
from mlops_steps.system.interrupts import Interrupts, Stop
from mlops_steps.system.pace import pace
from mlops_steps.system.waiting import Deadline


def run(context: Context, stage: str, *, bundle: str | None = None, infra: str | None = None) -> None:
    """Makes the record's bundle, or ``bundle``, live on the stage: on ``infra``, or on all of its infrastructures.

    Does nothing when it is live and healthy already. Raises :class:`CheckFailed` when the update failed, when the
    deployment does not become healthy, or when a policy applies to the release stage. There, a failed update is
    :class:`ProductionInDoubt`, unless what was live before still is: this step has no rollback.
    """
    settings, report, console = context.settings, context.report, context.console
    unit = settings.units(stage, infra)[0]
    record = load_for(settings.record, settings.project)
    if bundle:
        bundle = valid_bundle_id(bundle)
    elif record.bundle:
        bundle = record.bundle.id
    else:
        raise CheckFailed(
            f"{settings.record}: there is no bundle to deploy",
            next_step="run `mlops-steps package` first, or name a published bundle with --bundle",
        )
    policing.check_release_only(settings, stage)
    is_release_stage = stage == settings.release_stage().name
    if is_release_stage:
        console.warn(f"{stage} is the release stage: `release` would smoke-test, and roll back by itself")
    report.set(bundle=bundle)
    if settings.stage(stage).infras and infra is None:
        _deploy_to_each(context, stage, record, bundle, is_release_stage)
        return
    report.set(infrastructure=unit.infra)
    with stage_lock(settings, stage, console, infra=infra), open_target(settings, stage, infra) as target:
        if record.bundle and record.bundle.id == bundle:
            with report.case("archive"):
                gate.check_same_archive(target, record.bundle, console, settings.package.timeout)
        change = Change(target, report, console, record, settings.record)
        deadline = Deadline(settings.deploy.timeout)
        with context.signals.handled() as signals, claimed(target, console, deadline):
            if _rehearse(change, bundle, signals):
                deadline = Deadline(settings.deploy.timeout)
            _deploy(change, bundle, is_release_stage, deadline, signals)


def _deploy_to_each(context: Context, stage: str, record: ReleaseRecord, bundle: str, is_release_stage: bool) -> None:
    """The same on all infrastructures of the stage, side by side: what fails on one stops none of the others."""
    settings, report, console = context.settings, context.report, context.console
    with stage_lock(settings, stage, console), open_members(settings, stage, report, console, record) as members:
        if record.bundle and record.bundle.id == bundle:
            with report.case("archive"):
                gate.check_same_archive(members[0].target, record.bundle, console, settings.package.timeout)

        def one(member: Member) -> str:
            _rehearse(member.change, bundle, member.signals)
            deadline = Deadline(settings.deploy.timeout)
            _deploy(member.change, bundle, is_release_stage, deadline, member.signals)
            return f"bundle {bundle} is live on {member.infra}"

        targets, deadline = [member.target for member in members], Deadline(settings.deploy.timeout)
        with context.signals.handled() as signals, all_claimed(targets, console, deadline, limit_of(members)):
            on_each(members, one, "deployment", signals, report, console)


def _rehearse(change: Change, bundle: str, signals: Interrupts) -> bool:
    """Proves the way back to what the release stage has; whether the stage asks for that, and it was not done yet."""
    settings, stage, record = change.target.settings, change.target.stage, change.record
    if not settings.stage(stage).rollback_rehearsal or record.bundle is None or record.bundle.id != bundle:
        return False
    if is_rehearsed(record, stage, bundle):
        change.console.line(f"the way back from bundle {bundle} was rehearsed on {stage} already")
        return False

    def deploy(version: str, case: str) -> None:
        _deploy(change, version, False, Deadline(settings.deploy.timeout), signals, case)

    rehearse(change, record.bundle, deploy, signals)
    return True


def _deploy(
    change: Change,
    bundle: str,
    is_release_stage: bool,
    deadline: Deadline,
    signals: Interrupts,
    case: str = "deploy",
) -> None:
    target, console = change.target, change.console
    with change.report.case(case):
        with target.within(deadline):
            live = target.look(deadline, console) if is_release_stage else target.observe()
        superseded(change, live)
        change.report.set(deployment=change.deployment_id(live), previous_bundle=live.version)
        if live.is_healthy(bundle) and not change.pending and not target.lacking(live):
            console.good(f"bundle {bundle} is live on {target.infra} and healthy already: nothing to do")
            change.was_live(bundle, live)
            return
        console.line(f"live on {target.stage} now: {live}")
        change.begin(bundle, live, evidence.before_deploy(change, live), restores=is_release_stage)
        try:
            now = change.make_live(live, deadline)
            with signals.shielded():
                change.accept(str(now))
        except (Exception, Stop) as error:
            # A mistake of our own must not pass for "production is untouched".
            failure = error if isinstance(error, (MlopsError, Stop)) else InternalError.of(error)
            with signals.shielded():
                raise _failure(change, bundle, live, failure) from None
        console.good(f"deployed: {now}")


def _failure(change: Change, bundle: str, before: Live, failure: MlopsError | Stop) -> MlopsError:
    """The error with which a failed deploy ends, with what is live now."""
    target = change.target
    why = f"interrupted by {failure}" if isinstance(failure, Stop) else failure.message
    now = _live_now(target)
    live = str(now) if now else "unknown: the nodes cannot be asked"
    if now is not None and before.version is not None and now.is_healthy(before.version):
        change.untouched(why)
    elif change.pending:
        change.doubt(why)
        return ProductionInDoubt(
            f"{target.stage}: bundle {bundle} was not deployed: {why}",
            live=live,
            next_step=f"run `mlops-steps recover --stage {target.stage}`: it restores what was live before",
        )
    else:
        change.fail(why)
    if isinstance(failure, Stop):
        return Interrupted(f"{target.stage}: the deployment was {why}", signal_number=failure.signal, live=live)
    failure.live = live
    return failure


def _live_now(target: Target) -> Live | None:
    try:
        with target.within(Deadline(pace().grace)):
            return target.observe()
    except (MlopsError, Stop):
        return None
