"""``mlops-steps config``: the schema of mlops.yml, and a first file."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mlops_steps.commands.runner import run_command
from mlops_steps.errors import ConfigError
from mlops_steps.system.console import Console
from mlops_steps.system.streams import leave

if TYPE_CHECKING:
    from mlops_steps.config.first_file import Found


@click.group()
def config() -> None:
    """Write a first mlops.yml, or print its JSON schema."""


@config.command()
def schema() -> None:
    """Print the JSON schema of mlops.yml, for editors.

    \b
      mlops-steps config schema > mlops.schema.json
    and as the first line of mlops.yml:
      # yaml-language-server: $schema=mlops.schema.json
    """
    from mlops_steps.config.schema import schema as build

    click.echo(json.dumps(build(), indent=2))
    leave(0)


@config.command()
@click.option("--project", metavar="KEY", help="Project key.  [default: MLOPS_PROJECT, or the only one there is]")
@click.option(
    "--output", "-o", type=click.Path(dir_okay=False, path_type=Path), default=Path("mlops.yml"), show_default=True
)
@click.option("--force", is_flag=True, help="Replace a file that exists.")
def init(project: str | None, output: Path, force: bool) -> None:
    """Write a commented mlops.yml from what a Design node reports.

    The node is named by MLOPS_DESIGN_URL and MLOPS_DESIGN_API_KEY (or MLOPS_DESIGN_API_KEY_FILE). It is asked for its
    projects, scenarios and infrastructures; nothing on it is changed.
    """

    def call(console: Console) -> None:
        if output.exists() and not force:
            raise ConfigError(f"{output} exists already", next_step="use --force to replace it, or --output")
        _init(project, output, force, console)

    leave(run_command("config init", call))


def _init(project: str | None, output: Path, force: bool, console: Console) -> None:
    from mlops_steps.config import first_file, load

    text = first_file.render(_ask(project, console))
    with tempfile.TemporaryDirectory() as folder:
        # What the node told may not be fit for the file; then none is left behind.
        trial = Path(folder) / output.name
        first_file.write(text, trial, force)
        settings = load(trial)
    first_file.write(text, output, force)
    for warning in settings.warnings:
        console.warn(warning.replace(str(settings.root), str(output.parent)))
    stages = ", ".join(stage.name for stage in settings.stages()) or "none yet: see the comments"
    console.good(f"{output}: project {settings.project}, stages: {stages}")
    console.line("next: `mlops-steps doctor`")


def _ask(project: str | None, console: Console) -> Found:
    from mlops_steps.config import Settings, load_without_file
    from mlops_steps.config.first_file import Found, FoundStage, stage_names
    from mlops_steps.dss import discovery, projects, scenarios
    from mlops_steps.dss.session import connect

    def settings_for(key: str) -> Settings:
        # A person waits for the answer.
        return load_without_file(os.environ, {"project": key, "http.retries": 1})

    wanted = project or os.environ.get("MLOPS_PROJECT")
    settings = settings_for(wanted or "NONE")
    with console.waiting("asking the Design node"), connect(settings, settings.nodes["design"]) as design:
        keys = projects.list_keys(design)
        key = _choose(wanted, keys)
        names = [scenario.id for scenario in scenarios.list_scenarios(design, key)]
        with connect(settings, settings.deployer()) as deployer:
            infras = discovery.infrastructures_by_stage(deployer)
    known = {node.infra: node for node in settings.stages()}
    stages = []
    for infra, name in zip(infras, stage_names([(infra.id, infra.stage) for infra in infras]), strict=True):
        # What the environment says of an infrastructure is what a person wrote; it goes before what the deployer says.
        node = known.get(infra.id)
        stages.append(FoundStage(node.name if node else name, infra.id, node.url if node else infra.url))
    return Found(key, settings.nodes["design"].url, stages, names, [other for other in keys if other != key])


def _choose(wanted: str | None, keys: list[str]) -> str:
    from mlops_steps.system.text import nearest

    if wanted in keys:
        return str(wanted)
    listed = f"projects on this node: {', '.join(keys[:50]) or 'none that this key may see'}"
    if wanted:
        raise ConfigError(f"there is no project {wanted}{nearest(wanted, keys)}", details=[listed])
    if len(keys) == 1:
        return keys[0]
    raise ConfigError("which project? name it with --project", details=[listed])
