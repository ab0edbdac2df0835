"""What the commands of ``mlops-steps jenkins`` share."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from mlops_steps.system.console import Console

if TYPE_CHECKING:
    from mlops_steps.jenkins.session import Session

Command = Callable[..., None]


def output_options(command: Command) -> Command:
    """--verbose, --quiet."""
    for option in (
        click.option("--quiet", "-q", is_flag=True, help="Print warnings and errors only."),
        click.option("--verbose", "-v", count=True, help="Print more; twice: each request too."),
    ):
        command = option(command)
    return command


@contextmanager
def open_session(console: Console) -> Iterator[Session]:
    """A session with the controller that the environment names. Raises :class:`ConfigError` when it names none."""
    from mlops_steps.jenkins.access import from_environment
    from mlops_steps.jenkins.session import Session

    access = from_environment(os.environ)
    for warning in access.warnings:
        console.warn(warning)
    made = Session(access)
    try:
        yield made
    finally:
        made.close()
