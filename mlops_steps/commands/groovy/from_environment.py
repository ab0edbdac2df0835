"""How the steps of the Jenkins library run a command: what to do is in MLOPS_STEP, what came of it on standard output.

No value is ever part of a command line of a shell. Standard output holds lines ``name=value`` for the Groovy step, and
nothing else: all that people read goes to standard error, which is the log of the build.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import click

from mlops_steps.commands.groovy import request as requests
from mlops_steps.commands.groovy.outcome import Before, outcome
from mlops_steps.commands.groovy.request import Request
from mlops_steps.commands.runner import Common, leave, run_step
from mlops_steps.config import NodeSettings, Settings, load
from mlops_steps.errors import ConfigError, MlopsError
from mlops_steps.report.model import Report
from mlops_steps.steps.context import Context

Say = Callable[[str, str], None]

#: Steps that read what earlier ones of the same build wrote.
_NEEDS_RECORD = ("deploy", "test", "release", "smoke-test", "recover", "rollback")


@click.command("from-environment", hidden=True)
@click.argument("what", type=click.Choice(["plan", "run", "recover"]))
@click.pass_context
def from_environment(ctx: click.Context, what: str) -> None:
    """Run the step of the Jenkins library that the environment variable MLOPS_STEP describes.

    `plan` says which keys it needs; `run` runs it; `recover`, after a run that was cut off, puts in order what it left
    and says what came of it. Lines NAME=VALUE on standard output are for the library.
    """
    group = ctx.find_root().command
    with _lines_for_groovy() as say:
        try:
            request = requests.read(os.environ)
        except ConfigError as error:
            raise click.UsageError(error.message) from None
        if what == "plan":
            _plan(request, say)
            code = 0
        elif what == "run":
            code = _run(ctx, group, request, say)
        else:
            code = _recover(ctx, group, request, say)
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


def _plan(request: Request, say: Say) -> None:
    """What the Groovy step must know beforehand. A mistake is not told here: `run` tells it, in the report too."""
    with suppress(MlopsError):
        settings = _settings(request)
        if request.step in _NEEDS_RECORD:
            say("unstash", "true")
        say("keys", ",".join(f"{node.name} {node.variable}_API_KEY" for node in nodes_of(request, settings)))
        # A report of an earlier build in this workspace must not pass for one of this build.
        for step in ("approve", request.step, "recover"):
            with suppress(OSError):
                (settings.reports / Report("", step, request.stage).file_name).unlink()


def nodes_of(request: Request, settings: Settings) -> list[NodeSettings]:
    """The nodes whose keys the step needs, in the order of the configuration. Raises :class:`ConfigError`."""
    design, deployer = settings.node("design"), settings.deployer()
    if request.step == "doctor":
        needed = list(settings.nodes.values())
    elif request.step == "validate":
        needed = [design]
    elif request.step == "package":
        needed = [design, deployer]
    elif request.step == "status":
        needed = [design, deployer, *settings.stages()]
    else:
        needed = [deployer, settings.stage(request.stage or "")]
    names = {node.name for node in needed}
    return [node for name, node in settings.nodes.items() if name in names]


def leaves_production_open(request: Request, settings: Settings) -> bool:
    """Whether a run that is cut off may leave a restore to be finished."""
    if request.step == "release":
        return request.parameters.get("dryRun") is not True
    if request.step == "deploy":
        return request.stage == settings.release_stage().name
    return request.step in ("rollback", "recover")


def _run(ctx: click.Context, group: click.Command, request: Request, say: Say) -> int:
    settings, error = _checked(request)
    before = Before(settings)
    code = 0
    if error is None:
        try:
            _check_credentials()
            requests.check_library(request)
            if settings and request.stage:
                settings.stage(request.stage)
            command = _command(ctx, group, request.step)
            arguments = requests.arguments(request, command, settings.nodes if settings else None)
            code = _approved(ctx, group, request, settings) or _call(command, arguments)
        except ConfigError as problem:
            error = problem
    if error is not None:
        code = _refuse(request, error)
    steps = ("approve", request.step) if request.step == "release" else (request.step,)
    _tell(say, code, request, settings, steps, before)
    return code


def _recover(ctx: click.Context, group: click.Command, request: Request, say: Say) -> int:
    settings, error = _checked(request)
    before = Before(settings)
    code = 0
    if error is not None:
        code = _refuse(request, error)
    elif settings and leaves_production_open(request, settings):
        command = _command(ctx, group, "recover")
        code = _call(command, requests.arguments(_same_place("recover", request), command, None))
    _tell(say, code, request, settings, ("approve", request.step, "recover"), before)
    return code


def _same_place(step: str, request: Request, **more: object) -> Request:
    """A request of another step for the same stage, configuration and project."""
    same = {name: request.parameters.get(name) for name in ("stage", "config", "project")}
    return Request(step, {**same, **more})


def _check_credentials() -> None:
    """Raises :class:`ConfigError` when Jenkins has not got a credential that it was to bind."""
    missing = os.environ.get("MLOPS_MISSING")
    if missing:
        raise ConfigError(
            f"Jenkins: {missing}",
            next_step="create it as a Secret text that holds the API key of the node, where this job can see it; "
            "or name another one: credentials: [node: 'id']",
        )


def _approved(ctx: click.Context, group: click.Command, request: Request, settings: Settings | None) -> int:
    """Before a release: notes the approval that the pipeline has got, or checks that none is needed."""
    if request.step != "release" or settings is None or request.parameters.get("dryRun") is True:
        return 0
    if (settings.automation == "full" and not request.approval) or not request.stage:
        return 0
    by = request.approval.get("by") if request.approval.get("stage") == request.stage else None
    command = _command(ctx, group, "approve")
    return _call(command, requests.arguments(_same_place("approve", request, by=by), command, None))


def _tell(
    say: Say, code: int, request: Request, settings: Settings | None, steps: tuple[str, ...], before: Before
) -> None:
    for name, value in outcome(code, request, settings, steps, before).items():
        say(name, value)


def _checked(request: Request) -> tuple[Settings | None, ConfigError | None]:
    """The settings, if they can be used and what the step writes can be published."""
    try:
        settings = _settings(request)
    except ConfigError as error:
        return None, error
    here = Path.cwd()
    for name, path in (("reports", settings.reports), ("record", settings.record)):
        if not path.resolve().is_relative_to(here.resolve()):
            return settings, ConfigError(
                f"{settings.place(name)}: Jenkins can only publish what lies in {here}: {path}"
            )
    return settings, None


def _settings(request: Request) -> Settings:
    return load(request.config, os.environ, {"project": request.project})


def _command(ctx: click.Context, group: click.Command, name: str) -> click.Command:
    command = group.get_command(ctx, name) if isinstance(group, click.Group) else None
    if command is None:
        raise ConfigError(f"mlops-steps has no command {name}")
    return command


def _call(command: click.Command, arguments: list[str]) -> int:
    """Calls the command in this process, and returns its exit code. Raises :class:`ConfigError` for wrong usage."""
    try:
        command.main(arguments, prog_name=f"mlops-steps {command.name}", standalone_mode=False)
    except click.ClickException as error:
        raise ConfigError(f"{command.name}: {error.format_message()}") from None
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 1
    return 0


def _refuse(request: Request, error: ConfigError) -> int:
    """Ends as the step would end that meets the error: said in the log, with a report."""

    def call(_context: Context) -> None:
        raise error

    return run_step(Common(request.config, {"project": request.project}), request.step, request.stage, call)
