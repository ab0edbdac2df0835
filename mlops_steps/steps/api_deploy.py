"""api-deploy: let a version of the API service answer on a stage, and believe it only when each API node says so."""

from __future__ import annotations

from mlops_steps.config import Settings
from mlops_steps.config.bundle_ids import valid_bundle_id
from mlops_steps.delivery.exclusive import claimed, infra_lock
from mlops_steps.delivery.record import Outcome, Package, ReleaseRecord, load_for
from mlops_steps.delivery.targets.api_deployer import ApiDeployerTarget, open_api_target
from mlops_steps.dss import api_services
from mlops_steps.dss.api_services import Endpoint
from mlops_steps.dss.downloads import Archive, published_archive
from mlops_steps.dss.session import connect
from mlops_steps.errors import CheckFailed, ConfigError, Interrupted, MlopsError
from mlops_steps.steps.context import Context
from mlops_steps.system.console import Console
from mlops_steps.system.interrupts import Interrupts, Stop
from mlops_steps.system.pace import pace
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
            next_step="`api-release` will release to it; this version of mlops-steps does not have it yet",
        )
    record = load_for(settings.record, settings.project)
    package = record.package if record.package and record.package.service == settings.api.service else None
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
    endpoints = _endpoints(settings, package, deadline)
    with (
        infra_lock(settings, f"API {infra}", stage, console),
        open_api_target(settings, stage, endpoints) as target,
    ):
        with report.case("archive"):
            if package:
                _check_same_archive(target, package, console)
            else:
                _check_published(target, version, deadline)
        with context.signals.handled() as signals, claimed(target, console, deadline):
            _deploy(context, target, record, package, version, deadline, signals)


def _deploy(
    context: Context,
    target: ApiDeployerTarget,
    record: ReleaseRecord,
    package: Package | None,
    version: str,
    deadline: Deadline,
    signals: Interrupts,
) -> None:
    report, console = context.report, context.console
    with report.case("deploy") as case:
        with target.within(deadline):
            live = target.observe()
        report.set(deployment=live.deployment.id if live.deployment else target.default_deployment)
        found = live.deployment
        if live.serves(version):
            console.good(f"version {version} answers on {target.infra} everywhere already: nothing to do")
            case.stdout = "\n".join(map(str, live.answers))
            _note(context, record, package, target.stage, Outcome(bundle=version).end("passed"))
            return
        console.line(f"live on {target.stage} now: {live}")
        outcome = Outcome(bundle=version)
        _note(context, record, package, target.stage, outcome)
        try:
            now = target.make_live(version, deadline, console, expected=lambda current: current == found)
        except (MlopsError, Stop) as error:
            with signals.shielded():
                raise _failure(context, target, record, package, outcome, error) from None
        with signals.shielded():
            _note(context, record, package, target.stage, outcome.end("passed"))
        case.stdout = "\n".join(map(str, now.answers))
        console.good(f"deployed: {now}; {len(now.answers)} answers of its API nodes")


def _failure(
    context: Context,
    target: ApiDeployerTarget,
    record: ReleaseRecord,
    package: Package | None,
    outcome: Outcome,
    failure: MlopsError | Stop,
) -> MlopsError:
    """The error with which a failed deployment ends, with what is live now."""
    why = f"interrupted by {failure}" if isinstance(failure, Stop) else failure.message
    _note(context, record, package, target.stage, outcome.end("failed", why))
    live = _live_now(target)
    if isinstance(failure, Stop):
        return Interrupted(f"{target.stage}: the deployment was {why}", signal_number=failure.signal, live=live)
    failure.live = live
    return failure


def _live_now(target: ApiDeployerTarget) -> str:
    try:
        with target.within(Deadline(pace().grace)):
            return str(target.observe())
    except (MlopsError, Stop):
        return "unknown: the API Deployer cannot be asked"


def _note(context: Context, record: ReleaseRecord, package: Package | None, stage: str, outcome: Outcome) -> None:
    """Writes the outcome to the record, if it is about the record's version. What was tested before does not count."""
    if package is None:
        return
    deployed = package.stage(stage)
    deployed.deploy = outcome
    if outcome.result == "started":
        deployed.test = None
    record.save(context.settings.record)


def _endpoints(settings: Settings, package: Package | None, deadline: Deadline) -> list[Endpoint]:
    """The endpoints to be asked: of the record's version those that it was packaged with.

    Raises :class:`CheckFailed` when none of them can be asked which version it is of.
    """
    service = settings.api.required_service()
    with connect(settings, settings.node("design")) as design, design.within(deadline):
        found = api_services.endpoints(design, settings.project, service)
    if package is not None and package.endpoints:
        found = [endpoint for endpoint in found if endpoint.id in package.endpoints]
    if not any(endpoint.is_prediction or endpoint.queries for endpoint in found):
        raise CheckFailed(
            f"API service {service} has no endpoint that can be asked which version answers; nothing was changed",
            next_step="give a function endpoint a test query in the API Designer",
        )
    return found


def _check_published(target: ApiDeployerTarget, version: str, deadline: Deadline) -> None:
    with target.within(deadline):
        known = api_services.published_versions(target.deployer, target.service)
    if version not in known:
        raise CheckFailed(
            f"version {version} of API service {target.service} is not published on the API Deployer; "
            f"{target.stage} is untouched",
            next_step=f"published: {', '.join(known[-10:])}" if known else "run `mlops-steps api-package` first",
        )


def _check_same_archive(target: ApiDeployerTarget, package: Package, console: Console) -> None:
    """Raises :class:`CheckFailed` unless the published archive is the one that was packaged."""
    settings = target.settings
    source = api_services.version_source(target.deployer, package.service, package.version)
    with console.waiting(f"checking the archive of version {package.version}"):
        limit = Deadline(settings.api.package_timeout)
        archive = published_archive(source, Archive(package.sha256, package.size), limit, settings.record.parent)
    if archive.sha256 != package.sha256:
        raise CheckFailed(
            f"version {package.version}: the archive on the API Deployer is not the one that was packaged; "
            f"{target.stage} is untouched",
            details=[f"packaged: {package.sha256}", f"deployer: {archive.sha256}"],
            next_step="find out who replaced it, and package again",
        )
