"""Approvals of a bundle, or of a version of the API service: of one archive, for one stage, in one build."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from mlops_steps.config import Settings
from mlops_steps.delivery.plan import NotedPlan
from mlops_steps.delivery.policing import check_approver
from mlops_steps.delivery.record import Approval, Build, Bundle, Package, ReleaseRecord, load_for
from mlops_steps.delivery.unit import Kind, now
from mlops_steps.errors import CheckFailed
from mlops_steps.policy.effective import resolve
from mlops_steps.report.model import Report
from mlops_steps.system.console import Console


@dataclass(frozen=True)
class Answer:
    """An approval. ``sha256`` is the reference that was asked about, ``at`` the UTC time of the answer.

    ``among``: whom Jenkins has put the question to.
    """

    by: str
    sha256: str | None = None
    at: str | None = None
    among: Sequence[str] = ()

    @classmethod
    def of(cls, by: str | None, sha256: str | None, at: str | None, among: str | None) -> Answer | None:
        """The answer that the options of a step give, ``among`` with commas; ``None``: it is only to be checked."""
        return cls(by, sha256, at, [name for name in (among or "").split(",") if name]) if by else None


def reference(record: ReleaseRecord) -> str | None:
    """What a question about the record's archives is about: one SHA-256, or one that stands for several.

    It is that of the plan of a release, where there is one, or else that of the archive.
    """
    found = []
    for archive, stages in ((record.bundle, record.stages), (record.package, record.api_stages)):
        if archive:
            plans = [plan.sha256 for stage in stages.values() if (plan := stage.plan_of(archive))]
            found += sorted(plans) or [archive.sha256]
    return found[0] if len(found) == 1 else hashlib.sha256(" ".join(found).encode()).hexdigest() if found else None


def in_words(archive: Bundle | Package) -> str:
    """``bundle 129-4f2c1aa``, or ``version v1 of API service churn``."""
    if isinstance(archive, Bundle):
        return f"bundle {archive.id}"
    return f"version {archive.version} of API service {archive.service}"


def check_approved(
    settings: Settings,
    report: Report,
    console: Console,
    build: Build,
    stage: str,
    kind: Kind,
    answer: Answer | None,
) -> None:
    """Returns when the record says who approved the release of its archive to the stage; ``answer`` is noted first.

    An approval is one of an archive (by its SHA-256) for a stage in a build: for another archive, or in another build,
    somebody must be asked again. ``automation: full`` requires no approval, ``manual`` has none: a person releases by
    hand. Raises :class:`CheckFailed` when the approval that is required is missing, or is not of one who may approve,
    :class:`ConfigError` for an unknown stage.
    """
    infra = str(settings.stage(stage).infra) if kind == "bundle" else settings.api.stage(stage).infra
    this = build.url or build.number
    record = load_for(settings.record, settings.project)
    policy = resolve(settings)
    step = "release" if kind == "bundle" else "api-release"
    with report.case("approval") as case:
        archive = _archive(settings, record, kind)
        what = in_words(archive)
        if isinstance(archive, Bundle):
            report.set(bundle=archive.id, infrastructure=infra)
        else:
            report.set(service=archive.service, version=archive.version, infrastructure=infra)
        if policy.automation == "manual":
            raise CheckFailed(
                f"automation is manual: project {settings.project} is not released by a pipeline; {stage} is untouched",
                next_step=f"with the record of this build in {settings.record.name}: "
                f"`mlops-steps {step} --stage {stage}`",
            )
        part = record.stage(stage, kind)
        if answer is not None:
            check_approver(policy, answer.by, answer.among, record, build, stage)
        plan = part.plan_of(archive)
        asked = plan.sha256 if plan else archive.sha256
        if answer is not None and answer.sha256 in (None, asked, reference(record)):
            part.approval = Approval(
                by=answer.by[:200],
                bundle=archive.id if isinstance(archive, Bundle) else archive.version,
                sha256=archive.sha256,
                build=this,
                at=answer.at or now(),
                among=list(answer.among),
                plan=plan.sha256 if plan else None,
            )
            record.save(settings.record)
            answer = None
        approval = part.approval
        if approval is None or answer is not None or not approval.covers(archive, this, plan):
            if policy.automation == "full" and answer is None:
                console.line("automation is full: no approval is required")
                return
            package = "mlopsPackage" if kind == "bundle" else "mlopsApiPackage"
            raise CheckFailed(
                f"automation is {policy.automation}, and nobody has approved the release of {what} to "
                f"{stage} in this build{_other(approval, answer, archive, this, plan)}; {stage} is untouched",
                next_step=f"call mlopsApprove between the last {package} and the release, in the same build; after "
                "Restart from Stage begin at the stage that asks",
            )
        check_approver(policy, approval.by, approval.among, record, build, stage)
        report.set(started_by=", ".join(build.started_by or []))
        by_plan = f" by plan {plan.sha256[:12]}" if plan else ""
        case.stdout = f"{what} approved for {stage}{by_plan} by {approval.by} at {approval.at}"
        report.set(plan=plan.sha256 if plan else None)
        report.set(approved_by=approval.by)
        console.good(case.stdout)


def _other(
    approval: Approval | None,
    answer: Answer | None,
    archive: Bundle | Package,
    build: str | None,
    plan: NotedPlan | None,
) -> str:
    """What was approved instead, in words."""
    if answer is not None and plan:
        return f": what {answer.by[:200]} approved was not plan {plan.sha256[:12]} (but {str(answer.sha256)[:12]}…)"
    if answer is not None:
        return f": what {answer.by[:200]} approved was another archive (SHA-256 {str(answer.sha256)[:12]}…)"
    if approval is None:
        return ""
    own = archive.id if isinstance(archive, Bundle) else archive.version
    if (approval.bundle, approval.sha256) != (own, archive.sha256):
        kind = "bundle" if isinstance(archive, Bundle) else "version"
        return f": what {approval.by} approved was {kind} {approval.bundle}"
    if approval.build != build:
        return f": {approval.by} approved it in {approval.build or 'no build'}"
    was = f"plan {approval.plan[:12]}" if approval.plan else "the release without a plan"
    return f": what {approval.by} approved was {was}, not plan {plan.sha256[:12]}" if plan else ""


def _archive(settings: Settings, record: ReleaseRecord, kind: Kind) -> Bundle | Package:
    found = record.bundle if kind == "bundle" else record.package
    if found is None:
        what, step = ("bundle", "package") if kind == "bundle" else ("version of the API service", "api-package")
        raise CheckFailed(
            f"{settings.record}: there is no {what} to approve",
            next_step=f"run `mlops-steps {step}` first, or unstash the record of the stages before",
        )
    return found
