"""``mlops-steps jenkins run``."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

import click

from mlops_steps.commands.jenkins_session import open_session, output_options
from mlops_steps.commands.runner import run_command
from mlops_steps.errors import ConfigError, ControllerError, Interrupted, NodeError
from mlops_steps.system.console import Console
from mlops_steps.system.interrupts import Stop
from mlops_steps.system.streams import leave

if TYPE_CHECKING:
    from mlops_steps.jenkins.builds import Build
    from mlops_steps.jenkins.session import Session


@click.command()
@click.argument("job")
@click.option("--parameter", "-p", "parameters", multiple=True, metavar="NAME=VALUE", help="A parameter of the build.")
@click.option("--approve", is_flag=True, help="Answer the question of mlopsApprove with yes, where this user may.")
@click.option("--no-wait", is_flag=True, help="Print the build's URL once it has begun, and leave it alone.")
@click.option(
    "--queue-timeout", default="30m", show_default=True, metavar="TIME", help="Limit of the wait in the queue."
)
@click.option("--timeout", default="24h", show_default=True, metavar="TIME", help="Limit of the build itself.")
@output_options
def run(
    job: str,
    parameters: tuple[str, ...],
    approve: bool,
    no_wait: bool,
    queue_timeout: str,
    timeout: str,
    verbose: int,
    quiet: bool,
) -> None:
    """Start a build of JOB (its full name: folder/job) and follow it to its end.

    Prints the console as it grows on standard output, and on standard error at the end the stages and the tests: those
    that fail newly, still, and no longer, against the build before. Exit code 0 for SUCCESS, 1 for everything else.
    When the build waits for an approval, it says so with the address. On Ctrl-C it asks whether to stop the build.
    """

    def call(console: Console) -> None:
        from mlops_steps.jenkins.full_names import existing_item

        values = _values(parameters)
        limits = _seconds("--queue-timeout", queue_timeout), _seconds("--timeout", timeout)
        name = existing_item(job, "JOB")
        with open_session(console) as session:
            _run(session, name, values, limits, no_wait, approve, console)

    leave(run_command("jenkins run", call, verbose=verbose, quiet=quiet))


def _run(
    session: Session,
    job: str,
    values: dict[str, str],
    limits: tuple[float, float],
    no_wait: bool,
    approve: bool,
    console: Console,
) -> None:
    from mlops_steps.jenkins import builds
    from mlops_steps.jenkins.run import check, follow, summary
    from mlops_steps.system.waiting import Deadline

    item = builds.trigger(session, job, values)
    with _on_stop(console, f"{job} in the queue", lambda: builds.cancel(session, job, item)):
        with console.waiting(f"{job} waits in the queue") as wait:
            build = builds.wait_for_start(session, job, item, Deadline(limits[0]), wait.state)
    if no_wait:
        click.echo(build.url)
        return
    console.line(f"{build}: {build.url}")
    with _on_stop(console, str(build), lambda: builds.stop(session, build)):
        answer = partial(_asked, session, build, approve, console)
        end = follow(session, build, Deadline(limits[1]), _Output(), answer)
    for line in summary(end):
        console.line(line)
    console.good(check(end))


def _asked(session: Session, build: Build, approve: bool, console: Console, what: str, question: str | None) -> None:
    """Says that the build waits for an answer, and gives it where that was asked for."""
    from mlops_steps.jenkins import questions

    console.line(f"{build} waits for {what}: {questions.page(session, build)}")
    if approve and question:
        try:
            questions.approve(session, build, question)
        except NodeError as error:
            refused = isinstance(error, ControllerError) and error.status == 400
            why = "this user is not among the approvers, or somebody has answered: " if refused else ""
            console.warn(f"not approved: {why}{error.message}; the build goes on")
        else:
            console.good(f"{build}: approved")


class _Output:
    """Lines to standard output, as long as somebody reads them: the build is followed to its end all the same."""

    def __init__(self) -> None:
        self._closed = False

    def __call__(self, line: str) -> None:
        if not self._closed:
            try:
                click.echo(line)
            except OSError:
                self._closed = True


@contextmanager
def _on_stop(console: Console, what: str, stop: Callable[[], None]) -> Iterator[None]:
    """On Ctrl-C at a terminal, asks whether to stop what Jenkins does; otherwise says that it goes on."""
    try:
        yield
    except Stop as signalled:
        message = f"{what} goes on without this command"
        if signalled.signal == signal.SIGINT and sys.stdin.isatty() and _confirmed(f"Stop {what} too?"):
            stop()
            message = f"Jenkins was asked to stop {what}"
        console.line("")
        raise Interrupted(message, signal_number=signalled.signal) from None


def _confirmed(question: str) -> bool:
    try:
        return click.confirm(f"\n{question}", default=False, err=True)
    except click.Abort:  # the terminal is gone
        return False


def _values(parameters: tuple[str, ...]) -> dict[str, str]:
    values: dict[str, str] = {}
    for parameter in parameters:
        name, separator, value = parameter.partition("=")
        if not separator or not name.strip():
            raise ConfigError("--parameter: give NAME=VALUE", details=[f"not {name!r}"])
        if name in values:
            raise ConfigError(f"--parameter: {name} is given twice")
        values[name] = value
    return values


def _seconds(option: str, text: str) -> float:
    from mlops_steps.config.durations import parse_duration

    try:
        return parse_duration(text)
    except ValueError as error:
        raise ConfigError(f"{option}: {error}") from None
