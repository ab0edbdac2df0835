"""``mlops-steps hook``: the pre-deployment hook of the Project Deployer, to be pasted into an infrastructure."""

from __future__ import annotations

from pathlib import Path

import click

from mlops_steps.commands.runner import run_command
from mlops_steps.errors import ConfigError
from mlops_steps.system.console import Console
from mlops_steps.system.files import write_atomically
from mlops_steps.system.streams import leave


@click.command()
@click.option(
    "--public-key",
    type=click.Path(dir_okay=False, path_type=Path),
    envvar="MLOPS_PUBLIC_KEY_FILE",
    metavar="FILE",
    required=True,
    help="The key that seals are signed with (Ed25519, PEM).  [default: MLOPS_PUBLIC_KEY_FILE]",
)
@click.option(
    "--out", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE", help="Write it there instead of printing."
)
def hook(public_key: Path, out: Path | None) -> None:
    """Write the hook that lets the Project Deployer refuse a bundle that the pipeline has not sealed.

    \b
      mlops-steps hook --public-key signing.pub --out mlops_hook.py

    Paste it into the settings of the infrastructure, as a hook before deployments. `release` seals the bundle when it
    has a signing key. A bundle that was live on the deployment before is let through: going back is not refused.
    """

    def call(console: Console) -> None:
        from mlops_steps.provenance.envelope import PublicKey
        from mlops_steps.provenance.seals import hook_source

        key = PublicKey.read(public_key)
        source = hook_source(key)
        if out is None:
            console.result(source.rstrip("\n"))
            return
        try:
            write_atomically(out, source.encode())
        except OSError as error:
            raise ConfigError(f"{out} could not be written: {error.strerror or error}") from error
        console.good(f"{out}: a hook that asks for seals of key {key.id[:16]}…")

    leave(run_command("hook", call))
