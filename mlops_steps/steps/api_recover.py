"""api-recover: after an abort or a crash of `api-release`, finish the restore that is pending, or find that none is."""

from __future__ import annotations

from mlops_steps.delivery.change import Change
from mlops_steps.delivery.exclusive import infra_lock
from mlops_steps.delivery.record import load_for
from mlops_steps.delivery.recovery import recover
from mlops_steps.delivery.service_gate import open_service, recorded_package
from mlops_steps.steps.context import Context
from mlops_steps.system.waiting import Deadline


def run(context: Context, stage: str) -> None:
    """Ends with the API service verified on the stage, as `recover` does for a project.

    Waits for a process that still restores, ``api.release.rollback_timeout`` at most. Without a record the API
    Deployer's history and the API nodes decide. Raises :class:`ProductionInDoubt` when the restore does not succeed,
    :class:`CheckFailed` when the nodes do not say what to restore, :class:`NodeError` when they contradict each other.
    """
    settings, report, console = context.settings, context.report, context.console
    infra, limit = settings.api.stage(stage).infra, settings.api.release.rollback_timeout
    report.set(service=settings.api.required_service(), infrastructure=infra)
    waiting = Deadline(limit)
    with infra_lock(settings, f"API {infra}", stage, console, wait=limit):
        # The record is read only now: the process that had the lock may have written it.
        package = recorded_package(settings, load_for(settings.record, settings.project))
        with open_service(settings, stage, package, Deadline(limit)) as target:
            recover(Change.of(target, report, console), target, waiting, context.signals)
