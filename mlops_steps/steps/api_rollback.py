"""api-rollback: go back to an earlier version of the API service, on purpose."""

from __future__ import annotations

from mlops_steps.delivery.change import Change
from mlops_steps.delivery.exclusive import claimed, infra_lock
from mlops_steps.delivery.going_back import go_back
from mlops_steps.delivery.record import load_for
from mlops_steps.delivery.service_gate import open_service, recorded_package
from mlops_steps.delivery.users_calls import users_counted
from mlops_steps.dss import api_services
from mlops_steps.steps.context import Context
from mlops_steps.system.waiting import Deadline


def run(context: Context, stage: str, *, to: str | None = None, allow_again: bool = False) -> None:
    """Makes an earlier version live and verified: ``to``, or the one that was live before.

    ``allow_again``: what is rolled back is not at fault, so it is not quarantined.

    Raises :class:`CheckFailed` when there is no such version (nothing was changed), :class:`ProductionInDoubt` when the
    rollback did not succeed.
    """
    settings, report, console = context.settings, context.report, context.console
    infra = settings.api.stage(stage).infra
    report.set(service=settings.api.required_service(), infrastructure=infra)
    deadline = Deadline(settings.api.release.rollback_timeout)
    with infra_lock(settings, f"API {infra}", stage, console):
        record = load_for(settings.record, settings.project)
        with (
            open_service(settings, stage, recorded_package(settings, record), deadline) as target,
            claimed(target, console, deadline),
            users_counted(target, report, console, context.signals),
        ):
            change = Change(target, report, console, record, settings.record, blames=not allow_again)
            with target.within(deadline):
                published = api_services.published_versions(target.deployer, target.service)
            go_back(change, to, published, deadline, context.signals)
