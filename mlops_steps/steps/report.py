"""report: the page of a release, from the release record and the reports, with pictures where they can be drawn."""

from __future__ import annotations

import os
import re
from pathlib import Path

from mlops_steps.config import Settings
from mlops_steps.delivery.summing_up import write_page
from mlops_steps.errors import CheckFailed, ConfigError, ReportError
from mlops_steps.jenkins import access
from mlops_steps.report import html
from mlops_steps.steps.context import Context
from mlops_steps.system.files import write_atomically

#: What is fetched of an old build: its reports with what is attached to them, and its record.
_WANTED = re.compile(r"(?:.*/)?mlops-[A-Za-z0-9_-]+\.(?:xml|json)|(?:.*/)?release\.json")
_LARGEST = 64 * 1024 * 1024  # bytes of one file


def run(context: Context, *, from_: str | None = None, build: str | None = None) -> None:
    """Writes ``html/`` in the folder of reports, or in ``from_``, a folder that holds the artifacts of an old build.

    ``build``: an old build (``churn#128``) whose artifacts are fetched from the controller; nobody else is asked.
    Raises :class:`CheckFailed` when there is no report, :class:`ReportError` when the page cannot be written,
    :class:`ControllerError` when the build cannot be read.
    """
    settings, report, console = context.settings, context.report, context.console
    if from_ and build:
        raise ConfigError("--from and --build: name one of them")
    if build:
        with report.case("artifacts"):
            from_ = str(_fetched(settings, build))
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


def _fetched(settings: Settings, name: str) -> Path:
    """The folder into which the record and the reports of the build were fetched."""
    from mlops_steps.jenkins import archived
    from mlops_steps.jenkins.builds import Build
    from mlops_steps.jenkins.session import Session

    job, _, number = name.rpartition("#")
    folder = settings.reports / "builds" / f"{re.sub(r'[^A-Za-z0-9_-]+', '_', job)}-{number}"
    session = Session(access.from_environment(os.environ))
    try:
        files = archived.of_build(session, Build(job, int(number), ""), _WANTED, _LARGEST)
    finally:
        session.close()
    if not files:
        raise CheckFailed(f"{name} has archived no reports", next_step="look at its artifacts in Jenkins")
    try:
        for path, data in files.items():
            # The name alone, which holds nothing but what the pattern allows.
            place = folder / (settings.record.name if _is_record(path) else path.rpartition("/")[2])
            place.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(place, data)
    except OSError as error:
        raise ReportError(f"the artifacts of {name} could not be kept in {folder}: {error.strerror}") from None
    return folder


def _is_record(path: str) -> bool:
    return not path.rpartition("/")[2].startswith("mlops-")


def _places(reports: Path, record: Path, given: str | None) -> tuple[Path, Path]:
    """The folder of reports and the record: those of the configuration, or where the artifacts of a build lie."""
    if given is None:
        return reports, record
    root = Path(given)
    inner = [root / reports.name, root]
    folder = next((one for one in inner if any(one.glob("mlops-*.xml"))), root)
    records = [root / record.parent.name / record.name, root / record.name]
    return folder, next((one for one in records if one.is_file()), records[0])
