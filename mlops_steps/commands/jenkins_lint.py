"""``mlops-steps jenkins lint``."""

from __future__ import annotations

import os
from pathlib import Path

import click

from mlops_steps.commands.jenkins_session import open_session, output_options
from mlops_steps.commands.runner import run_command
from mlops_steps.system.console import Console
from mlops_steps.system.streams import leave


@click.command()
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--offline", is_flag=True, help="Do not ask the controller, even if one is configured.")
@output_options
def lint(file: Path, offline: bool, verbose: int, quiet: bool) -> None:
    """Check a Jenkinsfile: with the controller's own validator, or offline with Groovy.

    The validator knows the sections and options of a declarative pipeline, not which steps exist. Without a
    controller, Groovy (2.4.21 is the version inside Jenkins, and Debian's package `groovy`) says whether it parses.
    """

    def call(console: Console) -> None:
        from mlops_steps.jenkins import access
        from mlops_steps.jenkins import lint as linter

        if offline or not access.is_configured(os.environ):
            if not offline and os.environ.get(access.URL):
                console.line(f"{access.URL} is set, but no token ({access.TOKEN}): checked offline")
            console.good(linter.by_groovy(file))
            return
        with open_session(console) as session:
            console.good(linter.by_controller(session, file))

    leave(run_command("jenkins lint", call, verbose=verbose, quiet=quiet))
