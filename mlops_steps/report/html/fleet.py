"""The page of a fleet: a row for each project, with a link to its own page."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from mlops_steps.errors import ReportError
from mlops_steps.report.html.write import PAGE, SHEET, environment, stylesheet
from mlops_steps.system.files import write_atomically
from mlops_steps.version import __version__

#: The folder of the page among the reports.
FOLDER = "fleet"


@dataclass(frozen=True)
class FleetRow:
    """A project. ``how`` is how it ended, in a word or two, ``text`` in a line; ``link`` leads to its own page."""

    name: str
    key: str
    train: str
    level: Literal["good", "bad", "open"]
    how: str
    text: str
    stage: str
    version: str
    before: str
    live: str
    link: str


@dataclass(frozen=True)
class FleetPage:
    """``sentence`` says how the whole ended."""

    level: Literal["good", "bad", "doubt"]
    sentence: str
    build: str
    rows: tuple[FleetRow, ...]


def write_fleet(page: FleetPage, target: Path) -> Path:
    """Writes the page and its stylesheet to the folder; returns its path. Raises :class:`ReportError`."""
    text = environment().get_template("fleet.html").render(page=page, version=__version__) + "\n"
    try:
        for folder in (target.parent, target):
            folder.mkdir(mode=0o750, parents=True, exist_ok=True)
        write_atomically(target / SHEET, stylesheet())
        write_atomically(target / PAGE, text.encode())
    except OSError as error:
        raise ReportError(f"the page {target / PAGE} could not be written: {error.strerror or error}") from None
    return target / PAGE
