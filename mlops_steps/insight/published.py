"""Two published bundles: their archives, side by side, and the commits between them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mlops_steps.config import Settings
from mlops_steps.config.bundle_ids import valid_bundle_id
from mlops_steps.delivery import release_notes
from mlops_steps.delivery.targets.archive_file import archive_file
from mlops_steps.dss import bundles
from mlops_steps.dss.session import Dss, connect
from mlops_steps.errors import MlopsError
from mlops_steps.system.console import Console
from mlops_steps.system.pace import pace
from mlops_steps.system.waiting import Deadline

_MOST_COMMITS = 200


@contextmanager
def archive_of(settings: Settings, name: str, console: Console) -> Iterator[Path]:
    """The path of the archive of a published bundle, which is removed afterwards. Raises :class:`NodeError`."""
    bundle = valid_bundle_id(name)
    with archive_file(settings) as path:
        with (
            connect(settings, settings.archives()) as deployer,
            console.waiting(f"downloading the archive of bundle {bundle}"),
        ):
            bundles.download(
                deployer,
                settings.project,
                bundle,
                Deadline(settings.package.timeout),
                into=path,
                check=lambda path: bundles.check_archive(path, settings.project, bundle),
                exported=not settings.uses_deployer,
            )
        yield path


def commits_between(settings: Settings, older: str, newer: str) -> list[str]:
    """The project's commits since the older bundle, a line each, as far as the Design node still knows them."""
    try:
        with connect(settings, settings.node("design")) as design, design.within(Deadline(pace().look)):
            origins = [_origin(design, settings.project, name) for name in (older, newer)]
            commits = bundles.project_commits(design, settings.project, _MOST_COMMITS)
    except MlopsError:
        return []
    ids = [commit["id"] for commit in commits]
    if None in origins or not set(origins) <= set(ids):
        return []
    first, last = (ids.index(str(commit)) for commit in origins)
    return [_line(commit) for commit in commits[last:first]]


def _line(commit: dict[str, str]) -> str:
    subject = (commit["message"] or "(no message)").splitlines()[0]
    return f"{subject} ({commit['id'][:8]}{', ' + commit['author'] if commit['author'] else ''})"


def _origin(design: Dss, project: str, bundle: str) -> str | None:
    return release_notes.origin(bundles.release_notes(design, project, bundle)).commit
