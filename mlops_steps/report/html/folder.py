"""The folder of reports that a page is made of."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from mlops_steps.errors import ReportError
from mlops_steps.report import attachments, junit
from mlops_steps.report.model import Report

#: The property of a report that holds when its step began, in seconds since 1970.
BEGAN = "began"
#: The report on the making of the page is no part of it.
OF_PAGE = "mlops-report.xml"


@dataclass(frozen=True)
class Found:
    """The reports in the order in which the steps began; ``unreadable`` says what could not be read, and why."""

    reports: list[Report] = field(default_factory=list)
    unreadable: list[str] = field(default_factory=list)


def collect(folder: Path) -> Found:
    """The reports of the folder (``mlops-*.xml``) with what is attached to them.

    A report's timestamp is in whole seconds; its property ``began`` is finer.
    """
    found = Found()
    for path in sorted(folder.glob("mlops-*.xml")):
        if path.name == OF_PAGE:
            continue
        try:
            report = junit.read(path)
            found.reports.append(report)
            report.attachments = attachments.read(path)
        except ReportError as error:
            found.unreadable.append(error.message)
    for report in found.reports:
        report.started = _began(report)
    found.reports.sort(key=lambda report: report.started)
    return found


def _began(report: Report) -> float:
    try:
        began = float(report.properties.get(BEGAN, ""))
    except ValueError:
        return report.started
    # Only the same moment, told more finely: texts of reports are not trusted.
    return began if abs(began - report.started) <= 1 else report.started
