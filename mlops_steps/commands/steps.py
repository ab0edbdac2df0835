"""One command for each pipeline step."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mlops_steps.commands.runner import Common, leave, run_step

if TYPE_CHECKING:
    from mlops_steps.steps.context import Context

Command = Callable[..., None]


def common_options(command: Command) -> Command:
    """--config, --project, --verbose, --quiet."""
    for option in (
        click.option("--quiet", "-q", is_flag=True, help="Print warnings and errors only."),
        click.option("--verbose", "-v", count=True, help="Print more; twice: each request too."),
        click.option("--project", metavar="KEY", help="Project key; replaces the one of mlops.yml and MLOPS_PROJECT."),
        click.option(
            "--config",
            "-c",
            type=click.Path(dir_okay=False, path_type=Path),
            help="Configuration file.  [default: mlops.yml; MLOPS_CONFIG]",
        ),
    ):
        command = option(command)
    return command


def stage_option(command: Command) -> Command:
    """--stage"""
    return click.option("--stage", "-s", required=True, metavar="NAME", help="Stage, as named in mlops.yml.")(command)


def _common(options: dict[str, Any], **overrides: Any) -> Common:
    settings = {key: value for key, value in {"project": options["project"], **overrides}.items() if value is not None}
    return Common(options["config"], settings, options["verbose"], options["quiet"])


def _run(
    options: dict[str, Any], step: str, stage: str | None, call: Callable[[Context], None], **overrides: Any
) -> None:
    leave(run_step(_common(options, **overrides), step, stage, call))


@click.command()
@common_options
def doctor(**options: Any) -> None:
    """Check every node of the configuration, all at once.

    Reachable, TLS, key accepted, DSS version, project, infrastructure and the right to deploy to it, clock. Run it
    first: it changes nothing, and each line that fails says what to do.
    """

    def call(context: Context) -> None:
        from mlops_steps.steps import doctor as step

        step.run(context)

    _run(options, "doctor", None, call)


@click.command()
@common_options
def validate(**options: Any) -> None:
    """Check the project on the Design node against the rules.

    Test scenarios and a smoke scenario exist; Python recipes and library modules parse, are not too long or too
    complex and hold no credentials; code environments, datasets and models that are used exist. One test case per
    rule and object. Limits, severities and exceptions: `validate` in mlops.yml.
    """

    def call(context: Context) -> None:
        from mlops_steps.steps import validate as step

        step.run(context)

    _run(options, "validate", None, call)


@click.command()
@click.option("--bundle-id", metavar="ID", help="Id of the bundle; replaces the template `package.bundle_id`.")
@common_options
def package(bundle_id: str | None, **options: Any) -> None:
    """Export the bundle, publish it to the Project Deployer, check its archive.

    Begins the release record (.mlops/release.json) that the following steps read. Run again for the same commit and
    build, it finds what it made and makes nothing twice.
    """

    def call(context: Context) -> None:
        from mlops_steps.steps import package as step

        step.run(context, bundle_id=bundle_id)

    _run(options, "package", None, call)


@click.command()
@stage_option
@click.option("--bundle", metavar="ID", help="A published bundle.  [default: the record's]")
@common_options
def deploy(stage: str, bundle: str | None, **options: Any) -> None:
    """Make the bundle live on a stage.

    Believed only when the deployer says HEALTHY and the Automation node that this bundle is active. For production
    use `release`, which smoke-tests and rolls back.
    """

    def call(context: Context) -> None:
        from mlops_steps.steps import deploy as step

        step.run(context, stage, bundle=bundle)

    _run(options, "deploy", stage, call)


@click.command()
@stage_option
@common_options
def test(stage: str, **options: Any) -> None:
    """Run the test scenarios of the deployed project, and the team's own pytest suite.

    Side by side, each with a time limit; every outcome is a test case, and the JUnit reports that DSS has are merged
    in. See `test` in mlops.yml.
    """

    def call(context: Context) -> None:
        from mlops_steps.steps import test as step

        step.run(context, stage)

    _run(options, "test", stage, call)


@click.command()
@stage_option
@click.option("--by", metavar="NAME", help="Who approves.  [default: only check that somebody has]")
@common_options
def approve(stage: str, by: str | None, **options: Any) -> None:
    """Note in the release record who approved the release of its bundle.

    Without --by it is a check: where mlops.yml says `automation: approval`, somebody must have. The pipeline's
    question is asked by mlopsApprove; by hand, `release` asks for nobody's approval but yours.
    """

    def call(context: Context) -> None:
        from mlops_steps.steps import approve as step

        step.run(context, stage, by=by)

    _run(options, "approve", stage, call)


@click.command()
@stage_option
@click.option("--dry-run", is_flag=True, help="Print what would happen; change nothing.")
@common_options
def release(stage: str, dry_run: bool, **options: Any) -> None:
    """Make the tested bundle live on a stage, smoke-test it there, and roll back when that fails.

    Refuses a bundle whose tests did not pass on the stage before, or whose archive is not the one that was tested.
    Ends with 0 when it is live and verified, with 4 when the previous bundle is live again and verified, and with 5
    when a person must act.
    """

    def call(context: Context) -> None:
        from mlops_steps.steps import release as step

        step.run(context, stage, dry_run=dry_run)

    _run(options, "release", stage, call)


@click.command("smoke-test")
@stage_option
@common_options
def smoke_test(stage: str, **options: Any) -> None:
    """Run the smoke scenario on what is live on a stage."""

    def call(context: Context) -> None:
        from mlops_steps.steps import smoke_test as step

        step.run(context, stage)

    _run(options, "smoke-test", stage, call)


@click.command()
@stage_option
@common_options
def recover(stage: str, **options: Any) -> None:
    """After an abort or a crash: finish the restore that is owed, or find that none is.

    Waits for another process that is at work on the stage, on this machine or another, `release.rollback_timeout` at
    most. Safe to run at any time.
    """

    def call(context: Context) -> None:
        from mlops_steps.steps import recover as step

        step.run(context, stage)

    _run(options, "recover", stage, call)


@click.command()
@stage_option
@click.option("--to", metavar="BUNDLE", help="The bundle to go back to.  [default: the one that was live before]")
@common_options
def rollback(stage: str, to: str | None, **options: Any) -> None:
    """Go back to an earlier bundle, verify it, and run its smoke test."""

    def call(context: Context) -> None:
        from mlops_steps.steps import rollback as step

        step.run(context, stage, to=to)

    _run(options, "rollback", stage, call)


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@common_options
def status(as_json: bool, **options: Any) -> None:
    """Show what is live where, since when, from which commit and build, and whether it was tested."""

    def call(context: Context) -> None:
        from mlops_steps.steps import status as step

        step.run(context, json=as_json)

    _run(options, "status", None, call)
