"""The page: complete, escaped, and without anything that Jenkins' policy blocks."""

from __future__ import annotations

from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given, settings
from lxml import html as lxml_html

from mlops_steps.errors import ReportError
from mlops_steps.report import attachments, html, junit
from mlops_steps.report.attachments import Change, Difference, Figure, PastRelease, Series
from mlops_steps.report.html import view
from mlops_steps.report.html.facts import Facts, Verdict
from mlops_steps.report.html.folder import Found
from mlops_steps.report.html.write import render, write
from mlops_steps.report.model import Case, Outcome, Report
from mlops_steps.system import secrets
from tests.report.test_junit import REPORTS

VOID = {"meta", "link", "img", "source"}
TAGS = {
    "html",
    "head",
    "meta",
    "title",
    "link",
    "body",
    "main",
    "header",
    "nav",
    "footer",
    "h1",
    "h2",
    "h3",
    "p",
    "div",
}
TAGS |= {"a", "span", "time", "strong", "ul", "ol", "li", "section", "pre", "dl", "dt", "dd", "details", "summary"}
TAGS |= {"table", "thead", "tbody", "tr", "th", "td", "figure", "figcaption", "picture", "source", "img"}


class Checker(HTMLParser):
    """Fails on elements out of balance, and on what was not written by the page itself."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in TAGS
        for name, value in attrs:
            assert name != "style"
            assert not name.startswith("on")
            assert not (name == "href" and str(value).lower().startswith(("javascript:", "data:")))
            if name == "id":
                self.ids.append(str(value))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def check(page: str) -> None:
    checker = Checker()
    checker.feed(page)
    checker.close()
    assert checker.open == []
    assert len(set(checker.ids)) == len(checker.ids)


def page_of(reports: list[Report], facts: Facts | None = None, unreadable: list[str] | None = None) -> str:
    return render(view.page(Found(reports, unreadable or []), facts))


def document_of(*given: object) -> lxml_html.HtmlElement:
    return lxml_html.fromstring(page_of(*given))


def texts(document: lxml_html.HtmlElement, path: str) -> list[str]:
    return [" ".join(found.text_content().split()) for found in document.findall(path)]


def churn() -> list[Report]:
    validate = Report("DKU_CHURN", "validate", started=1_763_935_200.0)
    validate.add(Case("recipe prepare: lines"))
    test = Report("DKU_CHURN", "test", "uat", started=1_763_935_300.0)
    test.set(bundle="128-4f2c1aa", build_url="https://jenkins.example.com/job/churn/128/", next="fix the model")
    test.set(**{"gate.auc.value": "0.71", "gate.auc.limit": "at least 0.8", "gate.auc.verdict": "failed"})
    test.add(Case("TEST_DATA", seconds=12, stdout="rows: 7043"))
    test.add(Case("TEST_MODEL", Outcome.FAILURE, "0.71 < 0.80 <script>alert(1)</script>", "the <b>log</b>", 75))
    test.add(Case("TEST_FLOW", Outcome.ERROR, "not started"))
    return [validate, test]


def everything() -> list[Report]:
    """With all that a report may have attached."""
    reports = churn()
    line = Series(name="candidate", x=(0.0, 0.5, 1.0), y=(0.0, 0.8, 1.0))
    roc = Figure(name="roc", topic="champion", title="ROC", about="The area is 0.83.", series=(line,), diagonal=True)
    bars = Series(name="PSI", x=("state", "minutes"), y=(0.3, 0.01))
    drift = Figure(
        name="d", topic="drift", kind="bars", title="Drift", about="state: 0.3", series=(bars,), limits=(0.2, 0.2)
    )
    found = reports[1].attach()
    found.figures += [roc, drift]
    change = Change(kind="recipe", name="train", what="changed", text="-depth = 3\n+depth = 4\n")
    found.differences.append(
        Difference(old="bundle 127", new="bundle 128", commits=("Deeper (4f2c1aa)",), changes=(change,))
    )
    found.releases += [
        PastRelease(at="2025-11-22 08:00", stage="prod", version="127", result="live"),
        PastRelease(at="2025-11-23 22:00", stage="prod", version="128", result="rolled back", good=False),
    ]
    return reports


def test_the_verdict_comes_first_then_what_failed_then_each_step() -> None:
    document = document_of(churn())
    assert document.find(".//p[@class='verdict']").text == "2 of 4 checks failed."
    assert texts(document, ".//p[@class='next']") == ["Next: fix the model"]
    assert texts(document, ".//h2") == ["What failed", "Stages", "Gates", "Every check"]
    assert texts(document, ".//section[@id='failed']//h3") == ["test on uat: TEST_MODEL", "test on uat: TEST_FLOW"]
    assert texts(document, ".//section[@class='step']/h3") == ["validate", "test on uat"]
    checks = texts(document.get_element_by_id("step-2"), ".//ul[@class='checks']/li//span[@class='took']/..")
    assert [text.split()[1] for text in checks] == ["TEST_MODEL", "TEST_FLOW", "TEST_DATA"]
    assert (
        document.get_element_by_id("step-2").find(".//dd/a").get("href") == "https://jenkins.example.com/job/churn/128/"
    )


def test_each_log_is_there_once() -> None:
    page = page_of(churn())
    assert page.count("the &lt;b&gt;log&lt;/b&gt;") == 1
    assert page.count("rows: 7043") == 1


def test_what_failed_is_open_and_linked_and_the_rest_is_folded() -> None:
    document = document_of(churn())
    links = [link.get("href")[1:] for link in document.findall(".//section[@id='failed']//a")]
    assert [document.get_element_by_id(link).find("details") is not None for link in links] == [True, False]
    assert document.get_element_by_id(links[0]).find("details").get("open") is not None
    assert document.get_element_by_id("step-1").find("details").get("open") is None


def test_gates_are_shown_with_measured_against_limit() -> None:
    (row,) = document_of(churn()).findall(".//section[@id='gates']//tbody/tr")
    assert [cell.text_content() for cell in row][:4] == ["auc", "failed", "0.71", "at least 0.8"]


def test_what_a_canary_has_measured_is_among_the_gates() -> None:
    report = Report("P", "api-release", "live")
    report.set(**{"canary.0.5.latency.value": "0.04", "canary.0.5.latency.verdict": "passed"})
    document = document_of([report])
    (row,) = document.findall(".//section[@id='gates']//tbody/tr")
    assert [cell.text_content() for cell in row][:3] == ["canary 0.5 %: latency", "passed", "0.04"]
    assert "canary.0.5" not in lxml_html.tostring(document).decode()


def test_figures_differences_and_past_releases_are_shown_as_texts() -> None:
    document = document_of(everything())
    assert [text for text in texts(document, ".//h2") if text not in ("What failed", "Stages", "Gates")] == [
        "Candidate against champion",
        "Drift of each feature",
        "What changed",
        "Every check",
        "The last releases",
    ]
    rows = texts(document, ".//section[@id='figures-2']//tbody/tr")
    assert rows == ["state0.30.2", "minutes0.010.2"]
    assert texts(document, ".//pre[@class='diff']/span") == ["-depth = 3", "+depth = 4"]
    assert texts(document, ".//ol[@class='strip']/li") == [
        "127 live 2025-11-22 08:00, prod",
        "128 rolled back 2025-11-23 22:00, prod",
    ]


def test_what_is_known_of_the_release_goes_before_what_the_reports_say() -> None:
    facts = Facts(
        Verdict("good", "Bundle 128 is live."), "bundle 128", (("commit", "4f2c1aa"),), changes=("Since:", "- a")
    )
    document = document_of(churn()[:1], facts)
    assert document.find(".//p[@class='verdict']").text == "Bundle 128 is live."
    assert texts(document, ".//dl[@class='facts']/div") == ["commit4f2c1aa"]
    assert texts(document, ".//section[@id='changes']//li") == ["a"]


def test_texts_are_escaped_and_nothing_is_inline() -> None:
    page = page_of(everything())
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "<script" not in page
    assert "style=" not in page
    check(page)


@given(REPORTS)
@settings(max_examples=60, deadline=None)
def test_any_texts_give_a_page_in_balance(report: Report) -> None:
    facts = Facts(Verdict("bad", report.step, report.step), report.step, ((report.step, report.step),))
    check(page_of([report], facts, [report.step]))


def test_the_parts_have_what_assistive_technology_needs() -> None:
    document = document_of(everything())
    assert document.get("lang") == "en"
    assert document.find("head/title").text == "DKU_CHURN"
    assert all(head.get("scope") in ("col", "row") for head in document.iter("th"))
    assert all(block.get("tabindex") == "0" for block in document.iter("pre"))
    assert [len(list(document.iter(landmark))) for landmark in ("header", "nav", "main", "footer", "h1")] == [1] * 5


def test_addresses_of_other_kinds_are_no_links() -> None:
    report = Report("P", "test", properties={"url": "javascript:alert(1)"})
    assert "<a href" not in page_of([report]).split("<dl>")[1]


def test_secrets_are_masked() -> None:
    before = secrets._forms
    secrets.register("dkuaps-0123456789abcdef")
    report = Report("P", "test", properties={"url": "https://u:pass-word@host/"})
    report.add(Case("a", Outcome.FAILURE, "dkuaps-0123456789abcdef", "dkuaps-0123456789abcdef!"))
    page = page_of([report])
    secrets._forms = before
    assert "0123456789abcdef" not in page
    assert "pass-word" not in page


def test_the_timeline_says_what_waited_for_what_and_draws_long_waits_short() -> None:
    reports = [
        Report("P", step, started=1_000_000.0 + start)
        for step, start in (("package", 0), ("test", 10), ("release", 172_810))
    ]
    for report in reports:
        report.set(took="10")
        report.add(Case("a"))
    bars = view.page(Found(reports, [])).timeline
    assert [bar.waited for bar in bars] == ["", "after package", "47h59m50s after test"]
    assert [(bar.start, bar.width) for bar in bars] == [(0, 30), (30, 31), (70, 30)]


def test_the_page_of_a_folder_has_all_reports_in_the_order_of_their_start(tmp_path: Path) -> None:
    for began, step in ((5.25, "package"), (5.5, "deploy"), (4.9, "validate")):
        report = Report("P", step, started=1_763_935_200.0 + int(began))
        report.set(began=f"{1_763_935_200.0 + began:.3f}")
        junit.write(report, tmp_path / report.file_name)
    (tmp_path / "mlops-broken.xml").write_text("<x")
    path = html.update(tmp_path)
    document = lxml_html.fromstring(path.read_text())
    assert texts(document, ".//section[@class='step']/h3") == ["validate", "package", "deploy"]
    assert "mlops-broken.xml is not XML" in document.findtext(".//p[@class='unreadable']")
    assert document.find("head/link").get("href") == "page.css"
    assert ".from-99 { grid-column-start: 100; }" in path.with_name("page.css").read_text()


def test_what_is_attached_travels_beside_the_report(tmp_path: Path) -> None:
    report = everything()[1]
    path = tmp_path / report.file_name
    junit.write(report, path)
    attachments.write(report.attach(), path)
    assert "The area is 0.83." in html.update(tmp_path).read_text()
    path.with_suffix(".json").write_text('{"schema": 1, "figures": [{}]}')
    damaged = html.update(tmp_path).read_text()
    assert "does not hold what a step attaches" in damaged
    assert "TEST_MODEL" in damaged
    report.attachments = None
    attachments.write(report.attach(), path)
    assert not path.with_suffix(".json").exists()


def test_a_folder_without_reports_says_so(tmp_path: Path) -> None:
    assert "No step has run." in html.update(tmp_path).read_text()


def test_a_page_that_cannot_be_written_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ReportError, match="could not be written"):
        write(Found(churn(), []), None, tmp_path / "file" / "html")


@pytest.mark.parametrize(
    ("reports", "unreadable", "verdict"),
    [
        (1, [], "All 1 checks passed or do not apply."),
        (1, ["a.xml: not XML"], "Not every report could be read, so nobody knows whether all checks passed."),
        (2, ["a.xml: not XML"], "2 of 4 checks failed."),
        (0, [], "No step has run."),
    ],
)
def test_all_passed_only_when_every_report_could_be_read(reports: int, unreadable: list[str], verdict: str) -> None:
    document = document_of(churn()[:reports], None, unreadable)
    assert document.find(".//p[@class='verdict']").text == verdict
    assert texts(document, ".//p[@class='unreadable']") == unreadable
