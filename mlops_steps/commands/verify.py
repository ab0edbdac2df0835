"""``mlops-steps verify``: what statements prove about a bundle's archive. Asks no node."""

from __future__ import annotations

from pathlib import Path

import click

from mlops_steps.commands.runner import run_command
from mlops_steps.errors import CheckFailed, ConfigError
from mlops_steps.system.console import Console
from mlops_steps.system.streams import leave


@click.command()
@click.option(
    "--public-key",
    type=click.Path(dir_okay=False, path_type=Path),
    envvar="MLOPS_PUBLIC_KEY_FILE",
    metavar="FILE",
    help="The key that signed them (Ed25519, PEM).  [default: MLOPS_PUBLIC_KEY_FILE]",
)
@click.argument("bundle", type=click.Path(path_type=Path), metavar="BUNDLE.zip")
@click.argument("files", type=click.Path(path_type=Path), metavar="STATEMENT...", nargs=-1, required=True)
def verify(public_key: Path | None, bundle: Path, files: tuple[Path, ...]) -> None:
    """Say what statements prove about the archive of a bundle, and what they do not. Works offline.

    \b
      mlops-steps verify --public-key release.pub BUNDLE.zip .mlops/statements/CHURN/*.intoto.json

    Exit code 0: every statement is about this archive and signed by the key, and none says that something failed.
    1: something is not proven. 2: wrong usage.
    """

    def call(console: Console) -> None:
        _verify(public_key, bundle, files, console)

    leave(run_command("verify", call))


def _verify(public_key: Path | None, bundle: Path, files: tuple[Path, ...], console: Console) -> None:
    from mlops_steps.provenance import store
    from mlops_steps.provenance.envelope import PublicKey
    from mlops_steps.provenance.verify import check, missing, sha256_of, words

    key = PublicKey.read(public_key) if public_key else None
    absent = [str(path) for path in files if not path.is_file()]
    if absent:
        raise ConfigError(f"{absent[0]}: no such file", details=[f"{name}: no such file" for name in absent[1:]])
    sha256, size = sha256_of(bundle)
    console.result(f"{bundle}: {size} bytes, SHA-256 {sha256}")
    found, problems = [], []
    for path in files:
        try:
            checked = check(str(path), store.read(path), sha256, key)
        except CheckFailed as error:
            problems.append(error.message)
            console.result(f"REFUSED {error.message}")
            continue
        found.append(checked)
        verdict = "PROVEN" if checked.is_authentic else "NOT PROVEN"
        console.result(f"{verdict} {checked.name}: {checked.signature}")
        for line in words(checked):
            console.result(f"  {line}")
        if not checked.is_authentic:
            problems.append(f"{checked.name}: {checked.signature}")
        elif checked.failed:
            problems.append(f"{checked.name}: it says that this failed")
    for text in missing(found):
        console.result(f"no proof {text}")
    if problems:
        raise CheckFailed(f"not proven: {problems[0]}", details=problems[1:])
    console.good(f"proven: {len(found)} statements")
