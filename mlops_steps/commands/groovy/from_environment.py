"""How the steps of the Jenkins library run a command: what to do is in MLOPS_STEP, what came of it on standard output.

No value is ever part of a command line of a shell. Standard output holds lines ``name=value`` for the Groovy step, and
nothing else: all that people read goes to standard error, which is the log of the build.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import NoReturn

import click

from mlops_steps.commands.groovy import approval
from mlops_steps.commands.groovy import request as requests
from mlops_steps.commands.groovy.outcome import Before, noted, outcome, what_there_is
from mlops_steps.commands.groovy.request import Arguments, Request
from mlops_steps.commands.groovy.travel import Travel
from mlops_steps.commands.runner import run_step
from mlops_steps.config import Settings, load
from mlops_steps.errors import ConfigError, MlopsError
from mlops_steps.policy.effective import resolve
from mlops_steps.report.model import Report
from mlops_steps.steps.context import Context
from mlops_steps.steps.registry import STEPS
from mlops_steps.system.files import current_folder
from mlops_steps.system.streams import leave

Say = Callable[[str, str], None]

#: The steps that need an approval, and those that note it.
_APPROVAL = {"release": "approve", "api-release": "api-approve"}


@dataclass(frozen=True)
class _Configuration:
    """The configuration of a run, loaded once: the settings, or what is wrong with them."""

    settings: Settings | None
    error: ConfigError | None

    def get(self) -> Settings:
        """The settings. Raises :class:`ConfigError` when there are none."""
        if self.settings is None:
            raise self.error or ConfigError("there is no configuration")
        return self.settings


@click.command("from-environment", hidden=True)
@click.argument("what", type=click.Choice(["look", "plan", "note", "run", "recover"]))
def from_environment(what: str) -> None:
    """Run the step of the Jenkins library that the environment variable MLOPS_STEP describes.

    `look` says what mlops.yml has to release; `plan` says which keys the step needs; `note` writes down what is live
    before it is changed; `run` runs it; `recover`, after a run that was interrupted, puts in order what it left and
    says what came of it. Lines NAME=VALUE on standard output are for the library.
    """
    with _lines_for_groovy() as say:
        try:
            request = requests.read(os.environ)
        except ConfigError as error:
            raise click.UsageError(error.message) from None
        if what == "look":
            _look(request, say)
            code = 0
        elif what == "plan":
            _plan(request, say)
            code = 0
        elif what == "note":
            _note(request, say)
            code = 0
        elif what == "run":
            code = _run(request, say)
        else:
            code = _recover(request, say)
    leave(code)


@contextmanager
def _lines_for_groovy() -> Iterator[Say]:
    """Keeps standard output for our lines; whatever else is written to it, by a child process too, goes to the log."""
    sys.stdout.flush()
    ours = os.fdopen(os.dup(1), "w", encoding="utf-8", errors="replace")
    os.dup2(2, 1)

    def say(name: str, value: str) -> None:
        text = "".join(char if char.isprintable() else " " for char in value)
        with suppress(OSError):
            print(f"{name}={text}", file=ours, flush=True)

    try:
        yield say
    finally:
        # A full disk, or nobody who reads: what was done stays done, and `leave` sees to the exit code.
        with suppress(OSError):
            sys.stdout.flush()
        with suppress(OSError):
            ours.close()


def _look(request: Request, say: Say) -> None:
    """For a pipeline, before its first step. A mistake is not told here: that step tells it, in its report too."""
    with suppress(MlopsError):
        _say_all(say, what_there_is(_settings(request)))


def _plan(request: Request, say: Say) -> None:
    """What the Groovy step must know beforehand. A mistake is not told here: `run` tells it, in the report too."""
    with suppress(MlopsError):
        settings = _settings(request)
        say("unstash", ",".join(Travel(settings, os.environ).missing))
        nodes = request.step.nodes(settings, request.stage)
        keys = [f"{node.name} {node.variable}_API_KEY" for node in nodes]
        say("keys", ",".join([*keys, *requests.key_of_service(request)]))
        changes = request.step.changes_production(settings, request.stage, _flags(request))
        if changes and request.step.name not in request.step.recoveries(settings, request.stage):
            say("note", "true")
        _forget_reports(settings, request)


def _note(request: Request, say: Say) -> None:
    """Has the archived record say what is live. A mistake, or a node that does not answer, is for `run` to say."""
    # Only here: the client that asks the nodes takes half of the time of a start.
    from mlops_steps.commands.groovy import before_change

    with suppress(MlopsError, OSError):
        settings = _checked(request).get()
        travel, _ = _arrived(settings)
        say("live", before_change.note(settings, request.step, request.stage or "", request.text("bundle")))
        if travel is not None and settings.record.is_file():
            _say_all(say, noted(settings, travel))


def _forget_reports(settings: Settings, request: Request) -> None:
    """A report of an earlier build, in this workspace or in what was unstashed, must not pass for one of this build."""
    for step in (*_APPROVAL.values(), request.step.name, *_recoveries(settings, request)):
        with suppress(OSError):
            (settings.reports / Report("", step, request.stage).file_name).unlink()


def _run(request: Request, say: Say) -> int:
    configuration = _checked(request)
    settings, error = configuration.settings, configuration.error
    travel, before = _arrived(settings)
    given, code = Arguments(), 0
    answer: dict[str, str] = {}
    if settings is not None:
        _forget_reports(settings, request)
    if error is None:
        try:
            _check_credentials()
            requests.check_library(request)
            if settings and request.stage:
                request.step.check_stage(settings, request.stage)
            given = requests.arguments(request, settings.nodes if settings else None)
            stages = approval.stages_of(settings, request.step, request.stage) if settings else {request.stage}
            answer = approval.given(os.environ, stages, settings.project if settings else None)
        except ConfigError as problem:
            error = problem
    if error is not None:
        code = _refuse(request, configuration, error)
    else:
        code = _approved(request, configuration, answer) or _call(request.step.name, request, configuration, given)
    steps = (*_approval_of(request), request.step.name)
    _say_all(say, outcome(code, request, settings, steps, before, travel))
    return code


def _arrived(settings: Settings | None) -> tuple[Travel | None, Before]:
    """Puts together the record that came with the build."""
    if settings is None:
        return None, Before(None)
    travel = Travel(settings, os.environ)
    with suppress(OSError):
        return travel, Before(settings, arrived=travel.arrive())
    return travel, Before(settings)


def _recover(request: Request, say: Say) -> int:
    configuration = _checked(request)
    settings = configuration.settings
    travel, before = _arrived(settings)
    code = 0
    if configuration.error is not None:
        code = _refuse(request, configuration, configuration.error)
    elif settings and request.step.changes_production(settings, request.stage, _flags(request)):
        for step in _recoveries(settings, request):
            code = max(code, _call(step, request, configuration, Arguments()))
    steps = (*_approval_of(request), request.step.name, *(_recoveries(settings, request) if settings else ()))
    _say_all(say, outcome(code, request, settings, steps, before, travel, interrupted=True))
    return code


def _recoveries(settings: Settings, request: Request) -> tuple[str, ...]:
    """The steps that recover this one; none where its stage is not in the configuration."""
    try:
        return request.step.recoveries(settings, request.stage)
    except MlopsError:
        return ()


def _approval_of(request: Request) -> tuple[str, ...]:
    """The step that notes the approval of this one, if there is one."""
    return (_APPROVAL[request.step.name],) if request.step.name in _APPROVAL else ()


def _flags(request: Request) -> dict[str, bool]:
    """Which flags are given, by their names as options."""
    return {option.name: request.parameters.get(option.parameter) is True for option in request.step.options}


def _check_credentials() -> None:
    """Raises :class:`ConfigError` when Jenkins has not got a credential that it was to bind."""
    missing = os.environ.get("MLOPS_MISSING")
    if missing:
        raise ConfigError(
            f"Jenkins: {missing}",
            next_step="create it as a Secret text that holds the API key of the node, where this job can see it; "
            "or name another one: credentials: [node: 'id']",
        )


def _approved(request: Request, configuration: _Configuration, answer: dict[str, str]) -> int:
    """Before a release: notes the approval that the pipeline has got, or checks that none is needed."""
    settings = configuration.get()
    if request.step.name not in _APPROVAL or _flags(request)["dry_run"]:
        return 0
    try:
        automation = resolve(settings).automation
    except ConfigError as error:
        return _refuse(request, configuration, error)
    if automation == "full" and not answer:
        return 0
    return _call(_APPROVAL[request.step.name], request, configuration, Arguments(dict(answer)))


def _say_all(say: Say, found: dict[str, str]) -> None:
    for name, value in found.items():
        say(name, value)


def _checked(request: Request) -> _Configuration:
    """The settings, with an error when they cannot be used or what the step writes cannot be published."""
    try:
        settings = _settings(request)
    except ConfigError as error:
        return _Configuration(None, error)
    here = current_folder()
    for name, path in (("reports", settings.reports), ("record", settings.record)):
        if not path.resolve().is_relative_to(here.resolve()):
            text = f"{settings.place(name)}: Jenkins can only publish what lies in {here}: {path}"
            return _Configuration(settings, ConfigError(text))
    return _Configuration(settings, None)


def _settings(request: Request) -> Settings:
    return load(request.config, os.environ, {"project": request.project})


def _call(step: str, request: Request, configuration: _Configuration, given: Arguments) -> int:
    """Runs a step on the request's stage in this process, and returns its exit code."""
    row, stage = STEPS[step], request.stage
    return run_step(
        row,
        stage,
        lambda context: row.run(context, stage, given.options),
        configuration.get,
        verbose=given.verbose,
        quiet=given.quiet,
        brief=not given.verbose,
    )


def _refuse(request: Request, configuration: _Configuration, error: ConfigError) -> int:
    """Ends as the step would end that meets the error: said in the log, with a report."""

    def refuse(_context: Context) -> NoReturn:
        raise error

    return run_step(request.step, request.stage, refuse, configuration.get, brief=True)
