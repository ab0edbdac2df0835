"""Reports that others wrote are read tolerantly, and nothing in them is trusted."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlops_steps.errors import ReportError
from mlops_steps.report import junit_parse
from mlops_steps.report.junit_parse import parse, suite
from mlops_steps.report.model import Outcome


def names(data: str | bytes) -> list[tuple[str, str]]:
    return [(case.classname, case.name) for case in parse(data.encode() if isinstance(data, str) else data)]


def test_both_roots_and_suites_within_suites_are_read_in_order() -> None:
    inner = (
        '<testsuite name="S"><testcase name="a" classname="c"/>'
        '<testsuite name="T"><testcase name="b"/></testsuite><testcase name="d"/></testsuite>'
    )
    expected = [("c", "a"), ("T", "b"), ("S", "d")]
    assert names(inner) == expected
    assert names(f"<testsuites>{inner}</testsuites>") == expected


def test_a_namespace_and_unknown_elements_do_not_matter() -> None:
    case = '<testcase name="a"><failure message="m"/><odd/></testcase>'
    data = f'<testsuite xmlns="urn:x" name="S"><extra/>{case}</testsuite>'
    assert names(data) == [("S", "a")]
    assert parse(data.encode())[0].outcome is Outcome.FAILURE


def test_outcomes_messages_times_and_outputs_are_kept() -> None:
    data = b"""<testsuite name="S">
      <testcase name="f" time="1,234.5"><failure message="m">one</failure><failure>two</failure>
        <system-out>out</system-out><system-err>err</system-err></testcase>
      <testcase name="e" time="nan"><failure/><error message="boom">stack</error></testcase>
      <testcase name="s" time="x"><skipped message="why"/></testcase>
      <testcase name="p" time="-1"><properties><property name="k" value="v"/></properties></testcase>
    </testsuite>"""
    failed, error, skipped, passed = parse(data)
    assert (failed.outcome, failed.message, failed.details) == (Outcome.FAILURE, "m", "one\ntwo")
    assert (failed.seconds, failed.stdout, failed.stderr) == (1234.5, "out", "err")
    assert (error.outcome, error.message, error.details, error.seconds) == (Outcome.ERROR, "boom", "stack", 0.0)
    assert (skipped.outcome, skipped.message, skipped.seconds) == (Outcome.SKIPPED, "why", 0.0)
    assert (passed.outcome, passed.seconds) == (Outcome.PASSED, 0.0)


@pytest.mark.parametrize(
    "data",
    [
        b'\n\n  <?xml version="1.0"?><testsuite name="S"><testcase name="a"/></testsuite>\n',
        b'\xef\xbb\xbf<testsuite name="S"><testcase name="a"/></testsuite>',
        '<?xml version="1.0" encoding="UTF-16"?><testsuite name="S"><testcase name="a"/></testsuite>'.encode("utf-16"),
        b'<testsuite name="S"><testcase name="\x1b[31ma\x1b[0m"/></testsuite>',
        b'<testsuite name="S"><testcase name="&#27;&#x1b;a"/></testsuite>',
        b'<testsuite name="S"><testcase name="a"/><system-out>\xff\x00</system-out></testsuite>',
        b'<?xml version="1.0" encoding="no-such"?><testsuite name="S"><testcase name="a"/></testsuite>',
    ],
)
def test_small_faults_are_put_right(data: bytes) -> None:
    assert names(data) == [("S", "a")]


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "is not XML"),
        (b"not xml", "is not XML"),
        (b"<testsuite><testcase", "is not XML"),
        (b"<html><body/></html>", "is not JUnit XML: its first element is 'html'"),
        (b'<!DOCTYPE t SYSTEM "http://127.0.0.1:1/x.dtd"><testsuite/>', "DTD"),
        (b'<!DOCTYPE t [<!ENTITY a "aaaa">]><testsuite name="&a;"/>', "DTD"),
        (b'<!DOCTYPE t [<!ENTITY a SYSTEM "file:///etc/hostname">]><testsuite>&a;</testsuite>', "DTD"),
        (b"<testsuite>" * 60 + b"</testsuite>" * 60, "deep"),
    ],
)
def test_garbage_and_attacks_are_refused_in_one_line(data: bytes, says: str) -> None:
    with pytest.raises(ReportError, match=says) as caught:
        parse(data, source="the report of run 1")
    assert str(caught.value).startswith("the report of run 1 ")
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == 3


def test_sizes_are_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(junit_parse, "CASES_LIMIT", 3)
    monkeypatch.setattr(junit_parse, "ELEMENTS_LIMIT", 9)
    assert len(parse(b"<testsuite>" + b'<testcase name="a"/>' * 3 + b"</testsuite>")) == 3
    with pytest.raises(ReportError, match="more than 3 test cases"):
        parse(b"<testsuite>" + b'<testcase name="a"/>' * 4 + b"</testsuite>")
    with pytest.raises(ReportError, match="more than 9 elements"):
        parse(b"<testsuite>" + b"<x/>" * 9 + b"</testsuite>")
    monkeypatch.setattr(junit_parse, "SIZE_LIMIT", 100)
    with pytest.raises(ReportError, match="too big: 101 bytes"):
        parse(b"x" * 101)


@given(st.binary(max_size=200) | st.text(max_size=100).map(lambda text: f"<testsuite>{text}</testsuite>".encode()))
def test_no_bytes_end_in_another_error(data: bytes) -> None:
    try:
        parse(data)
    except ReportError:
        pass


@pytest.mark.parametrize(
    ("timestamp", "started"),
    [
        ("2025-11-23T22:00:00Z", 1_763_935_200.0),
        ("2025-11-23T22:00:00", 1_763_935_200.0),
        ("2025-11-23T23:00:00+01:00", 1_763_935_200.0),
        ("yesterday", None),
        ("", None),
    ],
)
def test_the_start_of_a_suite_is_read_as_utc(timestamp: str, started: float | None) -> None:
    properties = '<properties><property name="a" value="b"/></properties>'
    data = f'<testsuites><testsuite timestamp="{timestamp}">{properties}</testsuite></testsuites>'
    assert suite(data.encode()) == junit_parse.Suite({"a": "b"}, started)


def test_a_document_without_a_suite_has_no_properties() -> None:
    assert suite(b"<testsuites/>") == junit_parse.Suite({}, None)
