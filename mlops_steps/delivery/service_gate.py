"""What must be true of a version of the API service before it goes to a stage, and how the stage is opened for it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from mlops_steps.config import Settings
from mlops_steps.delivery.phases import Phase
from mlops_steps.delivery.record import Package, ReleaseRecord
from mlops_steps.delivery.targets.api_deployer import ApiDeployerTarget, open_api_target
from mlops_steps.dss import api_services
from mlops_steps.dss.api_services import Endpoint
from mlops_steps.dss.downloads import Archive, published_archive
from mlops_steps.dss.session import connect
from mlops_steps.errors import CheckFailed, ConfigError
from mlops_steps.system.console import Console
from mlops_steps.system.waiting import Deadline


def recorded_package(settings: Settings, record: ReleaseRecord) -> Package | None:
    """The record's package, if it is of the service that is configured."""
    package = record.package
    return package if package and package.service == settings.api.required_service() else None


def tested_package(settings: Settings, record: ReleaseRecord, stage: str) -> Package:
    """The record's package, if it may go to the stage: it answers on the stage before, and passed its tests there.

    With ``api.release.tests: off`` it only must not have failed them. Raises :class:`CheckFailed`,
    :class:`ConfigError` when there is no stage before it.
    """
    package = recorded_package(settings, record)
    if package is None:
        raise CheckFailed(
            f"{settings.record}: there is no version of API service {settings.api.required_service()} to release",
            next_step="run `mlops-steps api-package` first, or unstash the record of the stages before",
        )
    before = settings.api.stage_before(stage)
    if before is None:
        raise ConfigError(
            f"{stage} is the first stage of the API service: there is none before it on which the version could have "
            "been tried",
            next_step="release to a later stage, or add a stage before it to api.stages of mlops.yml",
        )
    part = record.api_stages.get(before)
    units = part.units.values() if part else ()
    answers = any(unit.version == package.version and unit.phase is Phase.LIVE for unit in units)
    test = part.test if part and part.test and part.test.bundle == package.version else None
    required = settings.api.release.tests == "required"
    passed = test.result == "passed" if test else not required
    if not (answers and passed):
        found = f"its tests there: {test.result if test else 'none'}" if answers else "it was not deployed there"
        steps = ["api-test"] if answers else ["api-deploy", "api-test"] if required else ["api-deploy"]
        raise CheckFailed(
            f"version {package.version} may not be released: on stage {before} {found}; {stage} is untouched",
            next_step="run " + " and ".join(f"`mlops-steps {step} --stage {before}`" for step in steps),
        )
    return package


def check_same_package(target: ApiDeployerTarget, package: Package, console: Console) -> None:
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


def check_published(target: ApiDeployerTarget, version: str, deadline: Deadline) -> None:
    """Raises :class:`CheckFailed` unless the version is on the API Deployer."""
    with target.within(deadline):
        known = api_services.published_versions(target.deployer, target.service)
    if version not in known:
        raise CheckFailed(
            f"version {version} of API service {target.service} is not published on the API Deployer; "
            f"{target.stage} is untouched",
            next_step=f"published: {', '.join(known[-10:])}" if known else "run `mlops-steps api-package` first",
        )


@contextmanager
def open_service(
    settings: Settings, stage: str, package: Package | None, deadline: Deadline
) -> Iterator[ApiDeployerTarget]:
    """The stage with its connections, closed at the end; asked are the endpoints of the package.

    Raises :class:`ConfigError` before anything is asked, and as :func:`_endpoints` does.
    """
    settings.api.stage(stage)
    with open_api_target(settings, stage, _endpoints(settings, package, deadline)) as target:
        yield target


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
