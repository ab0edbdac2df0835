"""rollback: go back to an earlier bundle, on purpose."""

from __future__ import annotations

from mlops_steps.config.bundle_ids import valid_bundle_id
from mlops_steps.delivery import evidence
from mlops_steps.delivery.change import Change, previous_of
from mlops_steps.delivery.exclusive import claimed, stage_lock
from mlops_steps.delivery.record import load_for
from mlops_steps.delivery.restore import restore
from mlops_steps.delivery.targets.base import Live
from mlops_steps.delivery.targets.project_deployer import open_target
from mlops_steps.dss import bundles
from mlops_steps.errors import CheckFailed
from mlops_steps.steps.context import Context
from mlops_steps.system.waiting import Deadline


def run(context: Context, stage: str, *, to: str | None = None) -> None:
    """Makes an earlier bundle live, healthy and smoke-tested: ``to``, or the one that was live before.

    Raises :class:`CheckFailed` when there is no such bundle (nothing was changed), :class:`ProductionInDoubt` when the
    rollback did not succeed.
    """
    settings, report, console = context.settings, context.report, context.console
    record = load_for(settings.record, settings.project)
    report.set(infrastructure=settings.stage(stage).infra)
    deadline = Deadline(settings.release.rollback_timeout)
    with (
        stage_lock(settings, stage, console),
        open_target(settings, stage) as target,
        claimed(target, console, deadline),
    ):
        change = Change(target, report, console, record, settings.record)
        with target.within(deadline), report.case("find"):
            live = target.observe()
            bundle = _find(change, live, to, bundles.published_bundles(target.deployer, target.project))
            done = live.is_healthy(bundle) and not change.pending and evidence.verified(target, live)
            # An attempt that was interrupted has made it live already; what it came from is in the deployer's evidence.
            left = evidence.bundle_before(target, live, bundle) if live.bundle == bundle else live.bundle
        report.set(bundle=bundle, previous_bundle=left)
        if done:
            console.good(f"{live}: nothing to do")
            return
        console.line(f"live on {stage} now: {live}")
        change.failed, change.because = f"the rollback to bundle {bundle} did not succeed", "asked for"
        # `recover` must not take what is live for somebody else's when this rollback is interrupted.
        change.go_back(left, live, previous_of(live, bundle, enabled=True), f"rollback from bundle {left}")
        with context.signals.handled() as signals, signals.shielded():
            now = restore(change, f"rollback from bundle {left}")
        console.good(f"rolled back: {now}, verified")


def _find(change: Change, live: Live, to: str | None, published: list[str]) -> str:
    target = change.target
    if live.deployment is None:
        raise CheckFailed(f"{target.stage}: project {target.settings.project} has no deployment on {target.infra}")
    bundle = (
        valid_bundle_id(to)
        if to
        else _recorded(change, live) or evidence.bundle_before(target, live, live.bundle or "")
    )
    if bundle is None:
        raise CheckFailed(
            f"{target.stage}: neither the record nor the deployer's history names an earlier bundle",
            live=str(live),
            next_step=f"choose one with --to: {_newest(published)}",
        )
    if bundle not in published:
        raise CheckFailed(
            f"bundle {bundle} is not on the Project Deployer; nothing was changed",
            live=str(live),
            next_step=f"choose one with --to: {_newest(published)}",
        )
    return bundle


def _recorded(change: Change, live: Live) -> str | None:
    """The bundle that the record says was live before, when the record is about what is live now."""
    bundle, before = change.record.bundle, change.noted_before
    return before if bundle and bundle.id == live.bundle != before else None


def _newest(published: list[str]) -> str:
    return ", ".join(sorted(published, reverse=True)[:10]) or "none is published"
