"""The console command ``mlops-steps``."""

from __future__ import annotations

import importlib
import os
import signal
import sys
from contextlib import suppress

import click

from mlops_steps.errors import ConfigError
from mlops_steps.steps.registry import STEPS
from mlops_steps.system.console import Console
from mlops_steps.system.streams import leave, open_standard_streams, output_is_broken
from mlops_steps.version import __version__

#: The commands that are not steps. They are imported when they are used: starting a step must be quick, and the sandbox
#: is an extra.
COMMANDS = {
    "verify": "mlops_steps.commands.verify:verify",
    "hook": "mlops_steps.commands.hook:hook",
    "jenkins": "mlops_steps.commands.jenkins:jenkins",
    "fleet": "mlops_steps.commands.fleet:fleet",
    "config": "mlops_steps.commands.config:config",
    "sandbox": "mlops_steps.sandbox.commands:sandbox",
    "completion": "mlops_steps.commands.completion:completion",
    "from-environment": "mlops_steps.commands.groovy.from_environment:from_environment",
}


class _Lazy(click.Group):
    """A group whose commands are imported when they are asked for, listed in the order of the pipeline."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        return [*STEPS, *COMMANDS]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name in STEPS:
            from mlops_steps.commands import steps

            return steps.command(STEPS[cmd_name])
        place = COMMANDS.get(cmd_name)
        if place is None:
            return None
        module, _, name = place.partition(":")
        command = getattr(importlib.import_module(module), name)
        return command if isinstance(command, click.Command) else None


@click.group(cls=_Lazy, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, "--version", "-V", message="%(prog)s %(version)s")
def cli() -> None:
    """Take Dataiku DSS projects to production: validate, package, deploy, test, release, roll back.

    \b
      mlops-steps doctor                 is everything there, before anything else
      mlops-steps validate               the project on the Design node, against the rules
      mlops-steps package                the bundle, on the Project Deployer
      mlops-steps deploy --stage test
      mlops-steps test --stage test
      mlops-steps release --stage prod   deploy, smoke test, rollback if it fails

    Settings are read from mlops.yml, keys from MLOPS_<NODE>_API_KEY or the file that MLOPS_<NODE>_API_KEY_FILE names.
    Each step writes JUnit XML to reports/. Exit codes: 0 done, 1 a check failed, 2 usage or configuration,
    3 a node refused or was not reached, 4 rolled back, 5 production in doubt, 129, 130 and 143 interrupted.

    No Dataiku at hand? `mlops-steps sandbox demo` starts nodes on this machine and takes a real project through.
    """


def main() -> None:
    """Entry point."""
    open_standard_streams()
    if hasattr(sys.stdout, "reconfigure") and os.environ.get("PYTHONIOENCODING") is None:
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        code = cli.main(prog_name="mlops-steps", standalone_mode=False)
    except click.ClickException as error:
        with suppress(OSError):
            error.show()
        code = error.exit_code
    except click.Abort:
        code = 128 + signal.SIGINT
    except OSError as error:
        # Of a command that prints what was asked for, such as a schema; steps end by themselves.
        if not output_is_broken():
            raise
        code = Console().failure(ConfigError(f"the output could not be written: {error.strerror or error}"))
    leave(code if isinstance(code, int) else 0)
