"""api-package: make a package of the API service, publish it to the API Deployer, check its archive, record it."""

from __future__ import annotations

import tempfile
from pathlib import Path

from mlops_steps.config import Settings
from mlops_steps.config.bundle_ids import valid_bundle_id
from mlops_steps.delivery import release_notes
from mlops_steps.delivery.record import Package, ReleaseRecord, load_for
from mlops_steps.delivery.version_ids import version_id
from mlops_steps.dss import api_services, bundles
from mlops_steps.dss.downloads import Archive
from mlops_steps.dss.session import Dss, connect
from mlops_steps.errors import CheckFailed, ConfigError
from mlops_steps.steps.context import Context
from mlops_steps.system.console import Console
from mlops_steps.system.waiting import Deadline


def run(context: Context, *, version: str | None = None) -> None:
    """Packages the service as it is on the Design node; again for the same commit and build, it makes nothing twice.

    ``version`` replaces the id that ``package.bundle_id`` gives. Raises :class:`CheckFailed` when the archive is not
    what it should be, :class:`NodeError` when a node refuses.
    """
    settings, report, console, build = context.settings, context.report, context.console, context.build
    service = settings.api.required_service()
    record = load_for(settings.record, settings.project)
    deadline = Deadline(settings.api.package_timeout)
    with connect(settings, settings.node("design")) as design, connect(settings, settings.deployer()) as deployer:
        with design.within(deadline), deployer.within(deadline):
            packaged = api_services.packages(design, settings.project, service)  # a service that is not there ends here
            endpoints = api_services.endpoints(design, settings.project, service)
            commits = bundles.project_commits(design, settings.project)
            name = valid_bundle_id(version or version_id(settings, build, commits))
            commit = commits[0]["id"] if commits else None
            report.set(service=service, version=name, project_commit=commit, commit=build.commit)
            with report.case("package"):
                if name in packaged:
                    console.line(f"package {name} of API service {service} was made already")
                else:
                    notes = "" if settings.package.release_notes == "off" else release_notes.write(commits, None, build)
                    with console.waiting(f"making package {name} of API service {service}"):
                        api_services.create_package(design, settings.project, service, name, notes, deadline)
            with report.case("publish"):
                if name in api_services.published_versions(deployer, service):
                    console.line(f"version {name} of API service {service} was published already")
                else:
                    with console.waiting(f"publishing version {name} of API service {service} to the API Deployer"):
                        api_services.publish(design, deployer, settings.project, service, name, deadline)
            with report.case("archive"):
                archive = _check(settings, deployer, service, name, deadline, console)
                _same_as_before(record, service, name, archive)
    report.set(sha256=archive.sha256, size=str(archive.size))
    found = Package(service=service, version=name, sha256=archive.sha256, size=archive.size, project_commit=commit)
    found.endpoints = [endpoint.id for endpoint in endpoints]
    record.begin_package(found)
    if record.bundle is None:
        record.build, record.project_commit = build, commit
    record.save(settings.record)
    console.good(
        f"version {name} of API service {service}: {archive.size} bytes, SHA-256 {archive.sha256}; "
        f"record in {settings.record}"
    )


def _check(
    settings: Settings, deployer: Dss, service: str, version: str, deadline: Deadline, console: Console
) -> Archive:
    """Downloads the published archive into a private temporary file, and checks it."""
    settings.record.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=settings.record.parent, prefix="package-") as folder:
        named: list[bool] = []
        with console.waiting(f"downloading version {version} of API service {service}") as wait:
            try:
                archive = api_services.download(
                    deployer,
                    service,
                    version,
                    deadline,
                    into=Path(folder, "package.zip"),
                    on_bytes=lambda size: wait.state(f"{size // 2**20} MiB"),
                    check=lambda path: named.append(
                        api_services.check_archive(path, settings.project, service, version)
                    ),
                )
            except OSError as error:
                raise ConfigError(f"cannot keep the archive in {folder}: {error.strerror}") from None
    if not named[-1]:
        console.warn(f"the archive of version {version} does not say which service it is of: only its zip was checked")
    return archive


def _is(package: Package, service: str, version: str) -> bool:
    return (package.service, package.version) == (service, version)


def _same_as_before(record: ReleaseRecord, service: str, version: str, archive: Archive) -> None:
    known = record.package
    if known and _is(known, service, version) and known.sha256 != archive.sha256:
        raise CheckFailed(
            f"version {version} of API service {service}: its archive on the API Deployer is not the one that this "
            "build made",
            details=[f"made:     {known.sha256}", f"deployer: {archive.sha256}"],
            next_step="find out who replaced it; a new build makes a new version",
        )
