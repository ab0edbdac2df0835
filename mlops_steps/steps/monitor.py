"""monitor: look whether what is live still does what it was released for, and answer decay."""

from __future__ import annotations

import os
from collections.abc import Sequence

from mlops_steps.delivery.record import load_for
from mlops_steps.errors import CheckFailed, NodeError
from mlops_steps.insight import looks, monitoring, reaction
from mlops_steps.insight.findings import Finding, Level
from mlops_steps.insight.monitoring import Seen
from mlops_steps.report.attachments import PastRelease
from mlops_steps.report.model import Report
from mlops_steps.steps.context import Context
from mlops_steps.system.console import Console


def run(context: Context, stage: str, *, job: str | None = None) -> None:
    """Looks at all that is live on the stage. ``job``: the one whose builds have kept the looks before.

    Raises :class:`CheckFailed` when something has reached the level ``act``, :class:`NodeError` when something could
    not be measured.
    """
    settings, report, console = context.settings, context.report, context.console
    with report.case("stage"):
        project, service = settings.units_of(stage)
        reaction.check_access(settings)
    place = settings.reports / report.file_name
    past = looks.past_looks(settings, place, job or os.environ.get("JOB_NAME"), os.environ, console)
    # Kept even when this look ends early: each file holds all looks.
    report.attach().looks.extend(past)
    seen = monitoring.begin(settings, past)
    if project:
        monitoring.look_at_project(settings, stage, seen, console)
    if service:
        record = load_for(settings.record, settings.project)
        monitoring.look_at_service(settings, stage, record, seen)
    version = seen.live.get("bundle") or seen.live.get("version")
    answer = reaction.react(settings, stage, version, seen.findings, console)
    seen.add(answer)
    seen.reaction = next((one.message for one in answer if one.level is not Level.SKIPPED), "")
    _report(seen, report, console, stage)
    _end(seen.findings, stage)


def _report(seen: Seen, report: Report, console: Console, stage: str) -> None:
    """A test case and a line for each finding; the look, and the lines over all looks, beside the report."""
    for finding in seen.findings:
        report.add(finding.case)
        line = f"{finding.name}: {finding.message}"
        if finding.level in (Level.GOOD, Level.SKIPPED):
            console.line(line)
        else:
            console.warn(f"{line} ({finding.limit})" if finding.limit else line)
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
