"""api-release: make a version of the API service live on a stage, verify it, and put things back when that fails."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING

from mlops_steps.delivery.change import Change
from mlops_steps.delivery.exclusive import claimed, infra_lock
from mlops_steps.delivery.judging_services import judge_service_release
from mlops_steps.delivery.phases import Phase
from mlops_steps.delivery.planning import check_plan, chosen_plan, planned_release
from mlops_steps.delivery.policing import check_release
from mlops_steps.delivery.quarantine import check_quarantine
from mlops_steps.delivery.record import load_for
from mlops_steps.delivery.release import all_at_once, interrupted_before, look, release
from mlops_steps.delivery.rollout.canary import Canary, Compare, compare_only
from mlops_steps.delivery.service_gate import check_same_package, open_service, tested_package
from mlops_steps.delivery.targets.api_deployer import ApiDeployerTarget
from mlops_steps.delivery.targets.base import Live
from mlops_steps.delivery.users_calls import users_counted
from mlops_steps.dss.api_deployer import ServiceDeployment
from mlops_steps.dss.api_node import connect_api_node
from mlops_steps.dss.api_traffic import users_traffic
from mlops_steps.errors import MlopsError
from mlops_steps.steps.context import Context
from mlops_steps.system.extras import require
from mlops_steps.system.interrupts import Stop
from mlops_steps.system.pace import pace
from mlops_steps.system.waiting import Deadline

if TYPE_CHECKING:
    from mlops_steps.trials.queries import Query


def run(
    context: Context, stage: str, *, plan: str | None = None, dry_run: bool = False, force: str | None = None
) -> None:
    """Releases the record's version of the API service to the stage.

    ``force`` is the reason for a release during a freeze, or of a version that is quarantined. The version is live when
    the API Deployer says HEALTHY and each API node answers every test query with it. Raises :class:`CheckFailed` when
    the version may not be released (now) or is damaged, or when a gate does not let it through (nothing was changed),
    :class:`NodeError` when there is not one version that is live (nothing was changed), :class:`RolledBack` when the
    release failed and the version before is live again, :class:`ProductionInDoubt` when it is not,
    :class:`Interrupted` after a signal, when the version before is live again.
    """
    settings, report, console = context.settings, context.report, context.console
    infra = settings.api.stage(stage).infra
    record = load_for(settings.record, settings.project)
    with report.case("gate"):
        package = tested_package(settings, record, stage)
        planned = chosen_plan(record, stage, "api service", package, plan)
    check_release(settings, record, stage, context.build, force, report, console, kind="api service", dry_run=dry_run)
    report.set(service=package.service, version=package.version, sha256=package.sha256, infrastructure=infra)
    release_settings = settings.api.release
    if release_settings.strategy == "canary":
        require("gates", "scipy", purpose="a canary")
    deadline = Deadline(release_settings.timeout)
    with (
        infra_lock(settings, f"API {infra}", stage, console),
        open_service(settings, stage, package, deadline) as target,
        ExitStack() as stack,
    ):
        change = Change(target, report, console, record, settings.record, dry_run=dry_run)
        began = False
        try:
            check_quarantine(change, target, package.version, package.project_commit, force, context.build)
            with report.case("archive"):
                check_same_package(target, package, console)
            judge_service_release(change, target, package.version)
            if dry_run:
                live, situation = look(change, package.version, deadline)
                check_plan(planned, planned_release(change, live, situation, package), situation, report)
                if release_settings.strategy == "canary":
                    _canary(context, stack, target, live)
                console.line("dry run: nothing was changed")
                return
            with (
                claimed(target, console, deadline),
                users_counted(target, report, console, context.signals),
            ):
                live, situation = look(change, package.version, deadline)
                check_plan(planned, planned_release(change, live, situation, package), situation, report)
                # What was given up is restored, and what is live stays, whatever the canary's configuration says.
                begins = situation.phase not in (Phase.RESTORING, Phase.LIVE)
                canary = begins and release_settings.strategy == "canary"
                rollout = _canary(context, stack, target, live) if canary else None
                began = True
                if rollout and rollout.settings.only_compares:
                    compare_only(change, rollout, live, situation, context.signals)
                else:
                    how = rollout or all_at_once
                    release(change, live, situation, package.version, deadline, context.signals, how)
        except MlopsError as error:
            if not began and change.pending:
                error.next_step = (
                    f"an earlier release was interrupted, and its restore is pending: run `mlops-steps api-recover "
                    f"--stage {stage}`, then mend this"
                )
            raise
        except Stop as stop:
            if began:
                raise
            raise interrupted_before(change, stop) from None


def _canary(context: Context, stack: ExitStack, target: ApiDeployerTarget, live: Live) -> Canary:
    """The canary of the configuration. Prints what it will do, and raises before anything is changed."""
    # Imported late: a start must be quick, and most releases have no canary.
    from mlops_steps.trials.canary import Comparison, planned, records_of
    from mlops_steps.trials.queries import check_endpoints, load_queries

    settings, api = context.settings, context.settings.api
    path = api.release.canary.records or api.test.queries
    queries = load_queries(path, target.service) if path else []
    check_endpoints(queries, target.endpoints, target.service)
    records = records_of(queries, target.endpoints)

    def start(deployment: ServiceDeployment, before: str, new: str) -> Compare:
        # A failed call counts: it is not made again.
        connect = partial(connect_api_node, settings, service=deployment.deployed, retries=0)
        known = target.nodes.settings_of(deployment)
        nodes = [stack.enter_context(connect(node=node)) for node in known]
        traffic = partial(users_traffic, settings, known, deployment.deployed)
        return Comparison(nodes, records, api.release.canary, live=before, new=new, traffic=traffic).step

    canary = Canary(target, api.release.canary, start)
    canary.check(live)
    if live.version or (live.deployment and live.deployment.sharing):
        deployment = live.deployment
        rate = _rate(target, deployment, records) if isinstance(deployment, ServiceDeployment) else None
        for line in planned(api.release.canary, rate):
            context.console.line(f"canary: {line}")
    return canary


def _rate(target: ApiDeployerTarget, deployment: ServiceDeployment, records: Sequence[Query]) -> float | None:
    """How many pairs of calls a second are answered now; a few calls of the live version tell. ``None``: not known."""
    from mlops_steps.trials.canary import rate_seen

    settings, service = target.settings, deployment.deployed
    with ExitStack() as stack:
        nodes = [
            stack.enter_context(connect_api_node(settings, service=service, node=node, retries=0))
            for node in target.nodes.settings_of(deployment)
        ]
        limit = Deadline(min(settings.api.call_timeout, pace().look))
        return rate_seen(nodes, records, settings.api.release.canary, limit)
