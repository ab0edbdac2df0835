"""api-plan: exactly what a release of the API service to a stage would do, and what is in the way. Changes nothing."""

from __future__ import annotations

from mlops_steps.delivery.change import Change
from mlops_steps.delivery.judging_services import judge_service_release
from mlops_steps.delivery.plan import Consequences, Plan
from mlops_steps.delivery.planning import in_words, keep_plan, planned_release
from mlops_steps.delivery.policing import approval_in_words, refusals
from mlops_steps.delivery.quarantine import quarantined
from mlops_steps.delivery.record import load_for
from mlops_steps.delivery.release import look
from mlops_steps.delivery.service_gate import check_same_package, open_service, tested_package
from mlops_steps.steps.context import Context
from mlops_steps.system.waiting import Deadline


def run(context: Context, stage: str, *, out: str | None = None) -> None:
    """Writes the plan to ``out`` as JSON, notes it in the release record for its approval, and prints it.

    It makes the checks that `api-release` makes before its first change, and raises what that raises. What may be over
    until then, such as a freeze, only stands in the plan.
    """
    settings, report, console = context.settings, context.report, context.console
    record = load_for(settings.record, settings.project)
    with report.case("gate"):
        package = tested_package(settings, record, stage)
    refused = refusals(settings, record, stage, context.build, "api service")
    infra = settings.api.stage(stage).infra
    report.set(service=package.service, version=package.version, sha256=package.sha256, infrastructure=infra)
    deadline = Deadline(settings.api.release.timeout)
    with open_service(settings, stage, package, deadline) as target:
        change = Change(target, report, console, record, settings.record, dry_run=True)
        if note := quarantined(change, target, package.version, package.project_commit):
            refused = [*refused, f"version {package.version} is quarantined: {note}"]
        with report.case("archive"):
            check_same_package(target, package, console)
        judge_service_release(change, target, package.version)
        live, situation = look(change, package.version, deadline)
        with report.case("plan") as case:
            release = planned_release(change, live, situation, package)
            follows = Consequences() if release.empty else Consequences(approval=approval_in_words(settings))
            plan = Plan.of(release, follows, refused)
            keep_plan(settings, plan, out, report, console)
            case.stdout = "\n".join(in_words(plan))
    console.result(case.stdout)
