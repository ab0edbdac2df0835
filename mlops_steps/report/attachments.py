"""What a step has found that is no test case: figures, differences, past releases, what `monitor` has measured.

They lie beside the step's report as ``mlops-<step>[-<stage>].json``, so that the page shows them, for an old build too.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated, Literal

import pydantic_core
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from mlops_steps.errors import ReportError
from mlops_steps.system.files import write_atomically
from mlops_steps.system.text import one_line, presentable

SCHEMA = 1
LARGEST = 8 * 1024 * 1024  # bytes of a file
_LINE = 500  # characters
_TEXT = 20_000  # bytes
_POINTS = 2_000
_ROWS = 500

Line = Annotated[str, AfterValidator(lambda text: one_line(text, _LINE))]
Text = Annotated[str, AfterValidator(lambda text: presentable(text, _TEXT))]
Number = Annotated[float, Field(allow_inf_nan=False)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True, populate_by_name=True)


class Series(_Part):
    """One line, or one row of bars: ``x`` are numbers, or names in a figure of bars."""

    name: Line
    x: tuple[Number | Line, ...] = Field(max_length=_POINTS)
    y: tuple[Number, ...] = Field(max_length=_POINTS)


class Figure(_Part):
    """A picture of numbers, which has a table of the same numbers too.

    ``about`` says in one sentence what it shows, with the numbers that matter: it stands in for the picture. ``limits``
    are lines across, or, in a figure of bars, the limit of each bar. ``steps``: each value holds until the next one.
    ``diagonal``: a line from 0, 0 to 1, 1.
    """

    name: Line
    topic: Literal["champion", "drift", "service", "monitored", "other"] = "other"
    kind: Literal["lines", "steps", "bars"] = "lines"
    title: Line
    about: Line
    x: Line = ""
    y: Line = ""
    series: tuple[Series, ...] = Field(max_length=10)
    limits: tuple[Number, ...] = Field(default=(), max_length=_POINTS)
    diagonal: bool = False


class Change(_Part):
    """What differs in one object of two bundles. ``text`` is a unified diff, or empty."""

    kind: Line
    name: Line
    what: Literal["added", "removed", "changed"]
    note: Line = ""
    text: Text = ""


class Difference(_Part):
    """What differs between two bundles; ``commits`` are those that the newer one has beyond the older, a line each."""

    old: Line
    new: Line
    commits: tuple[Line, ...] = Field(default=(), max_length=_ROWS)
    changes: tuple[Change, ...] = Field(default=(), max_length=_ROWS)
    left_out: int = 0


class PastRelease(_Part):
    """A change of what is live on a stage: ``at`` in ISO 8601, UTC; ``result`` says how it ended, in a word or two."""

    at: Line
    stage: Line
    version: Line | None = None
    result: Line
    good: bool = True
    who: Line = ""
    note: Line = ""


class Measure(_Part):
    """What a look has measured: ``level`` is good, warn, act or unknown; ``warn`` and ``limit`` are in words."""

    name: Line
    level: Line
    value: Number | None = None
    limit: Line = ""
    message: Line = ""


class LateVerdict(_Part):
    """How good the predictions of a version were, once their labels had arrived. ``release``: what made them."""

    version: Line
    release: Line
    metric: Line
    value: Number
    rows: int
    passed: bool
    at: Line


class Look(_Part):
    """One look of `monitor` at a stage: ``at`` in ISO 8601, UTC; ``live``: the version of each unit that was live.

    ``models`` are the active versions of saved models. ``calls`` and ``errors`` of users since the API nodes were
    started, by version. ``reaction``: what was begun, or why nothing was.
    """

    at: Line
    live: dict[str, Line] = Field(default_factory=dict, max_length=10)
    models: dict[str, Line] = Field(default_factory=dict, max_length=100)
    measures: tuple[Measure, ...] = Field(default=(), max_length=_ROWS)
    calls: dict[str, int] = Field(default_factory=dict, max_length=1000)
    errors: dict[str, int] = Field(default_factory=dict, max_length=1000)
    verdicts: tuple[LateVerdict, ...] = Field(default=(), max_length=_ROWS)
    reaction: Line = ""


class Attachments(_Part):
    """All of them, of one step."""

    model_config = ConfigDict(extra="ignore", frozen=False, validate_assignment=True, populate_by_name=True)

    schema_version: int = Field(default=SCHEMA, alias="schema")
    figures: list[Figure] = Field(default_factory=list, max_length=100)
    differences: list[Difference] = Field(default_factory=list, max_length=20)
    releases: list[PastRelease] = Field(default_factory=list, max_length=_ROWS)
    looks: list[Look] = Field(default_factory=list, max_length=_ROWS)

    @property
    def empty(self) -> bool:
        """Whether there is nothing to keep."""
        return not (self.figures or self.differences or self.releases or self.looks)


def finite(values: tuple[float, ...] | list[float]) -> tuple[float, ...]:
    """The values to four significant digits or decimals, without those that are not finite."""
    return tuple(round(float(value), 4) for value in values if math.isfinite(value))


def place(report: Path) -> Path:
    """The file beside a report."""
    return report.with_suffix(".json")


def write(found: Attachments, report: Path) -> None:
    """Writes them beside the report, or takes away those of an earlier run. Raises :class:`ReportError`."""
    path = place(report)
    try:
        if found.empty:
            path.unlink(missing_ok=True)
        else:
            write_atomically(path, found.model_dump_json(by_alias=True, exclude_defaults=True, indent=1).encode())
    except OSError as error:
        raise ReportError(f"{path} could not be written: {error.strerror or error}") from None


def read(report: Path) -> Attachments:
    """Those beside the report; none where there is no file. Raises :class:`ReportError` for one that is damaged."""
    path = place(report)
    try:
        if path.stat().st_size > LARGEST:
            raise ReportError(f"{path} is larger than {LARGEST} bytes")
        return parse(path.read_bytes(), str(path))
    except FileNotFoundError:
        return Attachments()
    except OSError as error:
        raise ReportError(f"{path} could not be read: {error.strerror or error}") from None


def parse(data: bytes, source: str) -> Attachments:
    """Those in the bytes; ``source`` names them in errors. Raises :class:`ReportError`."""
    try:
        found = Attachments.model_validate(pydantic_core.from_json(data))
    except ValueError:
        raise ReportError(f"{source} does not hold what a step attaches to its report") from None
    if found.schema_version != SCHEMA:
        raise ReportError(f"{source} is of schema {found.schema_version}; this version reads schema {SCHEMA}")
    return found
