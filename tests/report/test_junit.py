"""What is written parses as JUnit XML with Jenkins' schema in mind, whatever the texts hold."""

from __future__ import annotations

import errno
import os
import re
import resource
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lxml import etree

from mlops_steps.errors import ReportError
from mlops_steps.report import junit
from mlops_steps.report.model import Case, Outcome, Report
from mlops_steps.system import secrets

SCHEMA = etree.XMLSchema(etree.parse(Path(__file__).with_name("junit.xsd")))

# Any text, lone surrogates and control characters among it, with more of what has a meaning somewhere.
NASTY = st.text(st.characters(codec=None), max_size=40) | st.lists(
    st.sampled_from(["\x1b[31m", "]]>", "<![CDATA[", "&", '"', "\n", "\r\n", "\t", "\ud800", "\x00", "ä", " (2)", "a"]),
    max_size=8,
).map("".join)

CASES = st.builds(
    Case,
    name=NASTY,
    outcome=st.sampled_from(Outcome),
    message=NASTY,
    details=NASTY,
    seconds=st.floats(allow_nan=True, allow_infinity=True),
    stdout=NASTY,
    stderr=NASTY,
    classname=NASTY,
)

REPORTS = st.builds(
    Report,
    project=NASTY,
    step=NASTY,
    stage=st.none() | NASTY,
    cases=st.lists(CASES, max_size=6),
    properties=st.dictionaries(NASTY, NASTY, max_size=3),
    started=st.floats(0, 4e9),
    stdout=NASTY,
    stderr=NASTY,
)


def tree(data: bytes) -> etree._Element:
    """The document, which has to be valid."""
    root = etree.fromstring(data)
    SCHEMA.assertValid(root)
    return root


def report_of(*cases: Case) -> Report:
    report = Report("DKU_CHURN", "test", "uat")
    report.extend(cases)
    return report


@pytest.fixture
def secret() -> Iterator[str]:
    before = secrets._forms
    secrets.register("dkuaps-0123456789abcdef")
    yield "dkuaps-0123456789abcdef"
    secrets._forms = before


@given(REPORTS)
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_any_texts_give_valid_xml_with_the_right_counts(report: Report) -> None:
    suite = tree(junit.to_bytes(report))[0]
    outcomes = [case.outcome for case in report.cases]
    assert int(suite.get("tests")) == len(outcomes) == len(suite.findall("testcase"))
    assert int(suite.get("failures")) == outcomes.count(Outcome.FAILURE) == len(suite.findall("testcase/failure"))
    assert int(suite.get("errors")) == outcomes.count(Outcome.ERROR) == len(suite.findall("testcase/error"))
    assert int(suite.get("skipped")) == outcomes.count(Outcome.SKIPPED) == len(suite.findall("testcase/skipped"))


@given(REPORTS)
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_what_was_written_is_read_back_with_names_and_outcomes(report: Report) -> None:
    cases = junit.parse(junit.to_bytes(report))
    expected = junit.distinct(report.cases, report.classname)
    assert [(case.classname, case.name) for case in cases] == [(case.classname, case.name) for case in expected]
    assert [case.outcome for case in cases] == [case.outcome for case in report.cases]
    assert len({(case.classname, case.name) for case in cases}) == len(cases)


@given(REPORTS)
@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_the_same_cases_get_the_same_names_in_every_build(report: Report) -> None:
    assert junit.distinct(report.cases, "c") == junit.distinct(list(report.cases), "c")


@given(st.lists(st.sampled_from(["a", "a (2)", "a (3)", " a ", "b"]), max_size=12))
def test_names_are_told_apart_even_where_a_number_is_taken(names: list[str]) -> None:
    distinct = [case.name for case in junit.distinct([Case(name) for name in names], "c")]
    assert len(set(distinct)) == len(names)
    # The first of each name keeps it.
    for name in set(names):
        assert name.strip() in distinct


