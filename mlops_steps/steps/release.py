"""release: make the tested bundle live on a stage, smoke-test it there, and put things back when that fails."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from mlops_steps.delivery import gate
from mlops_steps.delivery.attestation import Statements, check_provenance, trusted_key
from mlops_steps.delivery.change import Change
from mlops_steps.delivery.evidence import Situation
from mlops_steps.delivery.exclusive import claimed, stage_lock
from mlops_steps.delivery.judging import judge_release
from mlops_steps.delivery.phases import Phase
from mlops_steps.delivery.policing import check_release
from mlops_steps.delivery.quarantine import check_quarantine
from mlops_steps.delivery.record import Bundle, load_for
from mlops_steps.delivery.release import interrupted_before, look, release
from mlops_steps.delivery.targets.base import Live
from mlops_steps.delivery.targets.project_deployer import ProjectDeployerTarget, open_target
from mlops_steps.errors import MlopsError
from mlops_steps.needs.check import Place, check_needs
from mlops_steps.needs.model import BundleNeeds
from mlops_steps.steps.context import Context
from mlops_steps.system.console import Console
from mlops_steps.system.interrupts import Interrupts, Stop
from mlops_steps.system.waiting import Deadline


def run(context: Context, stage: str, *, dry_run: bool = False, force: str | None = None) -> None:
    """Releases the record's bundle to the stage. ``force`` is the reason for a release during a freeze, or of
    a bundle that is quarantined.

    Raises :class:`CheckFailed` when the bundle may not be released (now) or is damaged, when a gate does not let it
    through, or when the node lacks what it needs (nothing was changed),
    :class:`NodeError` when the nodes contradict each other about what is live (nothing was changed),
    :class:`RolledBack` when the release failed and the previous bundle is live again, :class:`ProductionInDoubt` when
    it is not, :class:`Interrupted` after a signal, when the previous bundle is live again.
    """
    settings, report, console = context.settings, context.report, context.console
    record = load_for(settings.record, settings.project)
    statements, key = Statements(settings, console, context.build), trusted_key(settings)
    with report.case("gate"):
        bundle = gate.tested_bundle(settings, record, stage)
    check_release(settings, record, stage, context.build, force, report, console, dry_run=dry_run)
    report.set(bundle=bundle.id, sha256=bundle.sha256, infrastructure=settings.stage(stage).infra)
    with stage_lock(settings, stage, console), open_target(settings, stage) as target:
        change = Change(target, report, console, record, settings.record, dry_run=dry_run)
        began = False
        try:
            check_quarantine(change, target, bundle.id, record.project_commit, force, context.build)
            with report.case("archive"):
                needs = _check_archive(target, bundle, console)
            if key is not None:
                with report.case("provenance"):
                    check_provenance(target, bundle, key, console)
            judged = judge_release(change, target, bundle, Deadline(settings.release.timeout))
            deadline = Deadline(settings.release.timeout)
            if dry_run:
                live, situation = look(change, bundle.id, deadline)
                _compare(change, target, needs, live, situation, deadline)
                console.line("dry run: nothing was changed")
                return
            with claimed(target, console, deadline):
                live, situation = look(change, bundle.id, deadline)
                judged.check(live, stage)
                _compare(change, target, needs, live, situation, deadline)
                began = True
                with _stated(statements, target, bundle, context.signals):
                    release(change, live, situation, bundle.id, deadline, context.signals)
        except Stop as stop:
            if began:
                raise
            raise interrupted_before(change, stop) from None


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
    place = Place(
        target.stage, target.node, target.deployed_key, target.known_deployment() if live.deployment else None
    )
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
