"""deploy: create or update the deployment of a stage, and believe it only when both nodes say that it is live."""

from __future__ import annotations

from mlops_steps.config.bundle_ids import valid_bundle_id
from mlops_steps.delivery.claim import claimed
from mlops_steps.delivery.lock import stage_lock
from mlops_steps.delivery.record import Outcome, Previous, load_for
from mlops_steps.delivery.restore import Change, save_if_possible, superseded
from mlops_steps.delivery.targets.project_deployer import Live, Target, open_target
from mlops_steps.errors import CheckFailed, InternalError, Interrupted, MlopsError, ProductionInDoubt
from mlops_steps.steps.context import Context
from mlops_steps.steps.release import check_same_archive
from mlops_steps.system.interrupts import Interrupts, Stop
from mlops_steps.system.pace import pace
from mlops_steps.system.waiting import Deadline


def run(context: Context, stage: str, *, bundle: str | None = None) -> None:
    """Makes the record's bundle, or ``bundle``, live on the stage.

    Does nothing when it is live and healthy already. Raises :class:`CheckFailed` when the update failed or the
    deployment does not become healthy; on the release stage that is :class:`ProductionInDoubt`, unless what was live
    before is live still, for this step has no rollback.
    """
    settings, report, console = context.settings, context.report, context.console
    infra = settings.stage(stage).infra
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
    is_release_stage = stage == settings.release_stage().name
    if is_release_stage:
        console.warn(f"{stage} is the release stage: `release` would smoke-test, and roll back by itself")
    report.set(bundle=bundle, infrastructure=infra)
    with stage_lock(settings, stage, console), open_target(settings, stage) as target:
        if record.bundle and record.bundle.id == bundle:
            with report.case("archive"):
                check_same_archive(target, record.bundle, console, settings.package.timeout)
        change = Change(target, report, console, record, settings.record)
        deadline = Deadline(settings.deploy.timeout)
        with context.signals.handled() as signals, claimed(target, console, deadline):
            _deploy(change, bundle, is_release_stage, deadline, signals)


def _deploy(change: Change, bundle: str, is_release_stage: bool, deadline: Deadline, signals: Interrupts) -> None:
    target, stage, console = change.target, change.stage, change.console
    with change.report.case("deploy"):
        with target.within(deadline):
            live = target.observe()
        superseded(change, live)
        if live.deployment:
            stage.deployment = live.deployment.id
        change.report.set(deployment=stage.deployment, previous_bundle=live.bundle)
        if live.is_healthy(bundle) and stage.owed == "nothing":
            console.good(f"bundle {bundle} is live on {target.infra} and healthy already: nothing to do")
            if not (stage.deploy and stage.deploy.bundle == bundle):
                stage.deploy = Outcome(bundle=bundle)
            stage.deploy.end("passed", "was live already")
            change.save()
            return
        console.line(f"live on {target.stage} now: {live}")
        seen = live.deployment.bundle if live.deployment else None
        stage.previous = stage.still_owed(seen) if stage.owed != "nothing" else _previous(live)
        stage.deploy, stage.test = Outcome(bundle=bundle), None
        stage.owed = "restore" if is_release_stage else "nothing"
        change.save()
        owed = stage.owed
        try:
            now = target.make_live(bundle, deadline, console)
            with signals.shielded():
                stage.deploy.end("passed", str(now))
                stage.owed = "nothing"
                change.save()
        except (Exception, Stop) as error:
            # A mistake of our own must not pass for "production is untouched".
            failure = error if isinstance(error, (MlopsError, Stop)) else InternalError.of(error)
            stage.owed = owed
            with signals.shielded():
                raise _failure(change, bundle, live, failure, is_release_stage) from None
        console.good(f"deployed: {now}")


def _previous(live: Live) -> Previous:
    return Previous(
        bundle=live.bundle,
        in_settings=live.deployment.bundle if live.deployment else None,
        deployment_existed=live.deployment is not None,
        enabled=live.deployment.enabled if live.deployment else True,
        health=live.health.status if live.health else "UNKNOWN",
    )


def _failure(
    change: Change, bundle: str, before: Live, failure: MlopsError | Stop, is_release_stage: bool
) -> MlopsError:
    """The error with which a failed deploy ends, with what is live now."""
    target, stage = change.target, change.stage
    why = f"interrupted by {failure}" if isinstance(failure, Stop) else failure.message
    now = _live_now(target)
    if stage.deploy:
        stage.deploy.end("failed", why)
    untouched = now is not None and before.bundle is not None and now.is_healthy(before.bundle)
    if untouched:
        stage.owed = "nothing"
    save_if_possible(change)
    live = str(now) if now else "unknown: the nodes cannot be asked"
    if is_release_stage and not untouched:
        return ProductionInDoubt(
            f"{target.stage}: bundle {bundle} was not deployed: {why}",
            live=live,
            next_step=f"run `mlops-steps recover --stage {target.stage}`: it restores what was live before",
        )
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
