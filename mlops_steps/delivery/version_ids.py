"""Ids of what is packaged: of bundles, and of versions of API services."""

from __future__ import annotations

import re
from collections.abc import Mapping

from mlops_steps.config import Settings
from mlops_steps.delivery.record import Build
from mlops_steps.errors import ConfigError


def version_id(settings: Settings, build: Build, commits: list[dict[str, str]]) -> str:
    """The id by the template: unique per build and commit, sortable, the same when the same build runs again.

    Outside of Jenkins there is no build number; then the time of the commit stands for it.
    """
    newest = commits[0] if commits else {}
    commit = (newest.get("id") or build.commit or "")[:8]
    if not commit:
        raise ConfigError(
            "no id can be made: the Design node reports no commit of the project, and GIT_COMMIT is not set",
            next_step="give the key the right to read the project, or choose an id (--bundle-id, --version)",
        )
    when = _commit_time(newest)
    number = build.number
    values = {
        "build": f"{int(number):06d}" if number and number.isdigit() and len(number) < 10 else number or when,
        "commit": commit,
        "project": settings.project,
        "date": when,
    }
    return settings.package.bundle_id.format(**values)


def _commit_time(commit: Mapping[str, str]) -> str:
    return re.sub(r"[-:]", "", commit.get("time", "")) or "local"
