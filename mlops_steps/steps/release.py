"""release: make the tested bundle live on a stage, smoke-test it there, and put things back when that fails."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from mlops_steps.delivery import evidence, gate
from mlops_steps.delivery.attestation import Statements, check_provenance, trusted_key
from mlops_steps.delivery.change import Change
from mlops_steps.delivery.evidence import Situation
from mlops_steps.delivery.exclusive import claimed, stage_lock
from mlops_steps.delivery.phases import Phase
from mlops_steps.delivery.record import Bundle, load_for
from mlops_steps.delivery.restore import put_back
from mlops_steps.delivery.targets.base import Live
from mlops_steps.delivery.targets.project_deployer import ProjectDeployerTarget, open_target
from mlops_steps.delivery.verify import verify
from mlops_steps.errors import CheckFailed, InternalError, Interrupted, MlopsError
from mlops_steps.needs.check import Place, check_needs
from mlops_steps.needs.model import BundleNeeds
from mlops_steps.steps.context import Context
from mlops_steps.system.console import Console
from mlops_steps.system.interrupts import Interrupts, Stop
from mlops_steps.system.waiting import Deadline


def run(context: Context, stage: str, *, dry_run: bool = False) -> None:
    """Releases the record's bundle to the stage.

    Raises :class:`CheckFailed` when the bundle may not be released or is damaged, or when the node lacks what it needs
    (nothing was changed),
    :class:`NodeError` when the nodes contradict each other about what is live (nothing was changed),
    :class:`RolledBack` when the release failed and the previous bundle is live again, :class:`ProductionInDoubt` when
    it is not, :class:`Interrupted` after a signal, when the previous bundle is live again.
    """
    settings, report, console = context.settings, context.report, context.console
    record = load_for(settings.record, settings.project)
    statements, key = Statements(settings, console, context.build), trusted_key(settings)
    with report.case("gate"):
        bundle = gate.tested_bundle(settings, record, stage)
    report.set(bundle=bundle.id, sha256=bundle.sha256, infrastructure=settings.stage(stage).infra)
    with stage_lock(settings, stage, console), open_target(settings, stage) as target:
        change = Change(target, report, console, record, settings.record, dry_run=dry_run)
        began = False
        try:
            with report.case("archive"):
                needs = _check_archive(target, bundle, console)
            if key is not None:
                with report.case("provenance"):
                    check_provenance(target, bundle, key, console)
            deadline = Deadline(settings.release.timeout)
            if dry_run:
                live, situation = _look(change, bundle.id, deadline)
                _compare(change, target, needs, live, situation, deadline)
                console.line("dry run: nothing was changed")
                return
            with claimed(target, console, deadline):
                live, situation = _look(change, bundle.id, deadline)
                _compare(change, target, needs, live, situation, deadline)
                began = True
                with _stated(statements, target, bundle, context.signals):
                    _release(change, live, situation, bundle.id, deadline, context.signals)
        except Stop as stop:
            if began:
                raise
            raise _before_any_change(change, stop) from None


def _check_archive(target: ProjectDeployerTarget, bundle: Bundle, console: Console) -> BundleNeeds | None:
    """Checks that the archive is the one that was tested; reads from it what the bundle needs, if that is asked for."""
    limit = target.settings.package.timeout
    if target.settings.compare.at_release == "off":
        gate.check_same_archive(target, bundle, console, limit)
        return None
    return gate.needs_of_same_archive(target, bundle, console, limit)


def _compare(
    change: Change,
    target: ProjectDeployerTarget,
    needs: BundleNeeds | None,
    live: Live,
    situation: Situation,
    deadline: Deadline,
) -> None:
    """Raises :class:`CheckFailed` when the node lacks what the bundle needs.

    Only before the first change: what an earlier attempt has begun is finished or restored, whatever the node lacks.
    """
    settings = target.settings.compare
    if needs is None or situation.phase is not Phase.NOTED:
        return
    place = Place(target.stage, target.node, target.deployed_key, live.deployment)
    limit = deadline.at_most(settings.timeout)
    only_warn = settings.at_release == "warning"
    check_needs(needs, place, settings, change.report, change.console, limit, only_warn=only_warn)


@contextmanager
def _stated(
    statements: Statements, target: ProjectDeployerTarget, bundle: Bundle, signals: Interrupts
) -> Iterator[None]:
    """States how the release in the block ended."""
    try:
        yield
    except MlopsError as error:
        with signals.shielded():
            statements.released(target, bundle, error.message)
        raise
    with signals.shielded():
        statements.released(target, bundle)


def _look(change: Change, bundle: str, deadline: Deadline) -> tuple[Live, Situation]:
    """What is live now, and which phase the unit is in."""
    with change.target.within(deadline):
        live = change.target.look(deadline, change.console)
        situation = evidence.before_release(change, live, bundle)
    _announce(change, live, situation, bundle)
    return live, situation


def _announce(change: Change, live: Live, situation: Situation, bundle: str) -> None:
    console, target = change.console, change.target
    before = situation.previous.version if situation.previous else None
    change.report.set(deployment=change.deployment_id(live), previous_bundle=before)
    if situation.recorded and situation.phase is not Phase.LIVE:
        console.warn(f"an earlier release to {target.stage} was interrupted; going on from its record")
    elif situation.phase is Phase.RESTORING:
        console.warn(f"an earlier release of bundle {bundle}, whose record is lost, failed and was interrupted")
    console.line(f"live on {target.stage} now: {live}")
    console.line(f"will be live: bundle {bundle}, then smoke test {target.settings.release.smoke_scenario}")
    if target.settings.release.rollback == "off":
        console.warn("release.rollback is off: a failed release stays as it is")
    elif before is None:
        console.warn(
            f"first release to {target.stage}: there is nothing to return to; "
            "if it fails, the deployment that it creates is disabled"
        )
    else:
        if situation.previous and not situation.previous.active:
            console.warn(
                f"nothing is live, but deployment {change.deployment_id(live)} is enabled, with bundle {before}"
            )
        console.line(f"if that fails: back to bundle {before}")


def _release(
    change: Change, live: Live, situation: Situation, bundle: str, deadline: Deadline, signals: Interrupts
) -> None:
    """Makes the bundle live and smoke-tests it; whatever goes wrong, what was live is restored and verified."""
    target, report, console = change.target, change.report, change.console
    if situation.phase is Phase.LIVE:
        console.good(f"bundle {bundle} is live, healthy and smoke-tested already: nothing to do")
        return
    with signals.handled():
        try:
            if situation.phase is Phase.RESTORING:
                _fail_again(change, live, situation, bundle)
            change.begin(bundle, live, situation.previous)
            with report.case("deploy"):
                change.make_live(live, deadline, abort_at_limit=target.settings.release.rollback == "auto")
            change.verify()
            verify(target, report, console, bundle, Deadline(target.settings.release.smoke_timeout))
            with signals.shielded():
                change.accept()
                console.good(f"released: bundle {bundle} is live on {target.infra}, healthy and smoke-tested")
        except (Exception, Stop) as failure:
            # A mistake of our own must not leave production in doubt either.
            known = failure if isinstance(failure, (MlopsError, Stop)) else InternalError.of(failure)
            with signals.shielded():
                put_back(change, known)


def _fail_again(change: Change, live: Live, situation: Situation, bundle: str) -> None:
    """Raises :class:`CheckFailed`: the bundle has failed already, and its restore is pending."""
    if not situation.recorded and situation.previous:
        change.go_back(bundle, live, situation.previous, "its smoke test failed")
    why = change.unit.why or "its restore had begun"
    raise CheckFailed(f"it failed before, and what was live before is not restored yet: {why}")


def _before_any_change(change: Change, stop: Stop) -> Interrupted:
    stage = change.target.stage
    if change.pending:
        text = "the restore of an earlier release that was interrupted is still pending"
        next_step = f"run `mlops-steps recover --stage {stage}`"
    else:
        text, next_step = "nothing was changed", None
    return Interrupted(f"{stage}: interrupted by {stop}; {text}", signal_number=stop.signal, next_step=next_step)