def test_attributes_and_children_are_in_the_order_of_jenkins_schema() -> None:
    report = report_of(
        Case("failed", Outcome.FAILURE, "bad", "why", 1.5, "out", "err"), Case("skipped", Outcome.SKIPPED, stdout="out")
    )
    report.set(bundle="128-4f2c1aa", infrastructure="auto-test")
    report.stdout = report.stderr = "log"
    suite = tree(junit.to_bytes(report))[0]
    assert [child.tag for child in suite] == ["properties", "testcase", "testcase", "system-out", "system-err"]
    assert list(suite.attrib)[:4] == ["name", "tests", "failures", "errors"]
    assert [child.tag for child in suite[1]] == ["failure", "system-out", "system-err"]
    assert [child.tag for child in suite[2]] == ["skipped", "system-out"]
    assert list(suite[1].attrib) == ["name", "time", "classname"]
    assert suite[1].get("time") == "1.500"
    assert suite[1].get("classname") == "DKU_CHURN.test.uat"


def test_suite_properties_time_and_host_are_written() -> None:
    report = report_of(Case("a", seconds=1), Case("b", seconds=0.25))
    report.started = 1_763_935_200.4
    report.set(bundle="128-4f2c1aa", deployment=None)
    suite = tree(junit.to_bytes(report))[0]
    properties = {element.get("name"): element.get("value") for element in suite.iter("property")}
    assert properties == {"project": "DKU_CHURN", "step": "test", "stage": "uat", "bundle": "128-4f2c1aa"}
    assert (suite.get("time"), suite.get("timestamp")) == ("1.250", "2025-11-23T22:00:00Z")
    assert suite.get("hostname")


def test_very_short_times_are_not_written_with_an_exponent() -> None:
    assert tree(junit.to_bytes(report_of(Case("a", seconds=1e-5))))[0][1].get("time") == "0.000"


def test_terminal_colours_and_forbidden_characters_are_left_out() -> None:
    report = report_of(Case("a", Outcome.ERROR, "\x1b[1;31mred\x1b[0m", "a\x00b\ud800c\x0bd\ufffe", stdout="x\r\ny\rz"))
    case = tree(junit.to_bytes(report)).find(".//testcase")
    assert case.find("error").get("message") == "red"
    assert case.findtext("error") == "abcd"
    assert case.findtext("system-out") == "x\ny\nz"


def test_a_failure_that_says_nothing_is_a_failure_still() -> None:
    suite = tree(junit.to_bytes(report_of(Case("a", Outcome.FAILURE), Case("b", Outcome.ERROR))))[0]
    assert (suite.get("failures"), suite.get("errors")) == ("1", "1")


def test_long_logs_keep_head_and_tail_and_say_what_was_left_out() -> None:
    log = "".join(f"line {number}\n" for number in range(100_000))
    text = tree(junit.to_bytes(report_of(Case("a", stdout=log)))).findtext(".//testcase/system-out")
    assert text.startswith("line 0\n")
    assert text.endswith("line 99999\n")
    assert len(text) < junit.TEXT_LIMIT + 100
    left_out = int(re.search(r"\[… (\d+) bytes left out …\]\n", text)[1])
    kept = re.sub(r"\n\[… \d+ bytes left out …\]\n", "", text)
    assert left_out == len(log) - len(kept)


def test_many_long_logs_together_stay_within_a_bound() -> None:
    report = report_of(*(Case(f"t{number}", stdout="x" * 100_000) for number in range(300)))
    assert len(junit.to_bytes(report)) < 1.1 * junit.TOTAL_LIMIT


def test_secrets_are_masked_in_every_field(secret: str) -> None:
    report = Report("P", "test", f"st-{secret}")
    report.add(Case(f"n {secret}", Outcome.FAILURE, f"m {secret}", f"d {secret}", 0, f"o {secret}", f"e {secret}"))
    report.set(url=f"https://user:{secret}@host/")
    # Colours within the secret do not hide it from the masking.
    report.stdout, report.stderr = f"{secret[:9]}\x1b[0m{secret[9:]}", secret
    data = junit.to_bytes(report).decode()
    assert secret not in data
    assert data.count(secrets.MASK) >= 9


