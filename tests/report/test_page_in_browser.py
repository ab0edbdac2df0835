"""The page in headless Chromium, served as Jenkins serves it: looks, console, width, contrast, keyboard.

One browser, one server, a few pages. Pictures of them are left in the folder that MLOPS_SCREENSHOTS names.
"""

from __future__ import annotations

import itertools
import os
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from mlops_steps.report.html.folder import Found
from mlops_steps.report.html.write import write
from tests.report.pages import PAGES
from tests.support import chromium

ROOT = Path(__file__).parents[2]
AXE = ROOT / ".cache/axe/node_modules/axe-core/axe.min.js"
POLICY = "sandbox; default-src 'none'; img-src 'self'; style-src 'self'"
#: axe-core is a script that waits for timers, which a sandbox does not run: its pages are served without that word.
SCRIPTABLE = "/scriptable"
WIDTHS = {"phone": 360, "desk": 1280, "wide": 2560}


def missing() -> str:
    """Why there is no browser here; "" when there is one. Nothing is installed: a test uses no network."""
    if chromium.PROGRAM is None:
        return "Chromium is not installed (tools/axe-core installs it, where Debian packages can be)"
    return "" if AXE.is_file() else "axe-core is not installed (tools/axe-core installs it, with npm)"


class Handler(SimpleHTTPRequestHandler):
    def translate_path(self, path: str) -> str:
        return super().translate_path(path.removeprefix(SCRIPTABLE))

    def end_headers(self) -> None:
        scriptable = self.path.startswith(SCRIPTABLE)
        self.send_header("Content-Security-Policy", POLICY.removeprefix("sandbox; ") if scriptable else POLICY)
        self.send_header("X-Content-Type-Options", "nosniff")
        super().end_headers()

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("site")
    for name, make in PAGES.items():
        reports, facts = make()
        write(Found(reports, []), facts, folder / name, pictures=True)
    (folder / "favicon.ico").touch()  # the browser asks for it, whatever the page says
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[chromium.Chromium]:
    if reason := missing():
        pytest.skip(reason)
    with chromium.Chromium(tmp_path_factory.mktemp("chromium")) as started:
        yield started


def shoot(browser: chromium.Chromium, name: str) -> None:
    if folder := os.environ.get("MLOPS_SCREENSHOTS"):
        Path(folder).mkdir(parents=True, exist_ok=True)
        browser.screenshot(Path(folder) / f"{name}.png")


UNFOLD = "document.querySelectorAll('details').forEach(one => one.open = true)"
#: What is wider than the window, and is not in something that scrolls by itself.
TOO_WIDE = """
[...document.querySelectorAll('body *')].filter(one => one.getBoundingClientRect().right > innerWidth + 1
  && !one.closest('.scroll, pre, .skip')).map(one => one.outerHTML.slice(0, 120))
"""
BROKEN = "[...document.images].filter(one => !one.complete || one.naturalWidth === 0).map(one => one.currentSrc)"


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize("width", WIDTHS)
def test_it_loads_without_complaint_and_nothing_is_too_wide(
    browser: chromium.Chromium, site: str, page: str, width: str
) -> None:
    browser.open(f"{site}/{page}/index.html", width=WIDTHS[width])
    shoot(browser, f"{page}-{width}")
    assert browser.complaints == []
    assert browser.run(BROKEN) == []
    browser.run(UNFOLD)
    assert browser.run("document.documentElement.scrollWidth") <= WIDTHS[width]
    assert browser.run(TOO_WIDE) == []


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_it_is_accessible(browser: chromium.Chromium, site: str, page: str, dark: bool) -> None:
    browser.open(f"{site}{SCRIPTABLE}/{page}/index.html", width=1280, dark=dark)
    assert browser.run("[...document.images].every(one => one.currentSrc.endsWith('-dark.svg'))") is dark
    if dark:
        shoot(browser, f"{page}-dark")
    browser.run(UNFOLD)
    browser.run(AXE.read_text() + "; true")
    found = browser.run("axe.run(document, {resultTypes: ['violations', 'incomplete']})")
    problems = [
        (one["id"], node["target"], node["failureSummary"]) for one in found["violations"] for node in one["nodes"]
    ]
    assert problems == []
    measured = [one["id"] for one in found["passes"]]
    assert "color-contrast" in measured
    # Of a table that scrolls, what is out of sight is not measured.
    left = [node["target"] for one in found["incomplete"] if one["id"] == "color-contrast" for node in one["nodes"]]
    assert [target for target in left if ".scroll" not in target[0]] == []


def test_the_keyboard_goes_from_top_to_bottom_and_reaches_every_log(browser: chromium.Chromium, site: str) -> None:
    browser.open(f"{site}/rolled-back/index.html", width=1280)
    browser.run(UNFOLD)
    reachable = browser.run("document.querySelectorAll('a[href], summary, [tabindex=\"0\"]').length")
    tops = []
    for seen in range(reachable):
        browser.press("Tab")
        tag, top, outline = browser.run(
            "(one => [one.tagName, one.getBoundingClientRect().top + scrollY, getComputedStyle(one).outlineStyle])"
            "(document.activeElement)"
        )
        assert tag != "BODY", f"the focus is lost after {seen} elements"
        assert outline == "solid"
        tops.append(top)
    # Texts of one line differ by a few pixels, and figures stand side by side.
    assert all(later > earlier - 450 for earlier, later in itertools.pairwise(tops))
    assert browser.run("document.activeElement.matches('main *')")


def test_on_paper_nothing_is_cut_off(browser: chromium.Chromium, site: str) -> None:
    browser.open(f"{site}/rolled-back/index.html", width=700, paper=True)
    shoot(browser, "rolled-back-paper")
    assert browser.run("getComputedStyle(document.querySelector('nav')).display") == "none"
    assert browser.run("[...document.querySelectorAll('pre')].every(one => one.scrollHeight <= one.clientHeight + 1)")
    assert browser.run(TOO_WIDE) == []


def test_a_picture_by_itself_is_within_the_policy_too(browser: chromium.Chromium, site: str) -> None:
    browser.open(f"{site}/canary/figure-1.svg", width=800)
    assert browser.complaints == []
    texts = browser.run("[...document.querySelectorAll('text')].map(one => one.textContent)")
    assert {"false positive rate", "0.2", "0.4"} <= set(texts)
    assert browser.run("document.querySelector('title').textContent") == "ROC curve"
