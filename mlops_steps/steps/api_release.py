"""api-release: make a version of the API service live on a stage, verify it, and put things back when that fails."""

from __future__ import annotations

from mlops_steps.delivery.change import Change
from mlops_steps.delivery.exclusive import claimed, infra_lock
from mlops_steps.delivery.policing import check_release
from mlops_steps.delivery.record import load_for
from mlops_steps.delivery.release import interrupted_before, look, release
from mlops_steps.delivery.service_gate import check_same_package, open_service, tested_package
from mlops_steps.steps.context import Context
from mlops_steps.system.interrupts import Stop
from mlops_steps.system.waiting import Deadline


def run(context: Context, stage: str, *, dry_run: bool = False, force: str | None = None) -> None:
    """Releases the record's version of the API service to the stage.

    ``force`` is the reason for a release during a freeze. The version is live when the API Deployer says HEALTHY and
    each API node answers every test query with it. Raises :class:`CheckFailed` when the version may not be released
    (now) or is damaged (nothing was changed), :class:`NodeError` when there is not one version that is live (nothing
    was changed), :class:`RolledBack` when the release failed and the version before is live again,
    :class:`ProductionInDoubt` when it is not, :class:`Interrupted` after a signal, when the version before is live
    again.
    """
    settings, report, console = context.settings, context.report, context.console
    infra = settings.api.stage(stage).infra
    record = load_for(settings.record, settings.project)
    with report.case("gate"):
        package = tested_package(settings, record, stage)
    check_release(settings, record, stage, context.build, force, report, console, kind="api service", dry_run=dry_run)
    report.set(service=package.service, version=package.version, sha256=package.sha256, infrastructure=infra)
    deadline = Deadline(settings.api.release.timeout)
    with (
        infra_lock(settings, f"API {infra}", stage, console),
        open_service(settings, stage, package, deadline) as target,
    ):
        change = Change(target, report, console, record, settings.record, dry_run=dry_run)
        began = False
        try:
            with report.case("archive"):
                check_same_package(target, package, console)
            if dry_run:
                look(change, package.version, deadline)
                console.line("dry run: nothing was changed")
                return
            with claimed(target, console, deadline):
                live, situation = look(change, package.version, deadline)
                began = True
                release(change, live, situation, package.version, deadline, context.signals)
        except Stop as stop:
            if began:
                raise
            raise interrupted_before(change, stop) from None
