"""JUnit XML as Jenkins reads it: writing a step's report, reading those of DSS and pytest."""

from __future__ import annotations

import socket
from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import datetime, timezone
from itertools import islice
from pathlib import Path

# Builds documents only; what is read goes through defusedxml (see junit_parse).
from xml.etree import ElementTree

from junit_xml import TestCase, TestSuite

from mlops_steps.errors import ReportError
from mlops_steps.report.junit_parse import parse, suite
from mlops_steps.report.model import Case, Outcome, Report
from mlops_steps.system.files import write_atomically
from mlops_steps.system.text import one_line, presentable

__all__ = ["distinct", "merge", "parse", "read", "suite", "to_bytes", "write"]

NAME_LIMIT = 300  # characters of a name
MESSAGE_LIMIT = 4_000  # bytes of a message, which is an attribute
TEXT_LIMIT = 100_000  # bytes of any other text: details, stdout, stderr
TOTAL_LIMIT = 20_000_000  # bytes of all these texts of a report, about
LEAST_LIMIT = 2_000  # bytes that each text may have however many there are

UNNAMED = "(unnamed)"

# What stands for the cases in the document around them, and what stands between two chunks of them.
_PLACE = "<testcase />"
_BETWEEN = "\n    "
_CHUNK = 1000

# Jenkins' schemas (junit-4.xsd and later) in their order; attributes that are not here are not written.
_SUITES = ("name", "tests", "failures", "errors", "time")
_SUITE = ("name", "tests", "failures", "errors", "skipped", "time", "timestamp", "hostname")
_CASE = ("name", "time", "classname")
_SUITE_CHILDREN = ("properties", "testcase", "system-out", "system-err")
_CASE_CHILDREN = ("skipped", "error", "failure", "system-out", "system-err")


def write(report: Report, path: Path) -> None:
    """Writes the report as JUnit XML, whole or not at all.

    Texts are cleaned, masked and shortened; cases of the same name and class are told apart by a number. Raises
    :class:`ReportError` when the file cannot be written; a file that was there is then unchanged.
    """
    try:
        write_atomically(path, _pieces(report))
    except OSError as error:
        raise ReportError(
            f"the report {path} could not be written: {error.strerror or error}",
            next_step="make room or permission for it, and run the step again",
        ) from None


def to_bytes(report: Report) -> bytes:
    """The report as a JUnit XML document in UTF-8: one suite, and one for each of its parts."""
    return b"".join(_pieces(report))


