"""What is required before a bundle goes to a stage: it was tested on the stage before, and its archive is unchanged."""

from __future__ import annotations

from pathlib import Path

from mlops_steps.config import Settings
from mlops_steps.delivery.record import Bundle, ReleaseRecord
from mlops_steps.delivery.rehearsal import is_rehearsed
from mlops_steps.delivery.targets.archive_file import archive_file
from mlops_steps.delivery.targets.bundle_target import BundleTarget
from mlops_steps.dss import bundles
from mlops_steps.dss.downloads import Archive
from mlops_steps.errors import CheckFailed, ConfigError
from mlops_steps.needs.bundle import read_needs
from mlops_steps.needs.model import BundleNeeds
from mlops_steps.system.console import Console
from mlops_steps.system.waiting import Deadline


def tested_bundle(settings: Settings, record: ReleaseRecord, stage: str) -> Bundle:
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
    if earlier.rollback_rehearsal and not is_rehearsed(record, before, record.bundle.id):
        raise CheckFailed(
            f"the way back from bundle {record.bundle.id} was not rehearsed on stage {before}; {stage} is untouched",
            next_step=f"run `mlops-steps deploy --stage {before}` and `mlops-steps test --stage {before}`",
        )
    return record.bundle


def check_same_archive(
    target: BundleTarget, bundle: Bundle, console: Console, limit: float, keep: Path | None = None
) -> None:
    """Raises :class:`CheckFailed` unless the published archive is the one that was packaged and tested.

    With ``keep`` the archive is left in that file.
    """
    with console.waiting(f"checking the archive of bundle {bundle.id}") as wait:
        archive = bundles.published_archive(
            target.deployer,
            target.project,
            bundle.id,
            Archive(bundle.sha256, bundle.size),
            Deadline(limit),
            target.settings.record.parent,
            on_bytes=lambda size: wait.state(f"{100 * size // max(bundle.size, 1)} %"),
            keep=keep,
            exported=target.exported,
        )
    target.checked[bundle.id] = (bundle.sha256, bundle.size)
    if archive.sha256 != bundle.sha256:
        raise CheckFailed(
            f"bundle {bundle.id}: the archive on the Project Deployer is not the one that was tested; "
            f"{target.stage} is untouched",
            details=[f"tested:   {bundle.sha256}", f"deployer: {archive.sha256}"],
            next_step="find out who replaced it, and package again",
        )


def needs_of_same_archive(target: BundleTarget, bundle: Bundle, console: Console, limit: float) -> BundleNeeds:
    """Checks the published archive (:func:`check_same_archive`), and reads from that download what the bundle needs."""
    with archive_file(target.settings) as path:
        check_same_archive(target, bundle, console, limit, keep=path)
        return read_needs(path, bundle.id, target.project)
