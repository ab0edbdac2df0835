"""approve: note in the release record who approved the release of its bundle, or check that somebody has."""

from __future__ import annotations

from mlops_steps.config import Settings
from mlops_steps.delivery.record import Approval, Bundle, ReleaseRecord, load_for
from mlops_steps.errors import CheckFailed
from mlops_steps.steps.context import Context


def run(context: Context, stage: str, *, by: str | None = None) -> None:
    """Ends well when the record says who approved the release of its bundle to the stage; ``by`` is noted first.

    ``automation: full`` asks for no approval, ``manual`` has none: a person releases by hand. Raises
    :class:`CheckFailed` when what is demanded is not there.
    """
    settings, report, console = context.settings, context.report, context.console
    infra = str(settings.stage(stage).infra)
    record = load_for(settings.record, settings.project)
    with report.case("approval") as case:
        bundle = _bundle(settings, record)
        report.set(bundle=bundle.id, infrastructure=infra)
        if settings.automation == "manual":
            raise CheckFailed(
                f"automation is manual: project {settings.project} is not released by a pipeline; {stage} is untouched",
                next_step=f"with the record of this build in {settings.record.name}: "
                f"`mlops-steps release --stage {stage}`",
            )
        part = record.stage(stage, infra, settings.deployment_id(stage))
        if by:
            part.approval = Approval(by=by[:200], bundle=bundle.id, build=context.build.url or context.build.number)
            record.save(settings.record)
        approval = part.approval
        if approval is None or approval.bundle != bundle.id:
            if settings.automation == "full":
                console.line("automation is full: no approval is asked for")
                return
            raise CheckFailed(
                f"automation is approval, and nobody has approved the release of bundle {bundle.id} to {stage}",
                next_step="call mlopsApprove before the release, or set `automation: full` in mlops.yml",
            )
        case.stdout = f"bundle {bundle.id} approved for {stage} by {approval.by} at {approval.at}"
        report.set(approved_by=approval.by)
        console.good(case.stdout)


def _bundle(settings: Settings, record: ReleaseRecord) -> Bundle:
    if record.bundle is None:
        raise CheckFailed(
            f"{settings.record}: there is no bundle to approve",
            next_step="run `mlops-steps package` first, or unstash the record of the stages before",
        )
    return record.bundle
