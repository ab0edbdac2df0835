"""`mlops-steps sandbox fault …` and `mlops-steps sandbox requests`: for a sandbox that runs."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mlops_steps.errors import ConfigError, MlopsError
from mlops_steps.sandbox.faults.kinds import KINDS
from mlops_steps.sandbox.faults.operations import OPERATIONS
from mlops_steps.system.console import Console

if TYPE_CHECKING:
    from mlops_steps.sandbox.remote import Remote

_dir = click.option(
    "--dir",
    "directory",
    envvar="MLOPS_SANDBOX_DIR",
    show_envvar=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder of the sandbox that runs.  [default: found by MLOPS_<NODE>_URL and its key]",
)

#: ``--faults FILE`` of the commands that start nodes.
faults_option = click.option(
    "--faults",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Fault plan (YAML or JSON): what the nodes are to do wrong. See `mlops-steps sandbox fault kinds`.",
)


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
def fault() -> None:
    """Make the nodes of a running sandbox do something wrong.

    \b
      mlops-steps sandbox fault add error --node design --operation 'start update' --status 503
      mlops-steps sandbox fault add drop --node prod --operation 'run scenario' --act after
      mlops-steps sandbox fault add scenario-hangs --node prod --target TEST_SMOKE
      mlops-steps sandbox fault list
      mlops-steps sandbox fault clear
    """


@fault.command()
@click.argument("kind", required=False)
@_dir
@click.option("--node", metavar="NODE", help="The node that does it: design, prod, auto-prod, …")
@click.option("--operation", metavar="NAME", help="To what: a name, or 'METHOD /path/*'.  [default: every request]")
@click.option("--by", metavar="WHO", help="Of requests of the deployer only, or of clients only.")
@click.option("--target", metavar="PATTERN", help="To what, for the inner kinds: scenario, deployment or label.")
@click.option("--count", metavar="N", help="How many times, or 'for ever'.")
@click.option("--after", metavar="N", help="Leave out the first N.")
@click.option("--act", metavar="WHEN", help="before the node does what it was asked (it then doesn't), or after.")
@click.option("--seconds", metavar="S", help="For late, drip and refuse.")
@click.option("--status", metavar="CODE", help="HTTP status, for error, html, empty and disk-full.")
@click.option("--retry-after", metavar="S", help="The header Retry-After, for error.")
@click.option("--message", metavar="TEXT", help="For error and update-fails.")
@click.option("--health", metavar="WORDS", help="For health: a word, or several in turn with commas.")
@click.option("--outcome", metavar="WORD", help="For scenario-ends.")
@click.option("--file", "file", type=click.Path(dir_okay=False, path_type=Path), help="All faults of a plan.")
def add(kind: str | None, directory: Path | None, file: Path | None, **settings: str | None) -> None:
    """Put a fault of KIND in force, or all of a plan. `fault kinds` lists the kinds and the operations."""

    def work() -> None:
        entries = _entries(kind, file, settings)
        for item in _running(directory).ask("POST", "/faults", body={"faults": entries})["faults"]:
            click.echo(f"{item['id']}  {item['node']}: {item['text']}")

    _finish(work)


def _entries(kind: str | None, file: Path | None, settings: dict[str, str | None]) -> list[dict[str, Any]]:
    given: dict[str, Any] = {name: value for name, value in settings.items() if value is not None}
    if (kind is None) == (file is None) or (file is not None and given):
        raise ConfigError("give either a KIND with its options, or a plan with --file")
    if file is None:
        return [{"kind": kind, **given}]
    from mlops_steps.sandbox.faults.plan import load
    from mlops_steps.sandbox.specs import NODES

    plan = load(file, [name for spec in NODES for name in (spec.id, spec.name)])
    return [{"node": item.node, **item.fault.plain()} for item in plan]


@fault.command("list")
@_dir
@click.option("--node", metavar="NODE", help="Of this node only.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def list_(directory: Path | None, node: str | None, as_json: bool) -> None:
    """List the faults, with how often each has struck."""

    def work() -> None:
        faults = _running(directory).ask("GET", "/faults", params={"node": node})["faults"]
        if as_json:
            click.echo(json.dumps(faults, indent=2))
            return
        rows = [[item["id"], item["node"], f"{item['fired']} of {item['seen']}", item["text"]] for item in faults]
        _print_table(["id", "node", "struck", "fault"], rows)

    _finish(work)


@fault.command()
@_dir
@click.option("--node", metavar="NODE", help="Those of this node only.")
@click.argument("fault_id", metavar="[ID]", required=False)
def clear(directory: Path | None, node: str | None, fault_id: str | None) -> None:
    """End all faults, or the one of ID; what they hold back goes on."""

    def work() -> None:
        answer = _running(directory).ask("DELETE", "/faults", params={"node": node, "id": fault_id})
        click.echo(f"{answer['cleared']} cleared")

    _finish(work)


@fault.command()
def kinds() -> None:
    """List the kinds of faults, their settings, and the names of operations."""
    rows = []
    for kind in KINDS.values():
        own = sorted(kind.settings)
        acts = ["act"] if len(kind.acts) > 1 else []
        where = ["target"] if kind.place == "work" else ["operation"]
        rows.append([kind.name, kind.summary, ", ".join([*where, *acts, *own])])
    _print_table(["kind", "what happens", "settings, with count and after"], rows)
    click.echo()
    _print_table(["operation", "request"], [[name, request] for name, request in OPERATIONS.items()])


@click.command()
@_dir
@click.option("--node", metavar="NODE", help="To this node only.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--clear", "empty", is_flag=True, help="Empty the log after printing it.")
def requests(directory: Path | None, node: str | None, as_json: bool, empty: bool) -> None:
    """Show each request to the public API since the start: when, to which node, what, and how it ended."""

    def work() -> None:
        remote = _running(directory)
        found = remote.ask("GET", "/requests", params={"node": node})["requests"]
        if as_json:
            click.echo(json.dumps(found, indent=2))
        else:
            rows = [
                [
                    item["time"][11:23],
                    item["node"],
                    str(item["status"] or "-"),
                    f"{item['seconds'] * 1000:.0f} ms",
                    item["fault"] or "",
                    f"{item['method']} {item['path']}",
                ]
                for item in found
            ]
            _print_table(["time", "node", "status", "took", "fault", "request"], rows)
        if empty:
            remote.ask("DELETE", "/requests", params={"node": node})

    _finish(work)


def _running(directory: Path | None) -> Remote:
    from mlops_steps.sandbox.remote import Remote

    return Remote.find(directory)


def _print_table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    lines = [heads, *rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(heads))]
    for line in lines:
        click.echo("  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip())


def _finish(work: Callable[[], None]) -> None:
    try:
        work()
    except MlopsError as error:
        console = Console()
        for number, line in enumerate(error.lines()):
            console.error(f"{error.label}: {line}" if number == 0 else line)
        sys.exit(error.exit_code)