def _pieces(report: Report) -> Iterator[bytes]:
    """The document in pieces, so that a large one is never in memory as a whole."""
    suites = [report, *report.parts]
    cases = [case for one in suites for case in one.cases]
    texts = sum(bool(text) for case in cases for text in (case.details, case.stdout, case.stderr))
    limit = max(LEAST_LIMIT, min(TEXT_LIMIT, TOTAL_LIMIT // max(1, texts)))
    first, *others = _document([_suite(one) for one in suites]).split(_PLACE)
    yield first.encode()
    for one, after in zip((one for one in suites if one.cases), others, strict=True):
        distinct_cases, between = _distinct(one.cases, one.classname), ""
        while chunk := list(islice(distinct_cases, _CHUNK)):
            yield (between + _chunk(chunk, limit)).encode()
            between = _BETWEEN
        yield after.encode()


def _suite(report: Report) -> ElementTree.Element:
    """The suite without its cases, in whose place an empty one stands."""
    found = Counter(case.outcome for case in report.cases)
    element: ElementTree.Element = TestSuite(
        _name(report.classname),
        [TestCase("")] if report.cases else [],
        hostname=_name(socket.gethostname()),
        timestamp=datetime.fromtimestamp(report.started, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
        properties=_properties(report),
        stdout=presentable(report.stdout, TEXT_LIMIT),
        stderr=presentable(report.stderr, TEXT_LIMIT),
    ).build_xml_doc()
    for case in element.findall("testcase"):
        case.attrib.clear()
    element.set("tests", str(len(report.cases)))
    element.set("failures", str(found[Outcome.FAILURE]))
    element.set("errors", str(found[Outcome.ERROR]))
    element.set("skipped", str(found[Outcome.SKIPPED]))
    element.set("time", _seconds(sum(max(0.0, case.seconds) for case in report.cases)))
    _order(element, _SUITE, _SUITE_CHILDREN)
    return element


def _document(suites: list[ElementTree.Element]) -> str:
    root = ElementTree.Element("testsuites", _totals(suites))
    root.extend(suites)
    ElementTree.indent(root)
    return f"<?xml version='1.0' encoding='utf-8'?>\n{ElementTree.tostring(root, encoding='unicode')}\n"


def _totals(elements: list[ElementTree.Element]) -> dict[str, str]:
    """The attributes of the root: names of the first suite, sums of the numbers of all."""
    first = elements[0]
    found = {name: first.get(name, "") for name in _SUITES}
    if len(elements) > 1:
        for name in ("tests", "failures", "errors"):
            found[name] = str(sum(int(element.get(name, "0")) for element in elements))
        found["time"] = _seconds(sum(float(element.get("time", "0")) for element in elements))
    return found


def _chunk(cases: list[Case], limit: int) -> str:
    """The elements of some cases, as they stand in the document."""
    suite = TestSuite("", [_test_case(case, limit) for case in cases]).build_xml_doc()
    for element, case in zip(suite.findall("testcase"), cases, strict=True):
        element.set("time", _seconds(case.seconds))
        _order(element, _CASE, _CASE_CHILDREN)
    ElementTree.indent(suite, level=1)
    text = ElementTree.tostring(suite, encoding="unicode")
    return text[text.index("<testcase") : text.rindex("</testsuite>")].rstrip()


def read(path: Path) -> Report:
    """A report that :func:`write` wrote. Raises :class:`ReportError` when there is none, or it is damaged."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ReportError(f"the report {path} could not be read: {error.strerror or error}") from None
    found = suite(data, source=str(path))
    given = dict(found.properties)
    report = Report(given.pop("project", ""), given.pop("step", path.stem), given.pop("stage", None))
    report.properties = given
    report.started = found.started or 0.0
    report.extend(parse(data, source=str(path)))
    return report


def distinct(cases: Iterable[Case], classname: str) -> list[Case]:
    """Copies of the cases with names fit for a report, no two of the same name in one class.

    The second of two gets `` (2)``, and so on in the order of the cases: the same cases get the same names in every
    build. ``classname`` is for cases that have none.
    """
    return list(_distinct(list(cases), classname))


def _distinct(cases: list[Case], classname: str) -> Iterator[Case]:
    names = [_name(case.name) for case in cases]
    fit = {group: _name(group) for group in {case.classname or classname for case in cases}}
    taken = {(fit[case.classname or classname], name) for case, name in zip(cases, names, strict=True)}
    seen: Counter[tuple[str, str]] = Counter()
    for case, name in zip(cases, names, strict=True):
        group = fit[case.classname or classname]
        seen[group, name] += 1
        if (number := seen[group, name]) > 1:
            while (group, f"{name} ({number})") in taken:
                number += 1
            seen[group, name] = number
            name = f"{name} ({number})"
            taken.add((group, name))
        yield _copy(case, name, group)


def merge(report: Report, inner: Iterable[Case], *, scope: str, volatile: Iterable[str] = ()) -> list[Case]:
    """Adds the cases of another tool's report under ``<class of the report>.<scope>[.<their class>]``.

    ``volatile`` are texts that change from build to build (a run's id, a bundle's id): they are taken out of the
    names, by which Jenkins follows a test. Returns the cases that were added.
    """
    volatile = sorted((text for text in volatile if text), key=len, reverse=True)
    added = []
    for case in inner:
        below = ".".join(part for part in _without(case.classname, volatile).split(".") if part.strip())
        group = ".".join(part for part in (report.classname, scope, below) if part)
        added.append(report.add(_copy(case, _without(case.name, volatile), group)))
    return added


def _copy(case: Case, name: str, classname: str) -> Case:
    return Case(name, case.outcome, case.message, case.details, case.seconds, case.stdout, case.stderr, classname)


def _without(text: str, volatile: Iterable[str]) -> str:
    for part in volatile:
        text = text.replace(part, "")
    return text.strip()


def _name(text: str) -> str:
    return one_line(text, NAME_LIMIT) or UNNAMED


def _properties(report: Report) -> dict[str, str]:
    given = {"project": report.project, "step": report.step, "stage": report.stage or "", **report.properties}
    return {_name(name): presentable(value, MESSAGE_LIMIT) for name, value in given.items() if value}


def _test_case(case: Case, limit: int) -> TestCase:
    result = TestCase(
        case.name,
        classname=case.classname,
        stdout=presentable(case.stdout, limit),
        stderr=presentable(case.stderr, limit),
    )
    # The library leaves out a failure or an error that says nothing at all.
    message = presentable(case.message, MESSAGE_LIMIT) or case.outcome.value
    details = presentable(case.details, limit)
    if case.outcome is Outcome.FAILURE:
        result.add_failure_info(message, details)
    elif case.outcome is Outcome.ERROR:
        result.add_error_info(message, details)
    elif case.outcome is Outcome.SKIPPED:
        result.add_skipped_info(message, details)
    return result


def _order(element: ElementTree.Element, attributes: tuple[str, ...], children: tuple[str, ...]) -> None:
    values = {name: element.attrib[name] for name in attributes if name in element.attrib}
    element.attrib.clear()
    element.attrib.update(values)
    element[:] = sorted(element, key=lambda child: children.index(child.tag))


def _seconds(seconds: float) -> str:
    """Never in the form ``1e-05``, which the schema does not know."""
    return f"{max(0.0, seconds):.3f}" if seconds == seconds and seconds != float("inf") else "0.000"
