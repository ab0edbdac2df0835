"""release: make the tested bundle live on a stage, smoke-test it there, and put things back when that fails."""

from __future__ import annotations

from mlops_steps.config import Settings
from mlops_steps.delivery import evidence
from mlops_steps.delivery.claim import claimed
from mlops_steps.delivery.lock import stage_lock
from mlops_steps.delivery.record import Bundle, Outcome, Previous, ReleaseRecord, Stage, load_for
from mlops_steps.delivery.restore import Change, in_doubt, restore, save_if_possible, superseded
from mlops_steps.delivery.smoke import run_token, smoke
from mlops_steps.delivery.targets.project_deployer import Live, Target, open_target
from mlops_steps.dss import bundles
from mlops_steps.dss.bundles import Archive
from mlops_steps.errors import (
    CheckFailed,
    ConfigError,
    InternalError,
    Interrupted,
    MlopsError,
    RolledBack,
    SomebodyElse,
)
from mlops_steps.steps.context import Context
from mlops_steps.system.console import Console
from mlops_steps.system.interrupts import Interrupts, Stop
from mlops_steps.system.pace import pace
from mlops_steps.system.waiting import Deadline


def run(context: Context, stage: str, *, dry_run: bool = False) -> None:
    """Releases the record's bundle to the stage.

    Raises :class:`CheckFailed` when the bundle may not be released or is damaged (nothing was changed),
    :class:`RolledBack` when the release failed and the previous bundle is live again, :class:`ProductionInDoubt` when
    it is not, :class:`Interrupted` after a signal, when the previous bundle is live again.
    """
    settings, report, console = context.settings, context.report, context.console
    record = load_for(settings.record, settings.project)
    with report.case("gate"):
        bundle = gate(settings, record, stage)
    report.set(bundle=bundle.id, sha256=bundle.sha256, infrastructure=settings.stage(stage).infra)
    with stage_lock(settings, stage, console), open_target(settings, stage) as target:
        change = Change(target, report, console, record, settings.record)
        began = False
        try:
            with report.case("archive"):
                check_same_archive(target, bundle, console, settings.package.timeout)
            if dry_run:
                _look(change, bundle.id, Deadline(settings.release.timeout))
                console.line("dry run: nothing was changed")
                return
            deadline = Deadline(settings.release.timeout)
            with claimed(target, console, deadline):
                live, previous = _look(change, bundle.id, deadline)
                began = True
                release_bundle(change, live, previous, bundle.id, deadline, context.signals)
        except Stop as stop:
            if began:
                raise
            raise _before_any_change(change, stop) from None


def _look(change: Change, bundle: str, deadline: Deadline) -> tuple[Live, Previous]:
    """What is live now, and what a failed release has to return to."""
    with change.target.within(deadline):
        live = change.target.observe()
        superseded(change, live)
        failed = change.stage.owed == "nothing" and evidence.failed_before(change.target, live, bundle)
        previous = _previous(change, live, bundle)
    if failed:
        change.console.warn(f"an earlier release of bundle {bundle}, whose record is lost, failed and was cut off")
        stage = change.stage
        stage.previous, stage.owed = previous, "restore"
        stage.deploy, stage.smoke_test = Outcome(bundle=bundle), Outcome(bundle=bundle)
        stage.deploy.end("passed")
        stage.smoke_test.end("failed", "its smoke test failed")
    _announce(change, live, previous, bundle)
    change.report.set(deployment=change.stage.deployment, previous_bundle=previous.bundle)
    return live, previous


def _before_any_change(change: Change, stop: Stop) -> Interrupted:
    stage = change.target.stage
    if change.stage.owed == "nothing":
        text, next_step = "nothing was changed", None
    else:
        text = "what an earlier release that was cut off owes is still owed"
        next_step = f"run `mlops-steps recover --stage {stage}`"
    return Interrupted(f"{stage}: interrupted by {stop}; {text}", signal_number=stop.signal, next_step=next_step)


def gate(settings: Settings, record: ReleaseRecord, stage: str) -> Bundle:
    """The record's bundle, if it may go to the stage: its tests passed on the stage before."""
    if record.bundle is None:
        raise CheckFailed(
            f"{settings.record}: there is no bundle to release",
            next_step="run `mlops-steps package` first, or unstash the record of the stages before",
        )
    earlier = settings.stage_before(stage)
    if earlier is None:
        raise ConfigError(
            f"{stage} is the first stage: there is none before it on which the bundle could have been tested",
            next_step="release to a later stage, or use `mlops-steps deploy` for this one",
        )
    before = earlier.name
    if not record.tested(before):
        part = record.stages.get(before)
        found = f"its tests there: {part.test.result} (bundle {part.test.bundle})" if part and part.test else "no tests"
        raise CheckFailed(
            f"bundle {record.bundle.id} has not passed its tests on stage {before} ({found}); {stage} is untouched",
            next_step=f"run `mlops-steps deploy --stage {before}` and `mlops-steps test --stage {before}`",
        )
    return record.bundle


