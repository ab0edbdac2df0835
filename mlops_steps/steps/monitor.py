"""monitor: look whether what is live still does what it was released for, take back what fails its probation."""

from __future__ import annotations

import os
from collections.abc import Sequence

from mlops_steps.config import Settings
from mlops_steps.delivery.record import ReleaseRecord, load_for
from mlops_steps.errors import CheckFailed, MlopsError, NodeError
from mlops_steps.insight import looks, monitoring, probation, reaction
from mlops_steps.insight.findings import Finding, Level
from mlops_steps.insight.monitoring import Seen
from mlops_steps.insight.probation import OnProbation
from mlops_steps.report.attachments import PastRelease
from mlops_steps.report.model import Report
from mlops_steps.steps.context import Context
from mlops_steps.system.console import Console

#: What has failed its probation: a version where it is live, and what speaks against it.
Due = list[tuple[list[OnProbation], list[Finding]]]


def run(context: Context, stage: str, *, job: str | None = None) -> None:
    """Looks at all that is live on the stage. ``job``: the one whose builds have kept the looks before.

    Raises :class:`CheckFailed` when something has reached the level ``act``, :class:`NodeError` when something could
    not be measured; :class:`RolledBack` when a release has failed its probation and the version before is live again,
    :class:`ProductionInDoubt` when it is not.
    """
    settings, report, console = context.settings, context.report, context.console
    with report.case("stage"):
        settings.units_of(stage)
        reaction.check_access(settings)
        record = load_for(settings.record, settings.project)
    place = settings.reports / report.file_name
    past = looks.past_looks(settings, place, job or os.environ.get("JOB_NAME"), os.environ, console)
    # Kept even when this look ends early: each file holds all looks.
    report.attach().looks.extend(past)
    seen = monitoring.begin(settings, past)
    due = _look(settings, stage, record, seen, console)
    if not due and not _pending(record, stage):
        version = seen.live.get("bundle") or seen.live.get("version")
        answer = reaction.react(settings, stage, version, seen.findings, console)
        seen.add(answer)
        seen.reaction = next((one.message for one in answer if one.level is not Level.SKIPPED), "")
    _report(seen, report, console, stage)
    _take_back(context, due)
    _end(seen.findings, stage)


def _look(settings: Settings, stage: str, record: ReleaseRecord, seen: Seen, console: Console) -> Due:
    """Looks at the project and at the API service; returns what has failed its probation, and why."""
    project, service = settings.units_of(stage)
    pending = _pending(record, stage)
    seen.add(pending)
    due: Due = []
    # The service first: the labels of a project's logged predictions may be of its versions.
    for kind, there, name in (("api service", service, "API service probation"), ("bundle", project, "probation")):
        before = len(seen.findings)
        if there and kind == "bundle":
            monitoring.look_at_project(settings, stage, seen, console)
        elif there:
            monitoring.look_at_service(settings, stage, record, seen)
        found = seen.findings[before:]
        if there and probation.window(settings, stage, kind):  # type: ignore[arg-type]
            on = [one for one in seen.probations if one.kind == kind]
            seen.findings.append(probation.finding(on, found, name))
            # What is pending is finished first, by `recover`.
            if probation.blamed(found) and not pending:
                versions = dict.fromkeys(one.version for one in on)
                due += [([one for one in on if one.version == version], found) for version in versions]
    if due:
        seen.reaction = f"going back: {due[0][0][0].version} is on probation"
    return due


def _pending(record: ReleaseRecord, stage: str) -> list[Finding]:
    """A restore that a release, or an earlier probation, has left."""
    found = []
    for stages, step in ((record.stages, "recover"), (record.api_stages, "api-recover")):
        if stage in stages and stages[stage].pending:
            text = f"a restore is pending: run `mlops-steps {step} --stage {stage}`"
            found.append(Finding("pending restore", Level.ACT, text, of_release=False))
    return found


def _take_back(context: Context, due: Due) -> None:
    """Goes back wherever a release has failed its probation. Raises the error that says how the worst one ended."""
    errors: list[MlopsError] = []
    for released, found in due:
        try:
            probation.roll_back(context.settings, released, found, context.report, context.console, context.signals)
        except MlopsError as error:
            errors.append(error)
    if errors:
        worst = max(errors, key=lambda error: error.exit_code)
        worst.details = (*worst.details, *(error.message for error in errors if error is not worst))
        raise worst


def _report(seen: Seen, report: Report, console: Console, stage: str) -> None:
    """A test case and a line for each finding; the look, and the lines over all looks, beside the report."""
    for finding in seen.findings:
        report.add(finding.case)
        line = f"{finding.name}: {finding.message}"
        if finding.level in (Level.GOOD, Level.SKIPPED):
            console.line(line)
        else:
            said = not finding.limit or finding.limit in line
            console.warn(line if said else f"{line} ({finding.limit})")
    report.set(**{f"live_{kind}": version for kind, version in seen.live.items()})
    report.set(**{f"monitor.{one.name}": f"{one.value:.6g}" for one in seen.findings if one.value is not None})
    kept = report.attach()
    kept.looks.append(seen.look)
    kept.figures.extend(looks.lines(kept.looks))
    kept.figures.extend(figure for finding in seen.findings for figure in finding.figures)
    known = looks.verdicts(seen.past)
    for verdict in seen.look.verdicts:
        if verdict.version not in known or known[verdict.version].passed != verdict.passed:
            kept.releases.append(
                PastRelease(
                    at=verdict.at,
                    stage=stage,
                    version=verdict.release,
                    result="passed late" if verdict.passed else "failed late",
                    good=verdict.passed,
                    note=f"{verdict.metric} {verdict.value:.4g} on {verdict.rows} labelled predictions",
                )
            )


def _end(findings: Sequence[Finding], stage: str) -> None:
    bad = [one for one in findings if one.level is Level.ACT]
    unknown = [one for one in findings if one.level is Level.UNKNOWN]
    warned = sum(one.level is Level.WARN for one in findings)
    if all(one.level is Level.SKIPPED for one in findings):
        raise CheckFailed(f"{stage}: nothing is live that could be looked at", next_step="release first")
    if not (bad or unknown):
        return
    details = [f"{one.name}: {one.message}" for one in (*bad, *unknown)]
    error: CheckFailed | NodeError
    if bad:
        text = f"{stage}: {len(bad)} of {len(findings)} checks have reached the level act ({warned} warn)"
        error = CheckFailed(f"{text}; nothing was changed on {stage}", details=details)
    else:
        nodes = [one.error for one in unknown if isinstance(one.error, NodeError)]
        text = f"{stage}: {len(unknown)} of {len(findings)} checks could not be made; nothing was changed on {stage}"
        kind = NodeError if nodes else CheckFailed
        error = kind(text, details=details, next_step=nodes[0].next_step if nodes else None)
    error.is_reported = True
    raise error