def test_a_secret_at_the_edge_of_a_shortened_text_is_masked(secret: str) -> None:
    log = "x" * (junit.TEXT_LIMIT // 3 - 10) + secret + "y" * junit.TEXT_LIMIT
    assert secret[:8] not in junit.to_bytes(report_of(Case("a", stdout=log))).decode()


def test_merged_cases_lie_below_the_class_of_the_report_with_stable_names() -> None:
    report = Report("DKU_CHURN", "test", "uat")
    inner = [Case("auc of 2026-11-23-08-00-01-123", classname="tests.test_model"), Case("load", classname="")]
    added = junit.merge(report, inner, scope="TEST_MODEL", volatile=["2026-11-23-08-00-01-123", ""])
    assert [(case.classname, case.name) for case in added] == [
        ("DKU_CHURN.test.uat.TEST_MODEL.tests.test_model", "auc of"),
        ("DKU_CHURN.test.uat.TEST_MODEL", "load"),
    ]
    assert report.cases == added


class TestWrite:
    def test_the_file_is_for_its_owner_and_group_at_most(self, tmp_path: Path) -> None:
        path = tmp_path / "deep" / "er" / "mlops-test-uat.xml"
        before = os.umask(0)
        try:
            junit.write(report_of(Case("a")), path)
        finally:
            os.umask(before)
        assert path.stat().st_mode & 0o777 == 0o640
        assert [file.name for file in path.parent.iterdir()] == [path.name]

    def test_what_was_written_is_read_as_the_same_report(self, tmp_path: Path) -> None:
        report = report_of(Case("a", Outcome.FAILURE, "bad", "why", 1.5))
        report.set(bundle="128-4f2c1aa")
        report.started = 1_763_935_200.0
        junit.write(report, tmp_path / report.file_name)
        assert junit.read(tmp_path / report.file_name) == report

    def test_a_symbolic_link_is_replaced_and_not_followed(self, tmp_path: Path) -> None:
        other = tmp_path / "other"
        other.write_text("precious")
        path = tmp_path / "mlops-test.xml"
        path.symlink_to(other)
        junit.write(report_of(Case("a")), path)
        assert other.read_text() == "precious"
        assert not path.is_symlink()

    def test_a_full_disk_is_a_clear_error_and_the_old_file_stays(self, tmp_path: Path) -> None:
        path = tmp_path / "mlops-test.xml"
        path.write_text("old")
        # The limit of the size of files makes write() fail as a full disk does, in a process of its own.
        code = (
            "import resource, signal, sys; from pathlib import Path\n"
            "from mlops_steps.report import junit; from mlops_steps.report.model import Case, Report\n"
            "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
            "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
            "report = Report('P', 'test'); report.add(Case('a', stdout='x' * 50_000))\n"
            "try: junit.write(report, Path(sys.argv[1]))\n"
            "except Exception as error: print(type(error).__name__, error.exit_code, error)\n"
        )
        done = subprocess.run(
            [sys.executable, "-c", code, str(path)], capture_output=True, text=True, timeout=60, check=True
        )
        assert done.stdout.startswith("ReportError 3 the report ")
        assert os.strerror(errno.EFBIG) in done.stdout
        assert path.read_text() == "old"
        assert list(tmp_path.iterdir()) == [path]

    @pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
    def test_a_folder_without_permission_is_a_clear_error(self, tmp_path: Path) -> None:
        tmp_path.chmod(0o500)
        with pytest.raises(ReportError, match="Permission denied"):
            junit.write(report_of(Case("a")), tmp_path / "mlops-test.xml")

    def test_a_file_in_the_place_of_the_folder_is_a_clear_error(self, tmp_path: Path) -> None:
        (tmp_path / "reports").write_text("")
        with pytest.raises(ReportError, match=r"mlops-test\.xml could not be written: "):
            junit.write(report_of(Case("a")), tmp_path / "reports" / "mlops-test.xml")

    def test_a_report_of_many_cases_takes_little_memory_and_time(self, tmp_path: Path) -> None:
        report = report_of(*(Case(f"t{number}", stdout="line\n" * 100) for number in range(5_000)))
        junit.write(report, tmp_path / "mlops-test.xml")
        assert len(junit.parse((tmp_path / "mlops-test.xml").read_bytes())) == 5_000
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss < 2_000_000