def check_same_archive(target: Target, bundle: Bundle, console: Console, limit: float) -> None:
    """Raises :class:`CheckFailed` unless the published archive is the one that was packaged and tested."""
    with console.waiting(f"checking the archive of bundle {bundle.id}") as wait:
        archive = bundles.published_archive(
            target.deployer,
            target.project,
            bundle.id,
            Archive(bundle.sha256, bundle.size),
            Deadline(limit),
            target.settings.record.parent,
            on_bytes=lambda size: wait.state(f"{100 * size // max(bundle.size, 1)} %"),
        )
    if archive.sha256 != bundle.sha256:
        raise CheckFailed(
            f"bundle {bundle.id}: the archive on the Project Deployer is not the one that was tested; "
            f"{target.stage} is untouched",
            details=[f"tested:   {bundle.sha256}", f"deployer: {archive.sha256}"],
            next_step="find out who replaced it, and package again",
        )


def _previous(change: Change, live: Live, bundle: str) -> Previous:
    """What to return to: what is live, or, when an earlier run was cut off, what was live before it."""
    stage = change.stage
    owed = stage.still_owed(live.deployment.bundle if live.deployment else None)
    if stage.owed != "nothing" and owed is not None:
        change.console.warn(f"an earlier release to {change.target.stage} was cut off; going on from its record")
        return owed
    if live.bundle and live.deployment is None:
        raise CheckFailed(
            f"project {change.target.project} is live on {live.infra} without a deployment of the Project Deployer: "
            f"{live}; a failed release could not be rolled back",
            next_step="create a deployment for what is live there (same bundle, update it), then release",
        )
    before = live.bundle
    if before == bundle:
        # Released already, by this very build: what was there before it stays what was there before.
        if stage.previous is not None and stage.deploy and stage.deploy.bundle == bundle:
            return stage.previous
        # A record that was lost: the deployer's history tells.
        before = evidence.bundle_before(change.target, live, bundle) or bundle
    return Previous(
        bundle=before,
        in_settings=live.deployment.bundle if live.deployment else None,
        deployment_existed=live.deployment is not None,
        enabled=live.deployment.enabled if live.deployment else True,
        health=live.health.status if live.health else "UNKNOWN",
    )


def _announce(change: Change, live: Live, previous: Previous, bundle: str) -> None:
    console, target = change.console, change.target
    if live.deployment:
        change.stage.deployment = live.deployment.id
    console.line(f"live on {target.stage} now: {live}")
    console.line(f"will be live: bundle {bundle}, then smoke test {target.settings.release.smoke_scenario}")
    if target.settings.release.rollback == "off":
        console.warn("release.rollback is off: a failed release stays as it is")
    elif previous.bundle is None:
        console.warn(
            f"first release to {target.stage}: there is nothing to return to; "
            "if it fails, the deployment that it creates is disabled"
        )
    else:
        console.line(f"if that fails: back to bundle {previous.bundle}")


def release_bundle(
    change: Change, live: Live, previous: Previous, bundle: str, deadline: Deadline, interrupts: Interrupts
) -> None:
    """Makes the bundle live and smoke-tests it; whatever goes wrong, what was live is restored and verified."""
    target, stage, console = change.target, change.stage, change.console
    change.known = {name for name in (bundle, previous.bundle, previous.in_settings) if name}
    if stage.owed != "nothing":
        change.known |= stage.ours
    done = stage.smoke_test is not None and stage.smoke_test.result == "passed" and stage.smoke_test.bundle == bundle
    if live.is_healthy(bundle) and stage.owed == "nothing" and done:
        console.good(f"bundle {bundle} is live, healthy and smoke-tested already: nothing to do")
        return
    with interrupts.handled():
        try:
            _check_not_failed_before(stage, bundle)
            _deploy(change, live, previous, bundle, deadline)
            _smoke(change, bundle)
            with interrupts.shielded():
                stage.owed = "nothing"
                change.save()
                console.good(f"released: bundle {bundle} is live on {target.infra}, healthy and smoke-tested")
        except (Exception, Stop) as failure:
            # A mistake of our own must not leave production in doubt either.
            known = failure if isinstance(failure, (MlopsError, Stop)) else InternalError.of(failure)
            with interrupts.shielded():
                _put_back(change, previous, bundle, known)


