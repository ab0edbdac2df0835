"""api-deploy: let a version of the API service answer on a stage, and believe it only when each API node says so."""

from __future__ import annotations

from mlops_steps.config.bundle_ids import valid_bundle_id
from mlops_steps.delivery.change import Change, previous_of, superseded
from mlops_steps.delivery.exclusive import claimed, infra_lock
from mlops_steps.delivery.record import load_for
from mlops_steps.delivery.restore import live_in_words
from mlops_steps.delivery.service_gate import check_published, check_same_package, open_service, recorded_package
from mlops_steps.delivery.targets.api_deployer import ApiDeployerTarget
from mlops_steps.delivery.targets.live_service import LiveService
from mlops_steps.errors import CheckFailed, ConfigError, Interrupted, MlopsError
from mlops_steps.steps.context import Context
from mlops_steps.system.interrupts import Interrupts, Stop
from mlops_steps.system.waiting import Deadline


def run(context: Context, stage: str, *, version: str | None = None) -> None:
    """Makes the record's version, or ``version``, the one that answers on the stage.

    Does nothing when it answers everywhere already. Refuses the release stage. Raises :class:`CheckFailed` when the
    update failed, or when an API node does not answer with this version on each endpoint.
    """
    settings, report, console = context.settings, context.report, context.console
    infra = settings.api.stage(stage).infra
    if settings.api.is_release_stage(stage):
        raise ConfigError(
            f"{stage} is the release stage of the API service: `api-deploy` does not deploy there, because it restores "
            "nothing when that fails; nothing was changed",
            next_step=f"run `mlops-steps api-release --stage {stage}`",
        )
    record = load_for(settings.record, settings.project)
    package = recorded_package(settings, record)
    if version:
        version = valid_bundle_id(version)
    elif package:
        version = package.version
    else:
        raise CheckFailed(
            f"{settings.record}: there is no version of API service {settings.api.service} to deploy",
            next_step="run `mlops-steps api-package` first, or name a published version with --version",
        )
    package = package if package and package.version == version else None
    report.set(service=settings.api.service, version=version, infrastructure=infra)
    deadline = Deadline(settings.api.deploy_timeout)
    with (
        infra_lock(settings, f"API {infra}", stage, console),
        open_service(settings, stage, package, deadline) as target,
    ):
        with report.case("archive"):
            if package:
                check_same_package(target, package, console)
            else:
                check_published(target, version, deadline)
        with context.signals.handled() as signals, claimed(target, console, deadline):
            _deploy(Change(target, report, console, record, settings.record), target, version, deadline, signals)


def _deploy(change: Change, target: ApiDeployerTarget, version: str, deadline: Deadline, signals: Interrupts) -> None:
    report, console = change.report, change.console
    with report.case("deploy") as case:
        with target.within(deadline):
            live = target.observe()
        superseded(change, live)
        report.set(deployment=change.deployment_id(live))
        if live.is_healthy(version):
            console.good(f"version {version} answers on {target.infra} everywhere already: nothing to do")
            case.stdout = "\n".join(map(str, live.answers))
            change.was_live(version, live)
            return
        console.line(f"live on {target.stage} now: {live}")
        change.begin(version, live, previous_of(live, live.version), restores=False)
        try:
            now = change.make_live(live, deadline)
        except (MlopsError, Stop) as error:
            with signals.shielded():
                raise _failure(change, error) from None
        with signals.shielded():
            change.accept(str(now))
        answers = now.answers if isinstance(now, LiveService) else ()
        case.stdout = "\n".join(map(str, answers))
        console.good(f"deployed: {now}; {len(answers)} answers of its API nodes")


def _failure(change: Change, failure: MlopsError | Stop) -> MlopsError:
    """The error with which a failed deployment ends, with what is live now."""
    why = f"interrupted by {failure}" if isinstance(failure, Stop) else failure.message
    change.fail(why)
    live = live_in_words(change)
    if isinstance(failure, Stop):
        return Interrupted(f"{change.target.stage}: the deployment was {why}", signal_number=failure.signal, live=live)
    failure.live = live
    return failure
