"""What a rollback does not bring back is saved before a release: by a scenario of the project, where it names one."""

from __future__ import annotations

from mlops_steps.delivery.change import Change
from mlops_steps.delivery.targets.base import Live
from mlops_steps.delivery.targets.bundle_target import BundleTarget
from mlops_steps.errors import CheckFailed
from mlops_steps.system.waiting import Deadline


def take_snapshot(change: Change, live: Live, deadline: Deadline) -> None:
    """Runs the snapshot scenario of the bundle that is live, before anything is changed.

    Raises :class:`CheckFailed` when it does not succeed, :class:`NodeError`; then nothing was changed.
    """
    target = change.target
    scenario = target.settings.release.snapshot_scenario
    if scenario is None or live.version is None or not isinstance(target, BundleTarget):
        return
    what = f"snapshot scenario {scenario} on {target.infra}"
    with change.report.case("snapshot") as case, change.console.waiting(what) as wait, target.within(deadline):
        found = target.take_snapshot(max(deadline.remaining, 1.0), wait.state)
        case.stdout = found.log
        if not found.passed:
            raise CheckFailed(
                f"{what}: {found.outcome}: {found.message}; {target.stage} is untouched",
                details=found.log.splitlines()[-15:],
            )
        change.console.line(f"{what}: {found.outcome}")


def check_consent(settings_ask: str, has_plan: bool, stage: str) -> None:
    """Raises :class:`CheckFailed` where a release needs consent to what a rollback does not undo, and has no plan."""
    if settings_ask == "consent" and not has_plan:
        raise CheckFailed(
            f"release.no_way_back asks for consent to what a rollback does not undo; {stage} is untouched",
            next_step=f"run `mlops-steps plan --stage {stage}`, which says what that is, and have the plan approved, "
            "or give it with --plan",
        )
