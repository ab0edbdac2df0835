"""``mlops-steps jenkins setup``."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mlops_steps.commands.jenkins_session import open_session, output_options
from mlops_steps.commands.runner import run_command
from mlops_steps.errors import ConfigError, MlopsError
from mlops_steps.system.console import Console
from mlops_steps.system.streams import leave

if TYPE_CHECKING:
    from mlops_steps.jenkins.credentials import SecretText
    from mlops_steps.jenkins.folders import Library
    from mlops_steps.jenkins.jobs import FromRepository, Inline
    from mlops_steps.jenkins.session import Session
    from mlops_steps.jenkins.setup import Wanted

_FILE = click.Path(dir_okay=False, path_type=Path)


@click.command()
@click.option(
    "--folder", required=True, metavar="NAME", help="Full name of the folder (team/churn); created if missing."
)
@click.option("--library-url", metavar="URL", help="Git repository of the library; attached to the folder.")
@click.option("--library-version", metavar="VERSION", help="Its default version: a tag (best), a branch, a commit.")
@click.option("--library-name", default="mlops-steps", show_default=True, metavar="NAME", help="Name in @Library('…').")
@click.option(
    "--library-credentials", default="", metavar="ID", help="Credential to read the library's repository with."
)
@click.option("--job", metavar="NAME", help="Pipeline job in the folder; created if missing.")
@click.option("--job-repository", metavar="URL", help="Git repository that holds the job's Jenkinsfile.")
@click.option("--job-branch", default="main", show_default=True, metavar="NAME", help="Branch to build.")
@click.option(
    "--job-script-path", default="Jenkinsfile", show_default=True, metavar="PATH", help="Where it lies there."
)
@click.option("--job-credentials", default="", metavar="ID", help="Credential to read that repository with.")
@click.option("--jenkinsfile", type=_FILE, help="Write this file into the job, instead of a repository.")
@click.option(
    "--credentials/--no-credentials",
    "with_credentials",
    default=True,
    help="One Secret text mlops-<node> for each node of mlops.yml, where it is missing.  [default: credentials]",
)
@click.option("--update-credentials", is_flag=True, help="Overwrite the values of credentials that exist.")
@click.option("--dry-run", is_flag=True, help="Print what would change; change nothing.")
@click.option("--config", "-c", type=_FILE, help="Configuration file.  [default: mlops.yml; MLOPS_CONFIG]")
@output_options
def setup(verbose: int, quiet: bool, dry_run: bool, **options: Any) -> None:
    """Bring a folder with the library, the credentials and the pipeline job to a controller.

    Checks the controller's version and plugins first, then says what changes and changes it; a second time it changes
    nothing. What else the folder and the job hold stays. Values of credentials come from MLOPS_<NODE>_API_KEY (or
    …_FILE); Jenkins never shows them, so those that are there are left alone unless --update-credentials is given.

    \b
      mlops-steps jenkins setup --folder team/churn --dry-run \\
        --library-url https://git.example.com/mlops-steps.git --library-version v0.1.0 \\
        --job release --job-repository https://git.example.com/churn.git
    """

    def call(console: Console) -> None:
        wanted = _wanted(console, **options)
        with open_session(console) as session:
            _setup(session, wanted, dry_run, console)

    leave(run_command("jenkins setup", call, verbose=verbose, quiet=quiet))


def _setup(session: Session, wanted: Wanted, dry_run: bool, console: Console) -> None:
    from mlops_steps.jenkins import requirements
    from mlops_steps.jenkins.setup import plan

    found = requirements.check(session)
    for warning in found.warnings:
        console.warn(warning)
    console.line(f"Jenkins {found.version} at {session.access.url}, as {found.user}")
    planned = plan(session, wanted)
    for line in planned.kept:
        console.line(line)
    for number, change in enumerate(planned.changes):
        for line in f"{'would ' if dry_run else ''}{change}".splitlines():
            console.line(line)
        if not dry_run:
            _apply(change.apply, number, len(planned.changes))
    count = f"{len(planned.changes)} change{'' if len(planned.changes) == 1 else 's'}"
    if not planned.changes:
        console.good("nothing to change")
    elif dry_run:
        console.good(f"{count} would be made; nothing was changed")
    else:
        console.good(f"{count} made")


def _apply(apply: Callable[[], None], done: int, total: int) -> None:
    """Makes one change; an error says how far it came."""
    try:
        apply()
    except MlopsError as error:
        error.details = (*error.details, f"{done} of {total} changes were made; run it again for the others")
        raise


def _wanted(
    console: Console, *, folder: str, job: str | None, with_credentials: bool, update_credentials: bool, **options: Any
) -> Wanted:
    from mlops_steps.jenkins.full_names import new_item
    from mlops_steps.jenkins.setup import Wanted

    if job and "/" in job:
        raise ConfigError(f"--job: give the name within the folder {folder}, without a slash")
    return Wanted(
        folder=new_item(folder, "--folder"),
        library=_library(**{name.removeprefix("library_"): options[name] for name in options if "library" in name}),
        credentials=_credentials(options["config"], console) if with_credentials else (),
        update_credentials=update_credentials,
        job=new_item(job, "--job") if job else None,
        source=_source(job, **options),
    )


def _library(*, url: str | None, version: str | None, name: str, credentials: str) -> Library | None:
    from mlops_steps.jenkins.folders import Library

    if not url:
        if version:
            raise ConfigError("--library-version requires --library-url")
        return None
    if not version:
        raise ConfigError(
            "--library-version is missing", next_step="name a tag: then builds change when you say so, not when it does"
        )
    if not name.strip():
        raise ConfigError("--library-name is empty")
    return Library(name.strip(), _repository(url, "--library-url"), version.strip(), credentials.strip())


def _source(
    job: str | None,
    *,
    job_repository: str | None,
    job_branch: str,
    job_script_path: str,
    job_credentials: str,
    jenkinsfile: Path | None,
    **_: Any,
) -> FromRepository | Inline | None:
    from mlops_steps.jenkins.jobs import FromRepository, Inline

    if not job:
        if job_repository or jenkinsfile:
            raise ConfigError("--job is missing: the name of the job that is to run the Jenkinsfile")
        return None
    if bool(job_repository) == bool(jenkinsfile):
        raise ConfigError("--job needs one of --job-repository (with the Jenkinsfile in it) and --jenkinsfile")
    if job_repository:
        url = _repository(job_repository, "--job-repository")
        return FromRepository(url, job_branch.strip(), job_script_path.strip(), job_credentials.strip())
    from mlops_steps.jenkins.lint import read_jenkinsfile

    return Inline(read_jenkinsfile(jenkinsfile)) if jenkinsfile else None


def _repository(url: str, option: str) -> str:
    """The address of a repository. A password in it would be shown to everybody who may see the folder."""
    scheme, separator, rest = url.strip().partition("://")
    if separator and scheme != "ssh" and "@" in rest.partition("/")[0]:
        raise ConfigError(
            f"{option} holds a user name or a password",
            next_step="name a credential of Jenkins instead, with --library-credentials or --job-credentials",
        )
    return url.strip()


def _credentials(config: Path | None, console: Console) -> list[SecretText]:
    """A credential to be for each node. A value that is missing is not an error before it is needed."""
    from mlops_steps.config import load
    from mlops_steps.jenkins.credentials import SecretText, id_of

    try:
        settings = load(config, os.environ)
    except ConfigError as error:
        error.next_step = error.next_step or "or leave the credentials alone with --no-credentials"
        raise
    for warning in settings.warnings:
        console.warn(warning)
    found = []
    for node in settings.nodes.values():
        try:
            value = node.api_key().get_secret_value()
        except ConfigError:
            value = None
        description = f"API key of the DSS node {node.name} ({node.url})"
        found.append(SecretText(id_of(node.name), description, f"{node.variable}_API_KEY", value))
    return found
