"""approve: note in the release record who approved the release of its bundle, or check that somebody has."""

from __future__ import annotations

from dataclasses import dataclass

from mlops_steps.config import Settings
from mlops_steps.delivery.policing import check_approver
from mlops_steps.delivery.record import Approval, Bundle, ReleaseRecord, load_for
from mlops_steps.delivery.unit import now
from mlops_steps.errors import CheckFailed
from mlops_steps.policy.effective import resolve
from mlops_steps.steps.context import Context


@dataclass(frozen=True)
class Answer:
    """An approval. ``sha256`` is that of the archive that was asked about, ``at`` the UTC time of the answer."""

    by: str
    sha256: str | None = None
    at: str | None = None


def run(
    context: Context,
    stage: str,
    *,
    by: str | None = None,
    sha256: str | None = None,
    at: str | None = None,
    among: str | None = None,
) -> None:
    """Returns when the record says who approved the release of its bundle to the stage; ``by`` is noted first.

    ``sha256`` is that of the archive that was approved (the record's, unless it is given), ``at`` the UTC time,
    ``among`` whom Jenkins has put the question to (users and groups, with commas).

    An approval is one of an archive (by its SHA-256) for a stage in a build: for another archive, or in another build,
    somebody must be asked again. ``automation: full`` requires no approval, ``manual`` has none: a person releases by
    hand. Raises :class:`CheckFailed` when the approval that is required is missing, or is not of one who may approve.
    """
    settings, report, console = context.settings, context.report, context.console
    build = context.build.url or context.build.number
    answer = Answer(by, sha256, at) if by else None
    infra = str(settings.stage(stage).infra)
    record = load_for(settings.record, settings.project)
    policy = resolve(settings)
    with report.case("approval") as case:
        bundle = _bundle(settings, record)
        report.set(bundle=bundle.id, infrastructure=infra)
        if policy.automation == "manual":
            raise CheckFailed(
                f"automation is manual: project {settings.project} is not released by a pipeline; {stage} is untouched",
                next_step=f"with the record of this build in {settings.record.name}: "
                f"`mlops-steps release --stage {stage}`",
            )
        part = record.stage(stage)
        asked = [name for name in (among or "").split(",") if name]
        if answer is not None:
            check_approver(policy, answer.by, asked, record, context.build, stage)
        if answer is not None and answer.sha256 in (None, bundle.sha256):
            part.approval = Approval(
                by=answer.by[:200],
                bundle=bundle.id,
                sha256=bundle.sha256,
                build=build,
                at=answer.at or now(),
                among=asked,
            )
            record.save(settings.record)
            answer = None
        approval = part.approval
        if approval is None or answer is not None or not approval.covers(bundle, build):
            if policy.automation == "full" and answer is None:
                console.line("automation is full: no approval is required")
                return
            raise CheckFailed(
                f"automation is {policy.automation}, and nobody has approved the release of bundle {bundle.id} to "
                f"{stage} in this build{_other(approval, answer, bundle, build)}; {stage} is untouched",
                next_step="call mlopsApprove between the last mlopsPackage and the release, in the same build; after "
                "Restart from Stage begin at the stage that asks",
            )
        check_approver(policy, approval.by, approval.among, record, context.build, stage)
        report.set(started_by=", ".join(context.build.started_by or []))
        case.stdout = f"bundle {bundle.id} approved for {stage} by {approval.by} at {approval.at}"
        report.set(approved_by=approval.by)
        console.good(case.stdout)


def _other(approval: Approval | None, answer: Answer | None, bundle: Bundle, build: str | None) -> str:
    """What was approved instead, in words."""
    if answer is not None:
        return f": what {answer.by[:200]} approved was another archive (SHA-256 {str(answer.sha256)[:12]}…)"
    if approval is None:
        return ""
    if (approval.bundle, approval.sha256) != (bundle.id, bundle.sha256):
        return f": what {approval.by} approved was bundle {approval.bundle}"
    return f": {approval.by} approved it in {approval.build or 'no build'}" if approval.build != build else ""


def _bundle(settings: Settings, record: ReleaseRecord) -> Bundle:
    if record.bundle is None:
        raise CheckFailed(
            f"{settings.record}: there is no bundle to approve",
            next_step="run `mlops-steps package` first, or unstash the record of the stages before",
        )
    return record.bundle
