"""compare: does the node of a stage have what the bundle needs? One test case for each need."""

from __future__ import annotations

from contextlib import ExitStack

from mlops_steps.config import Settings
from mlops_steps.config.bundle_ids import valid_bundle_id
from mlops_steps.delivery import gate
from mlops_steps.delivery.record import Bundle, load_for
from mlops_steps.delivery.targets.archive_file import archive_file
from mlops_steps.delivery.targets.bundle_target import BundleTarget
from mlops_steps.delivery.targets.opening import StageTarget, open_target
from mlops_steps.dss import bundles
from mlops_steps.errors import CheckFailed, ConfigError, MlopsError
from mlops_steps.needs.bundle import read_needs
from mlops_steps.needs.check import Place, check_needs
from mlops_steps.needs.model import BundleNeeds
from mlops_steps.report.model import Case, Outcome, Report
from mlops_steps.steps.context import Context
from mlops_steps.system.console import Console
from mlops_steps.system.waiting import Deadline


def run(context: Context, stage: str | None, *, bundle: str | None = None, with_: str | None = None) -> None:
    """Compares the record's bundle, or ``bundle``, with the node of the stage, and with the stage ``with_``.

    Without a stage it is a forecast for all of them, of one download of the archive: what would stop a deployment or a
    release, before anything is deployed. Changes nothing. Raises :class:`CheckFailed` when a node lacks something,
    :class:`NodeError` when one cannot be asked.
    """
    settings, report, console = context.settings, context.report, context.console
    stages = [settings.stage(stage).name] if stage else [one.name for one in settings.stages()]
    if not stages:
        raise ConfigError("no stage is configured: give a node an infrastructure (nodes.<name>.infra)")
    if with_ is not None and settings.stage(with_).name == stage:
        raise ConfigError(f"{stage} cannot be compared with itself")
    wanted = _wanted(settings, bundle)
    report.set(
        bundle=wanted if isinstance(wanted, str) else wanted.id,
        infrastructure=settings.stage(stage).infra if stage else None,
    )
    with ExitStack() as stack:
        targets = [
            stack.enter_context(open_target(settings, name, str(unit.infra)))
            for name in stages
            for unit in settings.units(name)
        ]
        other = stack.enter_context(open_target(settings, with_)) if with_ else None
        with report.case("archive"):
            needs = _needs(targets[0], wanted, console)
        if stage and len(targets) == 1:
            _compare(targets[0], needs, report, console, other)
        else:
            _forecast(targets, needs, report, console, other)


def _compare(
    target: BundleTarget, needs: BundleNeeds, report: Report, console: Console, other: BundleTarget | None
) -> None:
    settings = target.settings.compare
    limit = Deadline(settings.timeout)
    there = _place(other) if other and other.stage != target.stage else None
    check_needs(needs, _place(target), settings, report, console, limit, other=there)


def _forecast(
    targets: list[StageTarget], needs: BundleNeeds, report: Report, console: Console, other: BundleTarget | None
) -> None:
    """Each by itself: one that lacks something, or does not answer, does not keep the others from being looked at."""
    errors: list[MlopsError] = []
    for target in targets:
        console.line(f"{target.stage}, {target.infra}:")
        of_stage = Report(report.project, report.step, target.stage, place=target.unit.place)
        try:
            _compare(target, needs, of_stage, console, other)
        except MlopsError as error:
            errors.append(error)
            console.failure(error)
            if not error.is_reported:
                of_stage.add(Case("compare", Outcome.ERROR, error.message, "\n".join(error.lines())))
        report.extend(of_stage.cases)
    if errors:
        worst = max(errors, key=lambda error: error.exit_code)
        if len(errors) > 1:
            worst.details = tuple(error.message for error in errors if error is not worst)
        worst.is_reported = True
        raise worst


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
        deployment = target.planned()
    return Place(target.stage, target.node, target.deployed_key, deployment)
