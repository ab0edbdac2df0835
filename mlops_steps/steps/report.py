"""report: the page of a release, from the release record and the reports, with pictures where they can be drawn."""

from __future__ import annotations

import os
from pathlib import Path

from mlops_steps.delivery.summing_up import write_page
from mlops_steps.errors import CheckFailed
from mlops_steps.report import html
from mlops_steps.steps.context import Context


def run(context: Context, *, from_: str | None = None) -> None:
    """Writes ``html/`` in the folder of reports, or in ``from_``, a folder that holds the artifacts of an old build.

    Asks nothing and nobody. Raises :class:`CheckFailed` when there is no report, :class:`ReportError` when the
    page cannot be written.
    """
    settings, report, console = context.settings, context.report, context.console
    folder, record = _places(settings.reports, settings.record, from_)
    with report.case("page") as case:
        from mlops_steps.report.html import charts
        from mlops_steps.report.html.folder import collect

        reports = collect(folder).reports
        if not reports:
            raise CheckFailed(f"{folder}: there is no report to make a page of", next_step="run a step first")
        if not charts.available() and any(one.attachments and one.attachments.figures for one in reports):
            console.warn("the extra 'report' of mlops-steps is not installed: the page has tables in place of pictures")
        facts = write_page(folder, settings, record=record, pictures=True)
        case.stdout = facts.verdict.sentence if facts.verdict else ""
    if facts.verdict:
        say = console.good if facts.verdict.level == "good" else console.line
        say(facts.verdict.sentence)
    place = os.path.relpath(folder / html.FOLDER / html.PAGE)
    in_jenkins = context.build.url and not from_ and not place.startswith("..")
    console.line(f"page: {context.build.url}artifact/{place}" if in_jenkins else f"page: {place}")


def _places(reports: Path, record: Path, given: str | None) -> tuple[Path, Path]:
    """The folder of reports and the record: those of the configuration, or where the artifacts of a build lie."""
    if given is None:
        return reports, record
    root = Path(given)
    inner = [root / reports.name, root]
    folder = next((one for one in inner if any(one.glob("mlops-*.xml"))), root)
    records = [root / record.parent.name / record.name, root / record.name]
    return folder, next((one for one in records if one.is_file()), records[0])
