"""package: export the bundle, publish it to the Project Deployer, check its archive, begin the release record.

Where no stage uses the deployer, the archive stays on the Design node, and is read there.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlops_steps.config import Settings
from mlops_steps.config.bundle_ids import valid_bundle_id
from mlops_steps.delivery import release_notes
from mlops_steps.delivery.attestation import Statements
from mlops_steps.delivery.record import Build, Bundle, ReleaseRecord, load_for
from mlops_steps.delivery.unit import now
from mlops_steps.delivery.version_ids import version_id
from mlops_steps.dss import automation, bundles, deployments
from mlops_steps.dss.downloads import Archive
from mlops_steps.dss.session import Dss, connect
from mlops_steps.errors import CheckFailed, ConfigError, MlopsError
from mlops_steps.report.model import Case, Outcome
from mlops_steps.steps.context import Context
from mlops_steps.system.console import Console
from mlops_steps.system.pace import pace
from mlops_steps.system.text import one_line
from mlops_steps.system.waiting import Deadline


def run(context: Context, *, bundle_id: str | None = None) -> None:
    """Packages the project as it is on the Design node; again for the same commit and build, it makes nothing twice.

    ``bundle_id`` replaces the id that ``package.bundle_id`` gives. Raises :class:`CheckFailed` when the archive is not
    what it should be, :class:`NodeError` when a node refuses.
    """
    settings, report, console, build = context.settings, context.report, context.console, context.build
    record = load_for(settings.record, settings.project)
    statements = Statements(settings, console, build)
    deadline = Deadline(settings.package.timeout)
    with connect(settings, settings.node("design")) as design, connect(settings, settings.archives()) as deployer:
        with design.within(deadline), deployer.within(deadline):
            exported = bundles.exported_bundles(design, settings.project)  # a project that is not there ends here
            commits = bundles.project_commits(design, settings.project)
            released = _released(settings, design, deployer)
            name = valid_bundle_id(bundle_id or version_id(settings, build, commits))
            report.set(bundle=name, project_commit=commits[0]["id"] if commits else None, commit=build.commit)
            with report.case("export"):
                if name in exported:
                    console.line(f"bundle {name} was exported already")
                else:
                    _export(settings, design, name, commits, released, build, deadline, console)
            if settings.uses_deployer:
                with report.case("publish"):
                    published = _publish(settings, design, deployer, name, deadline, console)
            else:
                published = True
                report.add(Case("publish", Outcome.SKIPPED, "no stage uses the Project Deployer"))
            with report.case("archive"):
                archive, exported_on = _check(settings, deployer, name, deadline, console)
    _same_as_before(record, name, archive)
    report.set(sha256=archive.sha256, size=str(archive.size))
    bundle = Bundle(id=name, sha256=archive.sha256, size=archive.size, created=exported_on or now())
    bundle.replaces = released.bundle
    if commits:
        bundle.changes = [one_line(line, 200) for line in release_notes.changes(commits, released.commit)]
    if record.bundle is None or record.bundle.id != bundle.id:
        statements.forget()
    record.begin(bundle)
    record.build, record.project_commit = build, commits[0]["id"] if commits else None
    record.save(settings.record)
    statements.packaged(record, design, deployer, made=published and name not in exported)
    console.good(f"bundle {name}: {archive.size} bytes, SHA-256 {archive.sha256}; record in {settings.record}")


def _export(
    settings: Settings,
    design: Dss,
    name: str,
    commits: list[dict[str, str]],
    released: Released,
    build: Build,
    deadline: Deadline,
    console: Console,
) -> None:
    text = "" if settings.package.release_notes == "off" else release_notes.write(commits, released.commit, build)
    with console.waiting(f"exporting bundle {name} of project {settings.project}"):
        bundles.export(design, settings.project, name, text, deadline)


def _publish(settings: Settings, design: Dss, deployer: Dss, name: str, deadline: Deadline, console: Console) -> bool:
    """Publishes the bundle. Whether it was not published already."""
    if name in bundles.published_bundles(deployer, settings.project):
        console.line(f"bundle {name} was published already")
        return False
    with console.waiting(f"publishing bundle {name} to the Project Deployer"):
        bundles.publish(design, deployer, settings.project, name, deadline)
    return True


def _check(
    settings: Settings, deployer: Dss, name: str, deadline: Deadline, console: Console
) -> tuple[Archive, str | None]:
    """Downloads the published archive into a private temporary file, checks it, and reads when it was exported."""
    manifest: dict[str, Any] = {}
    settings.record.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=settings.record.parent, prefix="bundle-") as folder:
        path = Path(folder) / "bundle.zip"
        with console.waiting(f"downloading the archive of bundle {name}") as wait:
            try:
                archive = bundles.download(
                    deployer,
                    settings.project,
                    name,
                    deadline,
                    into=path,
                    on_bytes=lambda size: wait.state(f"{size // 2**20} MiB"),
                    check=lambda path: manifest.update(bundles.check_archive(path, settings.project, name)),
                    exported=not settings.uses_deployer,
                )
            except OSError as error:
                raise ConfigError(f"cannot keep the archive in {folder}: {error.strerror}") from None
    return archive, bundles.exported_on(manifest)


def _same_as_before(record: ReleaseRecord, name: str, archive: Archive) -> None:
    if record.bundle and record.bundle.id == name and record.bundle.sha256 != archive.sha256:
        raise CheckFailed(
            f"bundle {name}: its archive on the Project Deployer is not the one that this build made",
            details=[f"made:     {record.bundle.sha256}", f"deployer: {archive.sha256}"],
            next_step="find out who replaced it; a new build makes a new bundle",
        )


@dataclass(frozen=True)
class Released:
    """What the release stage has: a bundle ("" for none, ``None`` when that is not known), of a commit."""

    bundle: str | None = None
    commit: str | None = None


def _released(settings: Settings, design: Dss, deployer: Dss) -> Released:
    bundle = None
    try:
        stage = settings.release_stage()
        if stage.is_direct:
            with connect(settings, stage) as node, node.within(Deadline(pace().look)):
                bundle = automation.active_bundle(node, settings.project) or ""
            return Released(bundle, _commit_of(design, settings.project, bundle))
        found = deployments.find(
            deployer, settings.project, str(stage.infra), stage.deployment, settings.deployment_id(stage)
        )
        bundle = str(found.version or "") if found else ""
        return Released(bundle, _commit_of(design, settings.project, bundle))
    except MlopsError:
        return Released(bundle)


def _commit_of(design: Dss, project: str, bundle: str) -> str | None:
    text = bundles.release_notes(design, project, bundle) if bundle else ""
    return release_notes.origin(text).commit
