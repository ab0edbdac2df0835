"""Writes the page: HTML from the templates, the stylesheet, the pictures."""

from __future__ import annotations

import functools
from contextlib import suppress
from dataclasses import replace
from importlib.resources import files
from pathlib import Path

from jinja2 import Environment, FunctionLoader, StrictUndefined

from mlops_steps.errors import ReportError
from mlops_steps.report.html import view
from mlops_steps.report.html.facts import Facts
from mlops_steps.report.html.folder import Found
from mlops_steps.report.html.timeline import COLUMNS
from mlops_steps.system.files import write_atomically
from mlops_steps.version import __version__

PAGE, SHEET = "index.html", "page.css"


def write(found: Found, facts: Facts | None, target: Path, *, pictures: bool = False) -> Path:
    """Writes the page and what it needs to the folder, each file whole or not at all; returns the page's path.

    Raises :class:`ReportError` when a file cannot be written.
    """
    page = view.page(found, facts)
    drawn = _draw(page) if pictures else {}
    try:
        for folder in (target.parent, target):
            folder.mkdir(mode=0o750, parents=True, exist_ok=True)
        for name, data in drawn.items():
            write_atomically(target / name, data)
        write_atomically(target / SHEET, stylesheet())
        write_atomically(target / PAGE, render(page).encode())
        for old in target.glob("*.svg"):
            if old.name not in drawn:
                old.unlink()
    except OSError as error:
        raise ReportError(f"the page {target / PAGE} could not be written: {error.strerror or error}") from None
    return target / PAGE


def render(page: view.Page) -> str:
    """The page as text."""
    text: str = environment().get_template("page.html").render(page=page, sections=_sections(page), version=__version__)
    return text + "\n"


def stylesheet() -> bytes:
    """The stylesheet, with a class for each column of the timeline: styles must not stand in the page."""
    columns = [f".from-{number} {{ grid-column-start: {number + 1}; }}" for number in range(COLUMNS)]
    widths = [f".for-{number} {{ grid-column-end: span {number}; }}" for number in range(1, COLUMNS + 1)]
    return files(__package__).joinpath(SHEET).read_bytes() + "\n".join(["", *columns, *widths, ""]).encode()


def _sections(page: view.Page) -> list[tuple[str, str]]:
    known = [
        ("failed", "What failed", page.failures),
        ("timeline", "Stages", page.timeline),
        ("gates", "Gates", page.gates),
        *((f"figures-{number}", title, True) for number, title in enumerate(page.figures, 1)),
        ("changes", "What changed", page.changes or page.differences),
        ("checks", "Every check", page.steps),
        ("history", "The last releases", page.releases),
    ]
    return [(anchor, name) for anchor, name, there in known if there]


@functools.cache
def environment() -> Environment:
    """The templates."""

    def source(name: str) -> str:
        return files(__package__).joinpath("templates").joinpath(name).read_text("utf-8")

    return Environment(
        loader=FunctionLoader(source), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )


def _draw(page: view.Page) -> dict[str, bytes]:
    """Draws the figures, and tells the page where they are. A figure that cannot be drawn stays a table."""
    from mlops_steps.report.html import charts

    drawn: dict[str, bytes] = {}
    if not charts.available():
        return drawn
    for views in page.figures.values():
        for place, each in enumerate(views):
            with suppress(ValueError, TypeError, ArithmeticError):
                picture = charts.draw(each.figure)
                file = f"figure-{len(drawn) // 2 + 1}"
                drawn |= {f"{file}.svg": picture.light, f"{file}-dark.svg": picture.dark}
                views[place] = replace(each, file=file, width=picture.width, height=picture.height)
    return drawn
