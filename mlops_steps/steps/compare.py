"""compare: does the node of a stage have what the bundle needs? One test case for each need."""

from __future__ import annotations

from contextlib import nullcontext

from mlops_steps.config import Settings
from mlops_steps.config.bundle_ids import valid_bundle_id
from mlops_steps.delivery import gate
from mlops_steps.delivery.record import Bundle, load_for
from mlops_steps.delivery.targets.archive_file import archive_file
from mlops_steps.delivery.targets.bundle_target import BundleTarget
from mlops_steps.delivery.targets.opening import open_target
from mlops_steps.dss import bundles
from mlops_steps.errors import CheckFailed, ConfigError
from mlops_steps.needs.bundle import read_needs
from mlops_steps.needs.check import Place, check_needs
from mlops_steps.needs.model import BundleNeeds
from mlops_steps.steps.context import Context
from mlops_steps.system.console import Console
from mlops_steps.system.waiting import Deadline


def run(context: Context, stage: str, *, bundle: str | None = None, with_: str | None = None) -> None:
    """Compares the record's bundle, or ``bundle``, with the node of the stage, and with the stage ``with_``.

    Changes nothing. Raises :class:`CheckFailed` when the node lacks something, :class:`NodeError` when it cannot be
    asked.
    """
    settings, report, console = context.settings, context.report, context.console
    infra = settings.stage(stage).infra
    if with_ is not None and settings.stage(with_).name == stage:
        raise ConfigError(f"{stage} cannot be compared with itself")
    wanted = _wanted(settings, bundle)
    report.set(bundle=wanted if isinstance(wanted, str) else wanted.id, infrastructure=infra)
    other_target = open_target(settings, with_) if with_ else nullcontext()
    with open_target(settings, stage) as target, other_target as other:
        with report.case("archive"):
            needs = _needs(target, wanted, console)
        check_needs(
            needs,
            _place(target),
            settings.compare,
            report,
            console,
            Deadline(settings.compare.timeout),
            other=_place(other) if other else None,
        )


def _wanted(settings: Settings, bundle: str | None) -> Bundle | str:
    """The record's bundle, or the id of another one."""
    record = load_for(settings.record, settings.project)
    if record.bundle and bundle in (None, record.bundle.id):
        return record.bundle
    if bundle is None:
        raise CheckFailed(
            f"{settings.record}: there is no bundle to compare",
            next_step="run `mlops-steps package` first, or name a published bundle with --bundle",
        )
    return valid_bundle_id(bundle)


def _needs(target: BundleTarget, wanted: Bundle | str, console: Console) -> BundleNeeds:
    limit = target.settings.package.timeout
    if isinstance(wanted, Bundle):
        return gate.needs_of_same_archive(target, wanted, console, limit)
    with archive_file(target.settings) as path, console.waiting(f"downloading the archive of bundle {wanted}"):
        bundles.download(
            target.deployer,
            target.project,
            wanted,
            Deadline(limit),
            into=path,
            check=lambda path: bundles.check_archive(path, target.project, wanted),
            exported=target.exported,
        )
        return read_needs(path, wanted, target.project)


def _place(target: BundleTarget) -> Place:
    with target.within(Deadline(target.settings.compare.timeout)):
        deployment = target.find_deployment()
    return Place(target.stage, target.node, target.deployed_key, deployment)
