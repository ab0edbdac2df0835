"""Waits while another run is at work on the stage."""

from __future__ import annotations

import time
from collections.abc import Callable

from mlops_steps.config.durations import parse_duration
from mlops_steps.errors import Busy, ConfigError
from mlops_steps.report.model import Report
from mlops_steps.system.console import Console
from mlops_steps.system.pace import pace
from mlops_steps.system.waiting import Deadline


def in_turn(report: Report, console: Console, wait: str | None, call: Callable[[], None]) -> None:
    """Calls the step, and again while another run keeps the stage, for the duration ``wait`` at most.

    A step that finds the stage taken has changed nothing, so it begins from its beginning, with an empty report.
    Raises what the step raises, :class:`Busy` when the time is up, :class:`ConfigError` when ``wait`` is wrong.
    """
    try:
        deadline = Deadline(parse_duration(wait) if wait else 0.0)
    except ValueError as error:
        raise ConfigError(f"wait: {error}") from None
    busy: Busy | None = None
    while True:
        try:
            call()
        except Busy as error:
            if deadline.passed:
                raise
            if busy is None:
                console.line(f"{error.message}; waiting {wait} at most")
            busy = error
            report.take_back(0)
            time.sleep(min(pace().longest, 5.0, deadline.remaining))
        else:
            return
