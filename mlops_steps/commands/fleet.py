"""``mlops-steps fleet``: several projects that are released together, by `mlopsFleet` of the Jenkins library."""

from __future__ import annotations

import json
import os
from pathlib import Path

import click

from mlops_steps.commands.runner import run_command
from mlops_steps.config.fleet import DEFAULT_FILE
from mlops_steps.system.console import Console
from mlops_steps.system.streams import leave

_file = click.option(
    "--file",
    "-f",
    type=click.Path(dir_okay=False, path_type=Path),
    envvar="MLOPS_FLEET",
    default=Path(DEFAULT_FILE),
    metavar="FILE",
    help=f"The file that lists the projects.  [default: {DEFAULT_FILE}; MLOPS_FLEET]",
)


@click.group()
def fleet() -> None:
    """Release several projects together: what mlopsFleet goes by, and what came of it."""


@fleet.command()
@_file
def plan(file: Path) -> None:
    """Print, as JSON, which steps mlopsFleet runs for which project, in which order.

    Asks no node. A project whose mlops.yml is wrong has a `problem`; the others go on without it. Exit code 2: the file
    itself is wrong.
    """

    def call(console: Console) -> None:
        from mlops_steps.delivery.fleet import fleet_plan

        console.result(json.dumps(fleet_plan(file, os.environ), indent=2))

    leave(run_command("fleet plan", call))


@fleet.command()
@_file
@click.option(
    "--results",
    type=click.Path(dir_okay=False, path_type=Path),
    envvar="MLOPS_FLEET_RESULTS",
    default=Path(".mlops/fleet-results.json"),
    metavar="FILE",
    help="What mlopsFleet has noted of each step.  [default: .mlops/fleet-results.json; MLOPS_FLEET_RESULTS]",
)
def report(file: Path, results: Path) -> None:
    """Sum up what mlopsFleet has done: reports/mlops-fleet.xml, reports/fleet/index.html, .mlops/fleet.json.

    Prints lines NAME=VALUE for the library. Exit code 0: each project is released, or is released by hand; 1: some are
    not; 3: one was interrupted; 4: some were rolled back; 5: one is in doubt.
    """
    code = 0

    def call(console: Console) -> None:
        nonlocal code
        code = _report(file, results, console)

    failed = run_command("fleet report", call)
    leave(failed or code)


def _report(file: Path, results: Path, console: Console) -> int:
    from mlops_steps.delivery import fleet_results as found
    from mlops_steps.delivery.fleet import fleet_plan
    from mlops_steps.delivery.record import build_from
    from mlops_steps.report import junit
    from mlops_steps.report.html.fleet import FOLDER, write_fleet
    from mlops_steps.report.model import Report

    build, planned = build_from(os.environ), fleet_plan(file, os.environ)
    ended = found.ended_of(planned, found.read_results(results))
    record = Path(".mlops/fleet.json")
    found.write_record(record, planned, ended, build)
    summed = Report("", "fleet")
    found.fill(summed, ended)
    path = Path("reports", summed.file_name)
    junit.write(summed, path)
    page = write_fleet(found.page_of(ended, planned, build, Path("reports", FOLDER)), Path("reports", FOLDER))
    code = found.code_of(ended)
    said = found.summary(ended)
    lines = {
        "description": said,
        "verdict": said,
        "report": str(path),
        "archive": ",".join(map(str, [record, path, *sorted(page.parent.glob("*"))])),
    }
    for name, value in lines.items():
        console.result(f"{name}={value}")
    return code
