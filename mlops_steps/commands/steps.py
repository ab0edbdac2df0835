"""The command of each step, built from its row in the registry."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import click

from mlops_steps.commands.runner import run_step
from mlops_steps.config import load
from mlops_steps.steps.registry import COMMON, Kind, Option, Step
from mlops_steps.system.streams import leave


def command(step: Step) -> click.Command:
    """The command that runs a step."""
    return click.Command(
        step.name,
        params=[_option(option) for option in step.all_options],
        callback=partial(_run, step),
        help=f"{step.summary}\n\n{step.text}".strip(),
    )


def _option(option: Option) -> click.Parameter:
    if option.positional:
        return click.Argument([option.name], metavar=f"[{option.metavar}]", required=False)
    names = [option.flag, *([option.short] if option.short else []), option.name]
    help_text = f"{option.help}  [default: {option.default}]" if option.default else option.help
    if option.kind is Kind.FLAG:
        return click.Option(names, is_flag=True, help=help_text)
    if option.kind is Kind.COUNT:
        return click.Option(names, count=True, help=help_text)
    return click.Option(
        names,
        metavar=option.metavar or None,
        required=option.required,
        # A shell completes the names of files then.
        type=click.Path(dir_okay=False) if option.metavar == "FILE" else str,
        callback=_checking(option) if option.pattern else None,
        help=help_text,
    )


def _checking(option: Option) -> Callable[[click.Context, click.Parameter, str | None], str | None]:
    def check(ctx: click.Context, param: click.Parameter, value: str | None) -> str | None:
        if value is not None and not re.fullmatch(option.pattern, value):
            raise click.BadParameter(f"{value[:80]!r} is not of the form {option.form}", ctx, param)
        return value

    return check


def _run(step: Step, **given: Any) -> None:
    stage = given.pop("stage", None)
    common = {option.name: given.pop(option.name) for option in COMMON}
    config = Path(common["config"]) if common["config"] else None
    leave(
        run_step(
            step,
            stage,
            lambda context: step.run(context, stage, given),
            lambda: load(config, os.environ, {"project": common["project"]}),
            verbose=common["verbose"],
            quiet=common["quiet"],
        )
    )
