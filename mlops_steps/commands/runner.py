"""Runs one step: settings in, exit code and report out, on every way out."""

from __future__ import annotations

import logging
import os
import sys
import traceback
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlops_steps.delivery.record import build_from
from mlops_steps.errors import Interrupted, MlopsError, NodeError, ProductionInDoubt
from mlops_steps.report.model import Case, Outcome, Report
from mlops_steps.steps.context import Context
from mlops_steps.system.console import Console
from mlops_steps.system.interrupts import Interrupts, Stop
from mlops_steps.system.secrets import redact

if TYPE_CHECKING:
    from mlops_steps.config import Settings

_CHANGING = frozenset({"deploy", "release", "recover", "rollback"})


@dataclass(frozen=True)
class Common:
    """Options that every step has."""

    config: Path | None = None
    overrides: dict[str, Any] | None = None
    verbose: int = 0
    quiet: bool = False


def run_step(common: Common, step: str, stage: str | None, call: Callable[[Context], None]) -> int:
    """Runs the step and returns its exit code. A JUnit report is written whatever happens."""
    console = Console(quiet=common.quiet)
    _log_to(console, common.verbose)
    report = Report(os.environ.get("MLOPS_PROJECT", "unconfigured"), step, stage)
    folder = Path("reports")
    interrupts = Interrupts()
    code = 0
    with interrupts.handled(last=True):
        try:
            settings = _settings(common)
            report.project, folder = settings.project, settings.reports
            for warning in settings.warnings:
                console.warn(warning)
            call(Context(settings, report, console, interrupts, build_from(os.environ)))
        except MlopsError as error:
            code = _say(error, report, console)
        except Stop as stop:
            code = _say(Interrupted(f"{step}: interrupted by {stop}", signal_number=stop.signal), report, console)
        except Exception as error:
            code = _say(_internal(error), report, console)
        with interrupts.shielded():
            unwritten = _write(report, folder, console)
            live = report.properties.get("live")
            if live and code >= ProductionInDoubt.exit_code:
                console.error(f"live now: {live}")  # the last line, where it is looked for first
            # What became of production counts for more than what became of the report: 2 and 3 would say that nothing
            # was changed.
            return code or (0 if step in _CHANGING else unwritten)


def run_command(name: str, call: Callable[[Console], None], *, verbose: int = 0, quiet: bool = False) -> int:
    """Runs a command that is no step: it has no report. Returns its exit code."""
    console = Console(quiet=quiet)
    _log_to(console, verbose)
    with Interrupts(meanwhile="it ends in a moment").handled(last=True):
        try:
            call(console)
        except MlopsError as error:
            return _print(error, console)
        except Stop as stop:
            return _print(Interrupted(f"{name}: interrupted by {stop}", signal_number=stop.signal), console)
        except Exception as error:
            return _print(_internal(error), console)
    return 0


def _settings(common: Common) -> Settings:
    from mlops_steps.config import load

    return load(common.config, os.environ, common.overrides or {})


def _say(error: MlopsError, report: Report, console: Console) -> int:
    """Prints the error, and makes sure that the report tells it too; returns its exit code."""
    _print(error, console)
    report.set(live=error.live, error=error.message)
    told = error.told or any(error.message in case.message for case in report.failed)
    if not told:
        outcome = Outcome.FAILURE if error.exit_code in (1, 4) else Outcome.ERROR
        report.add(Case(report.step, outcome, message=error.message, details="\n".join(error.lines())))
    return error.exit_code


def _print(error: MlopsError, console: Console) -> int:
    for number, line in enumerate(error.lines()):
        console.error(f"{error.label}: {line}" if number == 0 else line)
    return error.exit_code


def _internal(error: Exception) -> NodeError:
    """A mistake of ours: said in one line, with the place, so that it can be reported."""
    trace = redact("".join(traceback.format_exception(error))).splitlines()
    return NodeError(
        f"internal error: {type(error).__name__}: {redact(str(error))}",
        details=trace,
        next_step="please report this with the lines below",
    )


def _write(report: Report, folder: Path, console: Console) -> int:
    """Writes the report; returns 0, or the exit code of the failure to write it."""
    from mlops_steps.report import junit

    if not report.cases:
        # A report without a case is none for Jenkins, and the build would fail for want of results.
        report.add(Case(report.step))
    path = folder / report.file_name
    try:
        junit.write(report, path)
    except MlopsError as error:
        console.error(f"{error.label}: {error.message}")
        return error.exit_code
    except OSError as error:
        console.error(f"the report {path} could not be written: {error.strerror}")
        return 2
    console.line(f"report: {path}")
    _sum_up(folder, console)
    return 0


def _sum_up(folder: Path, console: Console) -> None:
    """Writes the page that sums up all reports. It is a convenience: no exit code may depend on it."""
    try:
        from mlops_steps.report import html

        html.update(folder)
    except Exception as error:
        console.warn(f"no summary page: {error}")


class _ConsoleHandler(logging.Handler):
    def __init__(self, console: Console) -> None:
        super().__init__()
        self._console = console

    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage()
        # A stream that is closed already (a thread that outlives the command) must not break what logs.
        with suppress(ValueError, OSError):
            if record.levelno >= logging.WARNING:
                self._console.warn(text)
            else:
                self._console.line(text)


def _log_to(console: Console, verbose: int) -> None:
    """Our own log lines; from -vv on also those of urllib3 (methods, paths and status codes, no headers)."""
    handler = _ConsoleHandler(console)
    level = {0: logging.WARNING, 1: logging.INFO}.get(verbose, logging.DEBUG)
    names = ["mlops_steps"] + (["urllib3"] if verbose > 1 else [])
    for name in names:
        logger = logging.getLogger(name)
        logger.handlers[:] = [handler]
        logger.setLevel(level)
        logger.propagate = False


def leave(code: int) -> None:
    """Ends the process with the exit code, whatever has become of its output.

    Its reader may have had enough, or its disk may be full; what could not be written then would replace the code.
    """
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
    raise SystemExit(code)
