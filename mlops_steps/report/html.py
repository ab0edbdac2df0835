"""One page that sums up the reports: what failed first, then what ran.

Jenkins serves published HTML under a policy that blocks scripts and inline styles. So the page has none, and a
stylesheet of its own lies beside it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime, timezone
from html import escape
from importlib.resources import files
from pathlib import Path

from mlops_steps.errors import ReportError
from mlops_steps.report import junit
from mlops_steps.report.model import Case, Outcome, Report
from mlops_steps.system.files import write_atomically
from mlops_steps.system.text import one_line, presentable
from mlops_steps.system.waiting import duration

SUMMARY = "mlops-summary.html"
TEXT_LIMIT = 20_000  # bytes of a case's details
_NAME_LIMIT = 300
_LONGEST = 1e9  # seconds; a case cannot have taken longer

_WORDS = {Outcome.PASSED: "passed", Outcome.FAILURE: "failed", Outcome.ERROR: "error", Outcome.SKIPPED: "skipped"}
# The failed ones first; within an outcome the order of the report.
_ORDER = [Outcome.FAILURE, Outcome.ERROR, Outcome.SKIPPED, Outcome.PASSED]


def update(folder: Path) -> Path:
    """Writes the summary of all reports in the folder, and returns its path.

    A report that cannot be read is named on the page. Raises :class:`ReportError` when the page cannot be written.
    """
    reports, unreadable = collect(folder)
    path = folder / SUMMARY
    write_summary(reports, path, unreadable=unreadable)
    return path


def collect(folder: Path) -> tuple[list[Report], list[str]]:
    """The reports of the folder (``mlops-*.xml``) in the order in which they were begun, and what could not be read."""
    reports, unreadable = [], []
    for path in sorted(folder.glob("mlops-*.xml")):
        try:
            reports.append(junit.read(path))
        except ReportError as error:
            unreadable.append(error.message)
    return sorted(reports, key=lambda report: report.started), unreadable


def write_summary(reports: Sequence[Report], path: Path, *, unreadable: Sequence[str] = ()) -> None:
    """Writes the page, and the stylesheet of the same name beside it, whole or not at all.

    Raises :class:`ReportError` when one of them cannot be written.
    """
    sheet = path.with_suffix(".css")
    try:
        write_atomically(sheet, files("mlops_steps.report").joinpath("summary.css").read_bytes())
        write_atomically(path, page(reports, sheet.name, unreadable).encode())
    except OSError as error:
        raise ReportError(f"the summary {path} could not be written: {error.strerror or error}") from None


def page(reports: Sequence[Report], stylesheet: str, unreadable: Sequence[str] = ()) -> str:
    """The page as text. All that comes from the reports is cleaned, masked and escaped."""
    projects = ", ".join(dict.fromkeys(_line(report.project) for report in reports if report.project))
    title = f"mlops-steps: {projects}" if projects else "mlops-steps"
    parts = [
        "<!DOCTYPE html>",
        '<html lang="en">',
        "<head>",
        '<meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{title}</title>",
        f'<link rel="stylesheet" href="{escape(stylesheet)}">',
        "</head>",
        "<body>",
        "<main>",
        f"<h1>{title}</h1>",
        _verdict(reports, unreadable),
        *_overview(reports),
        *_failures(reports),
        *(line for number, report in enumerate(reports, 1) for line in _details(report, number)),
        "</main>",
        "</body>",
        "</html>",
    ]
    return "\n".join(parts) + "\n"


def _verdict(reports: Sequence[Report], unreadable: Sequence[str]) -> str:
    failed = sum(len(report.failed) for report in reports)
    count = sum(len(report.cases) for report in reports)
    if not reports and not unreadable:
        return '<p class="verdict">No step has run.</p>'
    lines = []
    if failed:
        lines.append(f'<p class="verdict failure">{failed} of {count} checks failed.</p>')
    elif not unreadable:
        lines.append(f'<p class="verdict passed">All {count} checks passed or do not apply.</p>')
    lines.extend(f'<p class="verdict error">{_line(text)}</p>' for text in unreadable)
    return "\n".join(lines)


def _overview(reports: Sequence[Report]) -> list[str]:
    if not reports:
        return []
    heads = "".join(f'<th scope="col"{_number(head)}>{head}</th>' for head in _HEADS)
    rows = [_row(report, number) for number, report in enumerate(reports, 1)]
    return [
        '<div class="scroll">',
        '<table class="overview">',
        "<caption>Steps in the order in which they began. Times are UTC.</caption>",
        f"<thead><tr>{heads}</tr></thead>",
        "<tbody>",
        *rows,
        "</tbody>",
        "</table>",
        "</div>",
    ]


_HEADS = ("step", "stage", "result", "bundle", "passed", "failed", "errors", "skipped", "began", "took")


def _row(report: Report, number: int) -> str:
    counts = Counter(case.outcome for case in report.cases)
    cells = [
        _line(report.stage or ""),
        '<span class="failure">failed</span>' if report.failed else '<span class="passed">passed</span>',
        _line(report.properties.get("bundle", "")),
        str(counts[Outcome.PASSED]),
        str(counts[Outcome.FAILURE]),
        str(counts[Outcome.ERROR]),
        str(counts[Outcome.SKIPPED]),
        _moment(report.started),
        _took(*(case.seconds for case in report.cases)),
    ]
    first = f'<th scope="row"><a href="#step-{number}">{_line(report.step)}</a></th>'
    rest = "".join(f"<td{_number(head)}>{cell}</td>" for head, cell in zip(_HEADS[1:], cells, strict=True))
    return f"<tr>{first}{rest}</tr>"


def _failures(reports: Sequence[Report]) -> list[str]:
    """What failed, in full, before everything else."""
    failed = [(report, case) for report in reports for case in report.failed]
    if not failed:
        return []
    return ["<section>", "<h2>What failed</h2>", *(_failure(report, case) for report, case in failed), "</section>"]


def _failure(report: Report, case: Case) -> str:
    where = " ".join(part for part in (report.step, report.stage) if part)
    lines = [
        "<article>",
        f"<h3>{_line(where)}: {_line(_full_name(report, case))}</h3>",
        f'<p><span class="{case.outcome.value}">{_WORDS[case.outcome]}</span>: {_line(case.message, 2_000)}</p>',
    ]
    if case.details.strip() and case.details.strip() != case.message.strip():
        # It may scroll, so the keyboard must reach it.
        lines.append(f'<pre tabindex="0">{escape(presentable(case.details, TEXT_LIMIT))}</pre>')
    return "\n".join([*lines, "</article>"])


def _details(report: Report, number: int) -> list[str]:
    title = " ".join(part for part in (report.step, report.stage) if part)
    rows = [_case_row(report, case) for case in sorted(report.cases, key=lambda case: _ORDER.index(case.outcome))]
    return [
        f'<section id="step-{number}">',
        f"<h2>{_line(title)}</h2>",
        *_properties(report.properties.items()),
        f"<details{' open' if report.failed else ''}>",
        f"<summary>{len(report.cases)} checks</summary>",
        '<div class="scroll">',
        "<table>",
        '<thead><tr><th scope="col">check</th><th scope="col">result</th><th scope="col">says</th>'
        '<th scope="col" class="number">took</th></tr></thead>',
        "<tbody>",
        *rows,
        "</tbody>",
        "</table>",
        "</div>",
        "</details>",
        "</section>",
    ]


def _case_row(report: Report, case: Case) -> str:
    return (
        f'<tr><th scope="row">{_line(_full_name(report, case))}</th>'
        f'<td class="result"><span class="{case.outcome.value}">{_WORDS[case.outcome]}</span></td>'
        f'<td class="says">{_line(case.message, 500)}</td>'
        f'<td class="number">{_took(case.seconds)}</td></tr>'
    )


def _properties(properties: Iterable[tuple[str, str]]) -> list[str]:
    rows = [f"<dt>{_line(name)}</dt><dd>{_value(value)}</dd>" for name, value in properties]
    return ["<dl>", *rows, "</dl>"] if rows else []


def _value(text: str) -> str:
    """A link where the value is the address of something on the web, and nothing but that."""
    shown = _line(text, 2_000)
    return f'<a href="{shown}">{shown}</a>' if text.startswith(("https://", "http://")) else shown


def _full_name(report: Report, case: Case) -> str:
    """The name with what the class has beyond the report's own."""
    inner = case.classname.removeprefix(report.classname).strip(".")
    return f"{inner}: {case.name}" if inner else case.name


def _moment(seconds: float) -> str:
    if not seconds:
        return ""
    time = datetime.fromtimestamp(seconds, timezone.utc)
    return f'<time datetime="{time:%Y-%m-%dT%H:%M:%SZ}">{time:%Y-%m-%d %H:%M:%S}</time>'


def _took(*seconds: float) -> str:
    return duration(round(sum(value for value in seconds if 0 < value < _LONGEST), 1))


def _number(head: str) -> str:
    return ' class="number"' if head in ("passed", "failed", "errors", "skipped", "took") else ""


def _line(text: str, limit: int = _NAME_LIMIT) -> str:
    return escape(one_line(text, limit))
