"""Runs one step: settings in, exit code and report out, on every way out."""

from __future__ import annotations

import logging
import os
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from mlops_steps.config import Settings
from mlops_steps.delivery.record import build_from
from mlops_steps.errors import ConfigError, InternalError, Interrupted, MlopsError, ProductionInDoubt
from mlops_steps.report.model import Case, Outcome, Report
from mlops_steps.steps.context import Context
from mlops_steps.steps.registry import Changes, Step
from mlops_steps.system.console import Console
from mlops_steps.system.interrupts import Interrupts, Stop
from mlops_steps.system.secrets import redact


def run_step(
    step: Step,
    stage: str | None,
    call: Callable[[Context], None],
    settings: Callable[[], Settings],
    *,
    verbose: int = 0,
    quiet: bool = False,
    brief: bool = False,
) -> int:
    """Calls ``call`` with the context of the step, and returns the exit code. A JUnit report is written in any case.

    ``settings`` gives the configuration, or raises the error with which the step then ends.
    ``brief``: the report is published, so that what it says is not said again on the console.
    """
    console = Console(quiet=quiet, brief=brief)
    _log_to(console, verbose)
    report = Report(os.environ.get("MLOPS_PROJECT", "unconfigured"), step.name, stage)
    folder = Path("reports")
    interrupts = Interrupts()
    code, found = 0, None
    with interrupts.handled(last=True):
        try:
            found = settings()
            report.project, folder = found.project, found.reports
            for warning in found.warnings:
                console.warn(warning)
            call(Context(found, report, console, interrupts, build_from(os.environ)))
        except MlopsError as error:
            code = _say(error, report, console)
        except Stop as stop:
            code = _say(Interrupted(f"{step.name}: interrupted by {stop}", signal_number=stop.signal), report, console)
        except Exception as error:
            code = _say(_internal(error), report, console)
        with interrupts.shielded():
            unwritten = _write(report, folder, console)
            if step.sums_up and not unwritten:
                _sum_up(folder, found, console)
            live = report.properties.get("live")
            if live and code >= ProductionInDoubt.exit_code:
                console.error(f"live now: {live}")  # the last line, where it is looked for first
            # What became of production counts for more than what became of the report: 2 and 3 would say that nothing
            # was changed.
            return code or (unwritten if step.changes is Changes.NEVER else 0)


def run_command(name: str, call: Callable[[Console], None], *, verbose: int = 0, quiet: bool = False) -> int:
    """Runs a command that is not a step: it has no report. Returns its exit code."""
    console = Console(quiet=quiet)
    _log_to(console, verbose)
    with Interrupts(meanwhile="it ends in a moment").handled(last=True):
        try:
            call(console)
        except MlopsError as error:
            return console.failure(error)
        except Stop as stop:
            return console.failure(Interrupted(f"{name}: interrupted by {stop}", signal_number=stop.signal))
        except Exception as error:
            return console.failure(_internal(error))
    return 0


def _say(error: MlopsError, report: Report, console: Console) -> int:
    """Prints the error, and makes sure that the report has it too; returns its exit code."""
    console.failure(error, with_live=error.exit_code < ProductionInDoubt.exit_code)
    report.set(live=error.live, error=error.message, next=error.next_step)
    is_in_report = error.is_reported or any(error.message in case.message for case in report.failed)
    if not is_in_report:
        outcome = Outcome.FAILURE if error.exit_code in (1, 4) else Outcome.ERROR
        report.add(Case(report.step, outcome, message=error.message, details="\n".join(error.lines())))
    return error.exit_code


def _internal(error: Exception) -> MlopsError:
    """A mistake of ours, with its place, so that it can be reported; or the folder of the step that is gone."""
    if isinstance(error, FileNotFoundError) and _folder_is_gone():
        return ConfigError("the current folder was removed while the step ran", next_step="run the step again")
    trace = redact("".join(traceback.format_exception(error))).splitlines()
    return InternalError.of(error, details=trace, next_step="please report this with the lines below")


def _folder_is_gone() -> bool:
    try:
        return not Path.cwd().exists()
    except OSError:
        return True


def _write(report: Report, folder: Path, console: Console) -> int:
    """Writes the report; returns 0, or the exit code of the failure to write it."""
    from mlops_steps.report import junit

    if not report.cases:
        # A report without a case is none for Jenkins, and the build would fail for want of results.
        report.add(Case(report.step))
    path = folder / report.file_name
    report.set(began=f"{report.started:.3f}", took=f"{time.time() - report.started:.3f}")
    try:
        junit.write(report, path)
        if report.attachments or path.with_suffix(".json").exists():
            from mlops_steps.report import attachments

            attachments.write(report.attach(), path)
    except MlopsError as error:
        return console.failure(error)
    except OSError as error:
        console.error(f"the report {path} could not be written: {error.strerror}")
        return 2
    console.detail(f"report: {path}")
    return 0


def _sum_up(folder: Path, settings: Settings | None, console: Console) -> None:
    """Writes the page of the release, without pictures. It is a convenience: no exit code may depend on it."""
    try:
        from mlops_steps.delivery.summing_up import write_page

        write_page(folder, settings)
    except Exception as error:
        console.warn(f"no page: {error}")


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
