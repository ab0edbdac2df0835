"""The summary page: complete, escaped, and without anything that Jenkins' policy blocks."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given, settings
from lxml import html as lxml_html

from mlops_steps.errors import ReportError
from mlops_steps.report import html, junit
from mlops_steps.report.model import Case, Outcome, Report
from mlops_steps.system import secrets
from tests.report.test_junit import REPORTS

VOID = {"meta", "link"}
TAGS = {"html", "head", "meta", "title", "link", "body", "main", "h1", "h2", "h3", "p", "div", "a", "span", "time"}
TAGS |= {"table", "caption", "thead", "tbody", "tr", "th", "td", "section", "article", "pre", "dl", "dt", "dd"}
TAGS |= {"details", "summary"}


class Checker(HTMLParser):
    """Fails on elements out of balance, and on what was not written by the page itself."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in TAGS
        for name, value in attrs:
            assert name != "style"
            assert not name.startswith("on")
            assert not (name == "href" and str(value).lower().startswith(("javascript:", "data:")))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def check(page: str) -> None:
    checker = Checker()
    checker.feed(page)
    checker.close()
    assert checker.open == []


def churn() -> list[Report]:
    validate = Report("DKU_CHURN", "validate", started=1_763_935_200.0)
    validate.add(Case("recipe prepare: lines"))
    test = Report("DKU_CHURN", "test", "uat", started=1_763_935_300.0)
    test.set(bundle="128-4f2c1aa", build_url="https://jenkins.example.com/job/churn/128/")
    test.add(Case("TEST_DATA", seconds=12))
    test.add(Case("TEST_MODEL", Outcome.FAILURE, "0.71 < 0.80 <script>alert(1)</script>", "the <b>log</b>", 75))
    test.add(Case("TEST_FLOW", Outcome.ERROR, "not started"))
    return [validate, test]


def test_what_failed_comes_first_then_each_step_with_its_properties() -> None:
    document = lxml_html.fromstring(html.page(churn(), "s.css"))
    assert document.findtext(".//p[@class='verdict failure']") == "2 of 4 checks failed."
    assert [head.text_content() for head in document.iter("h2")] == ["What failed", "validate", "test uat"]
    assert [head.text_content() for head in document.iter("h3")] == ["test uat: TEST_MODEL", "test uat: TEST_FLOW"]
    rows = [[cell.text_content() for cell in row] for row in document.findall(".//table[@class='overview']/tbody/tr")]
    assert rows[0] == ["validate", "", "passed", "", "1", "0", "0", "0", "2025-11-23 22:00:00", "0s"]
    assert rows[1][:8] == ["test", "uat", "failed", "128-4f2c1aa", "1", "1", "1", "0"]
    test = document.get_element_by_id("step-2")
    checks = [row[0].text_content() for row in test.findall(".//tbody/tr")]
    assert checks == ["TEST_MODEL", "TEST_FLOW", "TEST_DATA"]
    assert test.find(".//dd/a").get("href") == "https://jenkins.example.com/job/churn/128/"


def test_texts_are_escaped_and_nothing_is_inline() -> None:
    page = html.page(churn(), "s.css")
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "<script" not in page
    assert "style=" not in page
    check(page)


@given(REPORTS)
@settings(max_examples=60, deadline=None)
def test_any_texts_give_a_page_in_balance(report: Report) -> None:
    check(html.page([report], "s.css", [report.step]))


def test_the_parts_have_what_assistive_technology_needs() -> None:
    document = lxml_html.fromstring(html.page(churn(), "s.css"))
    assert document.get("lang") == "en"
    assert document.find("head/title").text == "mlops-steps: DKU_CHURN"
    assert all(head.get("scope") in ("col", "row") for head in document.iter("th"))
    assert all(block.get("tabindex") == "0" for block in document.iter("pre"))


def test_addresses_of_other_kinds_are_no_links() -> None:
    report = Report("P", "test", properties={"url": "javascript:alert(1)"})
    assert "<a href" not in html.page([report], "s.css").split("<dl>")[1]


def test_secrets_are_masked() -> None:
    before = secrets._forms
    secrets.register("dkuaps-0123456789abcdef")
    report = Report("P", "test", properties={"url": "https://u:pass-word@host/"})
    report.add(Case("a", Outcome.FAILURE, "dkuaps-0123456789abcdef", "dkuaps-0123456789abcdef!"))
    page = html.page([report], "s.css")
    secrets._forms = before
    assert "0123456789abcdef" not in page
    assert "pass-word" not in page


def test_the_summary_of_a_folder_has_all_reports_in_the_order_of_their_start(tmp_path: Path) -> None:
    for report in reversed(churn()):
        junit.write(report, tmp_path / report.file_name)
    (tmp_path / "mlops-broken.xml").write_text("<x")
    path = html.update(tmp_path)
    document = lxml_html.fromstring(path.read_text())
    steps = [cell.text_content() for cell in document.findall(".//table[@class='overview']/tbody/tr/th")]
    assert steps == ["validate", "test"]
    assert "mlops-broken.xml is not XML" in document.findtext(".//p[@class='verdict error']")
    assert document.find("head/link").get("href") == "mlops-summary.css"
    assert "font" in path.with_suffix(".css").read_text()


def test_a_folder_without_reports_says_so(tmp_path: Path) -> None:
    assert "No step has run." in html.update(tmp_path).read_text()


def test_a_summary_that_cannot_be_written_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ReportError, match="could not be written"):
        html.write_summary(churn(), tmp_path / "file" / "summary.html")


def test_the_example_of_the_documentation_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = (Path(__file__).parents[2] / "docs" / "reports.md").read_text()
    monkeypatch.chdir(tmp_path)
    exec(re.search(r"```python\n(.*?)```", text, re.DOTALL)[1], {})
    assert sorted(path.name for path in (tmp_path / "reports").iterdir()) == [
        "mlops-nightly-uat.xml",
        "mlops-summary.css",
        "mlops-summary.html",
    ]


@pytest.mark.parametrize(
    ("reports", "unreadable", "verdicts"),
    [
        (1, (), ["All 1 checks passed or do not apply."]),
        (1, ("a.xml: not XML",), ["a.xml: not XML"]),  # nobody knows what that report holds
        (2, ("a.xml: not XML",), ["2 of 4 checks failed.", "a.xml: not XML"]),
        (0, (), ["No step has run."]),
    ],
)
def test_all_passed_only_when_every_report_could_be_read(
    reports: int, unreadable: tuple[str, ...], verdicts: list[str]
) -> None:
    document = lxml_html.fromstring(html.page(churn()[:reports], "s.css", unreadable))
    found = [line.text_content() for line in document.iter("p") if str(line.get("class")).startswith("verdict")]
    assert found == verdicts
