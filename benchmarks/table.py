"""Rows of the table of benchmarks: what was measured against which baseline, and whether the aim is reached."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.metadata import version

PACKAGES = ("mlops-steps", "dataiku-api-client", "requests", "junitparser")


@dataclass(frozen=True)
class Row:
    """One measure. ``reached`` is ``None`` where there is no aim, or where nothing could be measured (``note``)."""

    what: str
    measure: str
    value: str
    aim: str
    reached: bool | None
    note: str = ""


def limited(what: str, measure: str, value: float, most: float, unit: str = "", note: str = "") -> Row:
    """A row whose value must not be above ``most``."""
    return Row(what, measure, f"{value:.2f}{unit}", f"≤ {most:g}{unit}", value <= most, note)


def wanted(what: str, measure: str, value: float, least: float, unit: str = "", note: str = "") -> Row:
    """A row whose value must not be below ``least``."""
    return Row(what, measure, f"{value:.2f}{unit}", f"≥ {least:g}{unit}", value >= least, note)


def machine() -> list[str]:
    """The machine and the versions of what was measured."""
    cores = len(os.sched_getaffinity(0))
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    known = []
    for package in PACKAGES:
        try:
            known.append(f"{package} {version(package)}")
        except ModuleNotFoundError:
            continue
    first = f"{platform.machine()}, {cores} cores, {memory:.0f} GiB, Linux {platform.release()}"
    return [first, f"Python {platform.python_version()}, " + ", ".join(known)]


def markdown(rows: Iterable[Row]) -> str:
    """The table."""
    marks = {True: "yes", False: "**no**", None: "-"}
    lines = ["| what | measured as | value | aim | reached |", "| --- | --- | --- | --- | --- |"]
    lines += [
        f"| {row.what} | {row.measure} | {row.value} | {row.aim} | {marks[row.reached]}"
        f"{f' ({row.note})' if row.note else ''} |"
        for row in rows
    ]
    return "\n".join(lines)
