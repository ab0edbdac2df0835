"""What is live goes into the release record, which Jenkins archives and stashes before production is changed.

The record on an agent is written again at each step of the change, but dies with the agent. The archived one has what
was live, and what was to be made live; what became of the change is asked of the nodes: by `recover`, on any agent.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from mlops_steps.config import Settings
from mlops_steps.delivery import evidence
from mlops_steps.delivery.change import Change
from mlops_steps.delivery.exclusive import infra_lock, stage_lock
from mlops_steps.delivery.phases import Phase
from mlops_steps.delivery.record import load_for
from mlops_steps.delivery.rollout.ends import live_on_each
from mlops_steps.delivery.rollout.members import Member, open_members, side_by_side
from mlops_steps.delivery.service_gate import open_service, recorded_package
from mlops_steps.delivery.targets.base import Live, Target
from mlops_steps.delivery.targets.opening import open_target
from mlops_steps.report.model import Report
from mlops_steps.steps.registry import Step
from mlops_steps.system.console import Console
from mlops_steps.system.interrupts import Interrupts
from mlops_steps.system.waiting import Deadline

#: Seconds for the look. When the nodes do not answer, the step itself says so.
_LIMIT = 60.0
# They find what they return to.
_GO_BACK = ("rollback", "api-rollback", "monitor")


def note(settings: Settings, step: Step, stage: str, bundle: str | None) -> str:
    """Notes the change in the record; returns what is live, in words.

    A record in which a change is pending, or which says that the version is live, stays as it is, and so does that of a
    rollback: what it returns to is found by the step. ``bundle`` is the one that `deploy` was asked for. Raises
    :class:`MlopsError` when a node does not answer, when another process is at work on the stage, or when the record
    cannot be written.
    """
    console = Console(quiet=True)
    deadline = Deadline(_LIMIT)
    if not step.of_service and settings.stage(stage).infras:
        return f"Live on {stage} before the {step.name}: {_note_each(settings, step, stage, bundle, console)}"
    with _opened(settings, step, stage, console, deadline) as target, target.within(deadline):
        live = target.observe()
        change = Change.of(target, Report(settings.project, step.name, stage), console)
        version = bundle or change.recorded_version
        if step.name not in _GO_BACK and version and not change.pending:
            _note(change, live, version, is_deploy=step.name == "deploy")
    return f"Live on {stage} before the {step.name}: {live}"


@contextmanager
def _opened(settings: Settings, step: Step, stage: str, console: Console, deadline: Deadline) -> Iterator[Target]:
    if step.of_service:
        package = recorded_package(settings, load_for(settings.record, settings.project))
        with (
            infra_lock(settings, f"API {settings.api.stage(stage).infra}", stage, console),
            open_service(settings, stage, package, deadline) as service,
        ):
            yield service
    else:
        with stage_lock(settings, stage, console), open_target(settings, stage) as target:
            yield target


def _note_each(settings: Settings, step: Step, stage: str, bundle: str | None, console: Console) -> str:
    """The same for each infrastructure of a stage that has several; returns what is live on which."""
    report = Report(settings.project, step.name, stage)
    with stage_lock(settings, stage, console):
        record = load_for(settings.record, settings.project)
        with open_members(settings, stage, report, console, record) as members:
            version = bundle or members[0].change.recorded_version
            notes = step.name not in _GO_BACK and version is not None and not record.stage(stage).pending

            def one(member: Member) -> None:
                with member.target.within(Deadline(_LIMIT)):
                    member.live = member.target.observe()
                    if notes:
                        _note(member.change, member.live, str(version), is_deploy=step.name == "deploy")

            ended, _ = side_by_side(members, one, settings.stage(stage).rollout.at_once, Interrupts())
            for item in ended:
                if item.error:
                    raise item.error
            return live_on_each(members)


def _note(change: Change, live: Live, version: str, *, is_deploy: bool) -> None:
    if is_deploy:
        if not live.is_healthy(version):
            change.note(version, live, evidence.before_deploy(change, live))
        return
    situation = evidence.before_release(change, live, version)
    if situation.phase is Phase.NOTED:
        change.note(version, live, situation.previous)