def _check_not_failed_before(stage: Stage, bundle: str) -> None:
    """Raises :class:`CheckFailed` when the release of this bundle has failed already and only its restore is owed."""
    if stage.owed == "nothing" or stage.deploy is None or stage.deploy.bundle != bundle:
        return
    failed = [part.message for part in (stage.deploy, stage.smoke_test) if part and part.result == "failed"]
    if failed or stage.rollback is not None:
        why = failed[0] if failed else "its restore had begun"
        raise CheckFailed(f"it failed before, and what was live before is not restored yet: {why}")


def _deploy(change: Change, live: Live, previous: Previous, bundle: str, deadline: Deadline) -> None:
    target, stage = change.target, change.stage
    seen = live.deployment
    stage.previous, stage.owed, stage.rollback, stage.smoke_test = previous, "restore", None, None
    stage.deploy = Outcome(bundle=bundle)
    change.save()  # flushed to disk before anything is changed
    with change.report.case("deploy"):
        if not live.is_healthy(bundle):
            target.make_live(
                bundle,
                deadline,
                change.console,
                expected=lambda now: seen is None or (now.bundle, now.enabled) == (seen.bundle, seen.enabled),
                abort_at_limit=target.settings.release.rollback == "auto",
            )
    stage.deploy.end("passed")
    change.save()


def _smoke(change: Change, bundle: str) -> None:
    change.stage.smoke_test = Outcome(bundle=bundle)
    deadline = Deadline(change.target.settings.release.smoke_timeout)
    with change.target.within(deadline):
        token = run_token(change.target, "release")
    smoke(change.target, change.report, change.console, limit=deadline.remaining, token=token)
    change.target.check_still_live(bundle, Deadline(max(deadline.remaining, pace().grace)))
    change.stage.smoke_test.end("passed")


def _put_back(change: Change, previous: Previous, bundle: str, failure: MlopsError | Stop) -> None:
    """Restores, and raises the error that says how it ended."""
    stage, target = change.stage, change.target
    why = f"interrupted by {failure}" if isinstance(failure, Stop) else failure.message
    for part in (stage.deploy, stage.smoke_test):
        if part and part.result == "started":
            part.end("failed", why)
    details = failure.details if isinstance(failure, MlopsError) else ()
    save_if_possible(change)
    deadline = Deadline(target.settings.release.rollback_timeout)
    untouched = _untouched(change, previous, bundle, deadline.at_most(30))
    if untouched:
        stage.owed = "nothing"
        save_if_possible(change)
        if isinstance(failure, MlopsError):
            failure.live = failure.live or untouched
            raise failure
        raise Interrupted(f"{why}; nothing was changed", signal_number=failure.signal, live=untouched) from None
    if target.settings.release.rollback == "off":
        raise in_doubt(change, "release.rollback is off", why, details)
    if isinstance(failure, SomebodyElse):
        raise in_doubt(change, "somebody else is at work there; it was not overwritten", why, details)
    live = restore(change, why, deadline)
    if isinstance(failure, Stop):
        raise Interrupted(
            f"{target.stage}: the release of bundle {bundle} was {why}; what was live before is live again, verified",
            signal_number=failure.signal,
            live=live,
        ) from None
    raise RolledBack(
        f"{target.stage}: bundle {bundle} was not released: {why}",
        details=details,
        live=f"{live}, verified",
        next_step="look at the failed check in the report, fix it on the Design node, then run the pipeline again",
    ) from None


def _untouched(change: Change, previous: Previous, bundle: str, deadline: Deadline) -> str | None:
    """What is live, in words, when the failure came before anything was changed; otherwise ``None``."""
    try:
        with change.target.within(deadline):
            live = change.target.observe()
    except Exception:
        return None  # nothing is known: the restore looks again
    if previous.bundle is None:
        return str(live) if live.bundle is None and live.deployment is None else None
    same = live.is_healthy(previous.bundle) and previous.bundle != bundle
    return str(live) if same and not _update_began(change) else None


def _update_began(change: Change) -> bool:
    """Whether the smoke test, a restore, or a finished deploy shows that the new bundle was live for a while."""
    stage = change.stage
    return bool(stage.smoke_test or stage.rollback) or (stage.deploy is not None and stage.deploy.result == "passed")
