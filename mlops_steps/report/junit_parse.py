"""Reading JUnit XML that others wrote: DSS, pytest. It is tolerant of dialects, and trusts nothing."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timezone
from xml.etree.ElementTree import Element, ParseError, TreeBuilder

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import DefusedXMLParser

from mlops_steps.errors import ReportError
from mlops_steps.report.model import Case, Outcome
from mlops_steps.system.text import clean

SIZE_LIMIT = 64 * 1024 * 1024  # bytes
DEPTH_LIMIT = 50  # elements within each other
CASES_LIMIT = 50_000
# With more elements than this it is not a test report.
ELEMENTS_LIMIT = 10 * CASES_LIMIT

_REFERENCE = re.compile(r"&#(?:x([0-9a-fA-F]{1,8})|([0-9]{1,8}));")
_XML_DECLARATION = re.compile(r"^\s*<\?xml[^>]*\?>")


def parse(data: bytes, *, source: str = "the report") -> list[Case]:
    """The cases of a JUnit XML document, in its order; ``classname`` is as it stands there, or the suite's name.

    The root may be ``testsuites`` or ``testsuite``, suites may lie within suites. Documents with a DTD or entities,
    too big, too deep, or no JUnit XML at all raise :class:`ReportError`, which begins with ``source``.
    """
    root = _root(data, source)
    if _tag(root) not in ("testsuites", "testsuite"):
        raise ReportError(f"{source} is not JUnit XML: its first element is {_tag(root)!r}")
    cases = []
    for suite_name, element in _test_cases(root):
        cases.append(_case(element, suite_name))
        if len(cases) > CASES_LIMIT:
            raise ReportError(f"{source} has more than {CASES_LIMIT} test cases")
    return cases


@dataclass(frozen=True)
class Suite:
    """What a document says of its first suite. ``started`` is in seconds since 1970, None when it does not say."""

    properties: dict[str, str]
    started: float | None


def suite(data: bytes, *, source: str = "the report") -> Suite:
    """The properties and the start of the first suite of a JUnit XML document. Raises what :func:`parse` raises."""
    first = next((element for element in _root(data, source).iter() if _tag(element) == "testsuite"), None)
    if first is None:
        return Suite({}, None)
    groups = [child for child in first if _tag(child) == "properties"]
    found = [element for group in groups for element in group if _tag(element) == "property"]
    return Suite(
        {element.get("name", ""): element.get("value", "") for element in found}, _time(first.get("timestamp", ""))
    )


class _Limited(TreeBuilder):
    """Builds a tree that is neither too deep nor too big."""

    def __init__(self) -> None:
        super().__init__()
        self._depth = 0
        self._count = 0

    def start(self, tag: str, attrs: dict[str, str], /) -> Element:
        self._depth += 1
        self._count += 1
        if self._depth > DEPTH_LIMIT:
            raise ReportError(f"elements lie more than {DEPTH_LIMIT} deep")
        if self._count > ELEMENTS_LIMIT:
            raise ReportError(f"it has more than {ELEMENTS_LIMIT} elements")
        return super().start(tag, attrs)

    def end(self, tag: str, /) -> Element:
        self._depth -= 1
        return super().end(tag)


def _root(data: bytes, source: str) -> Element:
    if len(data) > SIZE_LIMIT:
        raise ReportError(f"{source} is too big: {len(data)} bytes, the limit is {SIZE_LIMIT}")
    data = data.lstrip(b" \t\r\n")
    try:
        return _tree(data)
    except DefusedXmlException as error:
        kind = type(error).__name__
        raise ReportError(f"{source} has a DTD or entities, which a test report must not: {kind}") from None
    except ReportError as error:
        raise ReportError(f"{source} is refused: {error.message}") from None
    except (ParseError, ValueError, LookupError) as error:
        raise ReportError(f"{source} is not XML: {error}") from None


def _tree(data: bytes) -> Element:
    try:
        return _strict_tree(data)
    except (ParseError, LookupError):
        # A log with control characters was pasted in, or the encoding is not what it says.
        return _strict_tree(_repaired(data))


def _strict_tree(data: bytes) -> Element:
    parser = DefusedXMLParser(target=_Limited(), forbid_dtd=True, forbid_entities=True, forbid_external=True)
    parser.feed(data)
    root: Element = parser.close()
    return root


def _repaired(data: bytes) -> bytes:
    text = _XML_DECLARATION.sub("", clean(data.decode("utf-8-sig", "replace")))
    return _REFERENCE.sub(lambda match: match[0] if _allowed(match) else "", text).encode()


def _allowed(match: re.Match[str]) -> bool:
    code = int(match[1], 16) if match[1] else int(match[2])
    return code in (9, 10, 13) or 0x20 <= code <= 0xD7FF or 0xE000 <= code <= 0xFFFD or 0x10000 <= code <= 0x10FFFF


def _test_cases(root: Element) -> Iterator[tuple[str, Element]]:
    """The test cases in the order of the document, each with the name of the suite that it is in."""
    stack = [("", root)]
    while stack:
        suite_name, element = stack.pop()
        if _tag(element) == "testcase":
            yield suite_name, element
        elif _tag(element) in ("testsuites", "testsuite"):
            name = element.get("name", "") if _tag(element) == "testsuite" else ""
            stack.extend((name or suite_name, child) for child in reversed(element))


def _case(element: Element, suite_name: str) -> Case:
    children: dict[str, list[Element]] = {}
    for child in element:
        children.setdefault(_tag(child), []).append(child)
    case = Case(
        element.get("name", ""),
        classname=element.get("classname") or suite_name,
        seconds=_seconds(element.get("time", "")),
        stdout=_texts(children.get("system-out", [])),
        stderr=_texts(children.get("system-err", [])),
    )
    for tag, outcome in (("error", Outcome.ERROR), ("failure", Outcome.FAILURE), ("skipped", Outcome.SKIPPED)):
        if found := children.get(tag):
            case.outcome = outcome
            case.message = found[0].get("message", "")
            case.details = _texts(found)
            break
    return case


def _texts(elements: list[Element]) -> str:
    texts = ("".join(element.itertext()) for element in elements)
    return "\n".join(text for text in texts if text)


def _tag(element: Element) -> str:
    return element.tag.rpartition("}")[2] if isinstance(element.tag, str) else ""


def _time(text: str) -> float | None:
    """Seconds since 1970; a time without a zone is UTC."""
    try:
        # Python 3.10 does not know the Z.
        time = datetime.fromisoformat(re.sub("[zZ]$", "+00:00", text))
        return (time if time.tzinfo else time.replace(tzinfo=timezone.utc)).timestamp()
    except (ValueError, OverflowError):
        return None


def _seconds(text: str) -> float:
    try:
        seconds = float(text.replace(",", ""))
    except ValueError:
        return 0.0
    return max(0.0, seconds) if math.isfinite(seconds) else 0.0
