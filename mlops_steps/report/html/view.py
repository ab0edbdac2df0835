"""From reports and facts to what the template shows. What comes from elsewhere is cleaned and masked here."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone

from mlops_steps.report.attachments import Difference, Figure, PastRelease
from mlops_steps.report.html.facts import Facts, Span, Verdict
from mlops_steps.report.html.folder import BEGAN, Found
from mlops_steps.report.html.timeline import Bar, bars
from mlops_steps.report.model import Case, Outcome, Report
from mlops_steps.system.text import one_line, presentable
from mlops_steps.system.waiting import duration

TEXT_LIMIT = 20_000  # bytes of one text of a check
TOTAL_LIMIT = 4_000_000  # bytes of all these texts of a page, about
_LEAST_LIMIT = 1_000
MOST_CHECKS = 2_000  # of one step; those that passed are left out first
_NAME_LIMIT = 300
_LONGEST = 1e9  # seconds; nothing can have taken longer

#: The property of a report that holds how long its step took, in seconds.
TOOK = "took"
NEXT = "next"

WORDS = {Outcome.PASSED: "passed", Outcome.FAILURE: "failed", Outcome.ERROR: "error", Outcome.SKIPPED: "skipped"}
_ORDER = [Outcome.FAILURE, Outcome.ERROR, Outcome.SKIPPED, Outcome.PASSED]
_IN_GENERAL = "look at what failed, put it right on the Design node, then run the pipeline again"
#: What the names of properties begin with that hold what was measured.
_MEASURED = ("gate", "canary")
_GATE_FIELDS = ("verdict", "value", "limit", "interval", "rows", "source")
TOPICS = {
    "champion": "Candidate against champion",
    "drift": "Drift of each feature",
    "service": "How the service answers",
    "monitored": "Monitored since",
    "other": "Other figures",
}


@dataclass(frozen=True)
class Check:
    """A test case; ``texts`` are a heading and a text each, in the order in which they are to be read."""

    anchor: str
    name: str
    outcome: str
    word: str
    message: str
    took: str
    texts: tuple[tuple[str, str], ...]

    @property
    def failed(self) -> bool:
        """Whether it is a failure or an error."""
        return self.outcome in ("failure", "error")


@dataclass(frozen=True)
class StepView:
    """A step with all its checks; ``left_out`` of them are not on the page."""

    anchor: str
    title: str
    failed: bool
    counts: str
    began: str
    took: str
    properties: tuple[tuple[str, str], ...]
    checks: tuple[Check, ...]
    left_out: int


@dataclass(frozen=True)
class FigureView:
    """A figure as a table; ``file`` names its picture, if there is one."""

    figure: Figure
    heads: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    file: str = ""
    width: int = 0
    height: int = 0


@dataclass
class Page:
    """All that the template shows."""

    title: str
    subject: str
    verdict: Verdict
    facts: tuple[tuple[str, str], ...]
    unreadable: tuple[str, ...]
    failures: tuple[tuple[str, Check], ...]
    timeline: tuple[Bar, ...]
    steps: tuple[StepView, ...]
    gates: tuple[dict[str, str], ...]
    figures: dict[str, list[FigureView]] = field(default_factory=dict)
    changes: tuple[str, ...] = ()
    differences: tuple[Difference, ...] = ()
    releases: tuple[PastRelease, ...] = ()


def page(found: Found, facts: Facts | None = None) -> Page:
    """The page of these reports."""
    facts = facts or Facts()
    reports = found.reports
    projects = ", ".join(dict.fromkeys(_line(report.project) for report in reports if report.project))
    steps = _steps(reports)
    attached = [report.attachments for report in reports if report.attachments]
    figures: dict[str, list[FigureView]] = {}
    # Gates may run in `test` and in `release`: the later figure of a name counts.
    for figure in {figure.name: figure for each in attached for figure in each.figures}.values():
        figures.setdefault(TOPICS[figure.topic], []).append(figure_view(figure))
    differences = [one for each in attached for one in each.differences]
    return Page(
        title=projects or "mlops-steps",
        subject=_line(facts.subject),
        verdict=facts.verdict or _verdict(reports, found.unreadable),
        facts=tuple((_line(name), _line(value)) for name, value in facts.lines),
        unreadable=tuple(_line(text) for text in found.unreadable),
        failures=tuple((step.title, check) for step in steps for check in step.checks if check.failed),
        timeline=tuple(_timeline(reports, facts, steps)),
        steps=tuple(steps),
        gates=tuple(gate for report in reports for gate in _gates(report)),
        figures={title: figures[title] for title in TOPICS.values() if title in figures},
        changes=() if any(one.commits for one in differences) else tuple(_line(line) for line in facts.changes),
        differences=tuple(differences[-1:]),
        releases=tuple(next((each.releases for each in reversed(attached) if each.releases), [])[-40:]),
    )


def _verdict(reports: Sequence[Report], unreadable: Sequence[str]) -> Verdict:
    """Without a release record: what the checks alone say."""
    failed = sum(len(report.failed) for report in reports)
    count = sum(len(report.cases) for report in reports)
    if failed:
        return Verdict("bad", f"{failed} of {count} checks failed.", next_step(reports))
    if unreadable:
        return Verdict("doubt", "Not every report could be read, so nobody knows whether all checks passed.")
    if not reports:
        return Verdict("open", "No step has run.")
    return Verdict("good", f"All {count} checks passed or do not apply.")


def next_step(reports: Sequence[Report], *, last: bool = False) -> str:
    """What the first (or the last) step that failed said is to be done next; "" when none has failed."""
    failed = [_line(report.properties.get(NEXT, ""), 500) for report in reports if report.failed]
    return (failed[-1 if last else 0] or _IN_GENERAL) if failed else ""


def _steps(reports: Sequence[Report]) -> list[StepView]:
    texts = sum(bool(text) for report in reports for case in report.cases for text in (case.details, case.stdout))
    limit = max(_LEAST_LIMIT, min(TEXT_LIMIT, TOTAL_LIMIT // max(1, texts)))
    return [_step(report, number, limit) for number, report in enumerate(reports, 1)]


def _step(report: Report, number: int, limit: int) -> StepView:
    cases = sorted(report.cases, key=lambda case: _ORDER.index(case.outcome))
    counts = Counter(case.outcome for case in cases)
    shown = cases[:MOST_CHECKS]
    return StepView(
        f"step-{number}",
        title(report),
        bool(report.failed),
        ", ".join(f"{counts[outcome]} {WORDS[outcome]}" for outcome in _ORDER if counts[outcome]) or "no checks",
        moment(report.started),
        took(report),
        tuple(
            (_line(name), _line(value, 2_000))
            for name, value in report.properties.items()
            if name not in (BEGAN, TOOK, NEXT) and name.partition(".")[0] not in _MEASURED
        ),
        tuple(_check(report, case, f"check-{number}-{index}", limit) for index, case in enumerate(shown, 1)),
        len(cases) - len(shown),
    )


def _check(report: Report, case: Case, anchor: str, limit: int) -> Check:
    texts = []
    details = case.details.strip()
    if details and details != case.message.strip() and details != case.stdout.strip():
        texts.append(("What it says", presentable(details, limit)))
    for heading, text in (("Log", case.stdout), ("Errors", case.stderr)):
        if text.strip():
            texts.append((heading, presentable(text.strip("\n"), limit)))
    return Check(
        anchor,
        _line(_full_name(report, case)),
        case.outcome.value,
        WORDS[case.outcome],
        _line(case.message, 2_000),
        _seconds(case.seconds),
        tuple(texts),
    )


def _gates(report: Report) -> Iterable[dict[str, str]]:
    found: dict[str, dict[str, str]] = {}
    for name, value in report.properties.items():
        kind, _, inner = name.partition(".")
        gate, _, what = inner.rpartition(".")
        if kind == "canary":
            step, _, gate = gate.rpartition(".")
            gate = f"canary {step} %: {gate}"
        if kind in _MEASURED and gate and what in _GATE_FIELDS:
            found.setdefault(gate, dict.fromkeys(_GATE_FIELDS, ""))[what] = _line(value, 500)
    said = {case.name: case.message or case.stdout.partition("\n")[0] for case in report.cases}
    for gate, values in found.items():
        yield {"name": _line(gate), "says": _line(said.get(f"gate {gate}", ""), 500), "stage": title(report), **values}


def _timeline(reports: Sequence[Report], facts: Facts, steps: Sequence[StepView]) -> list[Bar]:
    spans = [
        Span(title(report), report.started, report.started + took_seconds(report), _word(report)) for report in reports
    ]
    return bars([*spans, *facts.spans], {step.title: step.anchor for step in steps})


def _word(report: Report) -> str:
    return "failed" if report.failed else "passed"


def figure_view(figure: Figure) -> FigureView:
    """The numbers of a figure as a table: one column for each series where they share their ``x``."""
    lines = figure.series
    name = figure.x or ("name" if figure.kind == "bars" else "x")
    if lines and all(line.x == lines[0].x for line in lines):
        limits = figure.limits if figure.kind == "bars" and len(figure.limits) == len(lines[0].x) else ()
        heads = (name, *(line.name for line in lines), *(("limit",) if limits else ()))
        columns = [lines[0].x, *(line.y for line in lines), *((limits,) if limits else ())]
        rows = tuple(tuple(_number(value) for value in row) for row in zip(*columns, strict=False))
        return FigureView(figure, heads, rows)
    rows = tuple((line.name, _number(x), _number(y)) for line in lines for x, y in zip(line.x, line.y, strict=False))
    return FigureView(figure, ("line", name, figure.y or "y"), rows)


def _number(value: float | str) -> str:
    return value if isinstance(value, str) else f"{value:.4g}"


def title(report: Report) -> str:
    """``test on uat``: the step and its stage."""
    return _line(" on ".join(part for part in (report.step, report.stage) if part))


def took_seconds(report: Report) -> float:
    """How long the step took: as it has said, or the sum of its checks."""
    try:
        seconds = float(report.properties.get(TOOK, ""))
    except ValueError:
        seconds = sum(case.seconds for case in report.cases if 0 < case.seconds < _LONGEST)
    return seconds if 0 < seconds < _LONGEST else 0.0


def took(report: Report) -> str:
    """The same in words."""
    return duration(round(took_seconds(report), 1))


def moment(seconds: float) -> str:
    """A time in UTC to the second; "" for 0, which stands for none."""
    return datetime.fromtimestamp(seconds, timezone.utc).strftime("%Y-%m-%d %H:%M:%S") if seconds else ""


def _seconds(seconds: float) -> str:
    return duration(round(seconds, 1)) if 0 < seconds < _LONGEST else "0s"


def _full_name(report: Report, case: Case) -> str:
    """The name with what the class has beyond the report's own."""
    inner = case.classname.removeprefix(report.classname).strip(".")
    return f"{inner}: {case.name}" if inner else case.name


def _line(text: str, limit: int = _NAME_LIMIT) -> str:
    return one_line(text, limit)
