"""`mlops-steps sandbox`: DSS nodes on this machine, around a command or until they are stopped."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import click

from mlops_steps.errors import ConfigError, MlopsError
from mlops_steps.sandbox.fault_commands import fault, faults_option, requests
from mlops_steps.sandbox.session import command_environment, environment, export_lines, running
from mlops_steps.sandbox.signals import Signals, Stopped
from mlops_steps.sandbox.specs import infra_specs
from mlops_steps.system.console import Console
from mlops_steps.system.files import write_atomically

_dir = click.option(
    "--dir",
    "directory",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder that keeps the state of the nodes; used again, it goes on where it was.  [default: a temporary one]",
)
_nodes = click.option(
    "--nodes",
    type=click.IntRange(1, 500),
    metavar="N",
    help="So many infrastructures for production, n1, n2, …, in the place of auto-prod, for a stage with several.",
)
_infras = click.option(
    "--infra",
    "infras",
    multiple=True,
    metavar="STAGE/NAME[=NODES]",
    help="An infrastructure of a stage, of one Automation node or of so many, in the place of that stage's one node. "
    "Repeat it for several: --infra prod/eu --infra prod/us=3.",
)
# Seven nodes take seven ports.
_port = click.option(
    "--port",
    type=click.IntRange(1024, 65529),
    metavar="BASE",
    help="Port of the Design node; the other nodes take the next ones.  [default: free ports]",
)
_shapes = click.option(
    "--shapes",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Answer in the shapes of a site (`mlops-steps accept --record FILE`), where they differ from the own ones.",
)


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
def sandbox() -> None:
    """Run DSS nodes on this machine: a Design node, two Automation nodes, four API nodes.

    They listen on loopback only, each with its own port and random key, speak the public API of DSS and really do the
    work. On the Design node is DKU_CHURN, a churn-prediction project in its first revision.

    \b
      mlops-steps sandbox demo                  three revisions through the whole pipeline
      mlops-steps sandbox demo gates            three candidates judged by gates
      mlops-steps sandbox demo api              canaries of an API service, while users call it
      mlops-steps sandbox demo monitor          a model that decays, and is trained anew once
      mlops-steps sandbox run -- bash ci.sh     your own pipeline, on fresh nodes
      mlops-steps sandbox up --dir nodes        nodes to try things on
      mlops-steps sandbox apply 2               the next revision of the project
      mlops-steps sandbox fault add ...         let a node do something wrong
      mlops-steps sandbox rehearse              releases under faults: what you would see
      mlops-steps sandbox compare --shapes F    where your DSS answers in another form
    """


sandbox.add_command(fault)
sandbox.add_command(requests)


@sandbox.command()
@_dir
@_port
@faults_option
@click.option(
    "--env-file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write the environment to this file, readable by you only, instead of printing it. It goes when they stop.",
)
@_nodes
@_infras
@_shapes
def up(
    directory: Path | None,
    port: int | None,
    faults: Path | None,
    env_file: Path | None,
    nodes: int | None,
    infras: tuple[str, ...],
    shapes: Path | None,
) -> None:
    """Start the nodes and keep them until Ctrl-C or SIGTERM.

    Prints the environment that points mlops-steps to them as `export` lines. The keys in it are made for this sandbox
    and open nothing else.

    \b
      mlops-steps sandbox up --dir nodes --env-file nodes.env      in one terminal
      . ./nodes.env && mlops-steps doctor                          in another one
    """
    console = Console()
    ready = False

    def work(_signals: Signals) -> int:
        nonlocal ready
        with running(directory, port, console, faults, infras=infra_specs(nodes, infras), shapes=shapes) as site:
            lines = export_lines(environment(site))
            try:
                if env_file is None:
                    click.echo(lines, nl=False)
                else:
                    _write_private(env_file, lines)
                ready = True
                console.good(f"ready; the state is in {site.dir}. Ctrl-C stops the nodes")
                threading.Event().wait()
            finally:
                if env_file is not None:
                    env_file.unlink(missing_ok=True)
        return 0

    _finish(console, work, lambda number: 0 if ready else 128 + number)


@sandbox.command(
    short_help="Start the nodes, run a command on them, stop them.",
    context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False},
)
@_dir
@_port
@faults_option
@_nodes
@_infras
@_shapes
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
def run(
    directory: Path | None,
    port: int | None,
    faults: Path | None,
    nodes: int | None,
    infras: tuple[str, ...],
    shapes: Path | None,
    command: tuple[str, ...],
) -> None:
    """Start the nodes, run COMMAND with their environment, stop them, and end as COMMAND ended.

    SIGTERM, SIGINT and SIGHUP are passed on to COMMAND; the nodes live until it has ended, so that it can clean up.
    Variables of the caller that point to other nodes are kept from it.

    \b
      mlops-steps sandbox run -- mlops-steps doctor
      mlops-steps sandbox run --dir nodes -- bash -c 'mlops-steps package && mlops-steps deploy --stage test'
    """
    console = Console()

    def work(signals: Signals) -> int:
        with running(directory, port, console, faults, infras=infra_specs(nodes, infras), shapes=shapes) as site:
            return _run_command(command, command_environment(site, os.environ), signals)

    _finish(console, work, lambda number: 128 + number)


@sandbox.command(short_help="Where the shapes of a site's answers differ from those of the sandbox.")
@click.option(
    "--shapes",
    required=True,
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="What `mlops-steps accept --record FILE` has written.",
)
def compare(shapes: Path) -> None:
    """Print where the answers of a site have another shape than those of the sandbox, one line each.

    The exit code is 1 when there is a difference. `sandbox up --shapes FILE` answers as the site does.
    """
    from mlops_steps.shapes import document
    from mlops_steps.shapes.differences import differences

    console = Console()

    def work(_signals: Signals) -> int:
        own, site = document.sandbox_shapes(), document.read(shapes)
        found = differences(own, site)
        for line in found:
            console.result(line)
        versions = f"DSS {', '.join(own.versions)} here, {', '.join(site.versions) or 'unknown'} there"
        if found:
            console.line(f"{len(found)} differences ({versions})")
        else:
            console.good(f"no difference ({versions})")
        return 1 if found else 0

    _finish(console, work, lambda number: 128 + number)


@sandbox.command(short_help="Change DKU_CHURN to another of its revisions.")
@click.argument("revision", type=int)
@click.option(
    "--dir",
    "directory",
    envvar="MLOPS_SANDBOX_DIR",
    show_envvar=True,
    required=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder of a sandbox that runs.",
)
def apply(revision: int, directory: Path) -> None:
    """Make DKU_CHURN on the Design node that of REVISION (1 to 7), and train its model there.

    1 is a logistic regression, 2 gradient boosting, 3 a call list whose smoke test fails in production only, for want
    of a variable that was set on the other nodes.

    4 to 7 follow 2 as versions of the API service `churn`: 4 is better, 5 slower, 6 wrong about customers with an
    international plan, 7 fails for records that lack a feature.
    """
    console = Console()

    def work(_signals: Signals) -> int:
        from mlops_steps.sandbox.content import DesignNode, apply_revision

        applied = apply_revision(DesignNode.in_folder(directory), revision, console.line)
        console.good(f"DKU_CHURN is at revision {revision}, commit {applied.commit[:10]}")
        return 0

    _finish(console, work, lambda number: 128 + number)


@sandbox.command()
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("sandbox-demo"),
    show_default=True,
    help="Folder for mlops.yml, the reports and the release records.",
)
@click.argument("story", type=click.Choice(["release", "gates", "api", "monitor"]), default="release")
def demo(out: Path, story: str) -> None:
    """Take revisions of DKU_CHURN through the whole pipeline.

    release: three revisions are validated, packaged, deployed to test, tested and released to production. The first
    two are released; the smoke test of the third fails in production, which goes back to the second.

    gates: three candidates are judged against the model in production. One is better and released. The code of the
    other two is better and their model worse, for everybody or in one state only: gates stop them.

    api: three versions of the API service, each after the first as a canary, while users call it. One is better and
    gets all calls; one is wrong about some customers and is taken back. No call of a user fails.

    monitor: the customers of the second quarter are not those that the model knows. When their labels arrive, decay is
    found, exactly one retraining is triggered, the new model goes live through all gates, and the next look is green.

    Less than two minutes each.
    """
    console = Console()

    def work(signals: Signals) -> int:
        if story == "api":
            from mlops_steps.sandbox.play.demo_api import run_demo_api

            return run_demo_api(out, console, signals)
        if story == "monitor":
            from mlops_steps.sandbox.play.demo_monitor import run_demo_monitor

            return run_demo_monitor(out, console, signals)
        from mlops_steps.sandbox.play.demo import run_demo
        from mlops_steps.sandbox.play.demo_stories import STORIES

        return run_demo(STORIES[story], out, console, signals)

    _finish(console, work, lambda number: 128 + number)


@sandbox.command(short_help="Release under one fault after the other, and see how it ends.")
@click.option(
    "--faults",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Fault plan (YAML or JSON); each of its faults is one release.  [default: a list of some twenty]",
)
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("sandbox-rehearsal"),
    show_default=True,
    help="Folder for the logs and reports of each release.",
)
@click.argument("what", type=click.Choice(["release", "api"]), default="release")
def rehearse(faults: Path | None, out: Path, what: str) -> None:
    """Rehearse the worst day: releases to production, each under one fault.

    release: a project's bundle, to the Automation node. api: a version of the API service, to the API nodes.

    One bundle is live, another one has passed its tests. For each fault the table at the end shows what the user saw,
    the exit code, and what the production node has active. The exit code is 0 when every release ended as it said.
    """
    console = Console()

    def work(signals: Signals) -> int:
        from mlops_steps.sandbox.play.rehearsal import Rehearsal, run_rehearsal
        from mlops_steps.sandbox.play.rehearsal_api import ServiceRehearsal

        return run_rehearsal(out, faults, console, signals, ServiceRehearsal if what == "api" else Rehearsal)

    _finish(console, work, lambda number: 128 + number)


def _run_command(command: tuple[str, ...], variables: dict[str, str], signals: Signals) -> int:
    try:
        return signals.run(command, env=variables)
    except FileNotFoundError:
        raise _NotRun(f"{command[0]}: no such command", 127) from None
    except OSError as error:
        raise _NotRun(f"{command[0]}: {error.strerror}", 126) from None


class _NotRun(ConfigError):
    """The command could not be started; the exit codes are those of a shell."""

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        self.exit_code = code  # type: ignore[misc]


def _finish(console: Console, work: Callable[[Signals], int], stopped: Callable[[int], int]) -> NoReturn:
    with Signals() as signals:
        try:
            code = work(signals)
        except Stopped as stop:
            code = stopped(stop.signal)
            console.line(f"stopped by {signal.Signals(stop.signal).name}")
        except MlopsError as error:
            code = console.failure(error)
        except BrokenPipeError:
            # Whoever read the environment is gone; the nodes are stopped, nothing is left to say.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            code = 128 + signal.SIGPIPE
    sys.exit(code)


def _write_private(path: Path, text: str) -> None:
    """Writes a file that only its owner can read, from its first byte on."""
    try:
        write_atomically(path, text.encode(), mode=0o600)
    except OSError as error:
        raise ConfigError(f"The environment could not be written to {path}: {error.strerror}") from error
