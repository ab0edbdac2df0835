"""The seals of bundles, in the tags of the published project: what a pre-deployment hook of the deployer asks for."""

from __future__ import annotations

from collections.abc import Callable

from mlops_steps.dss.deployers import PROJECTS
from mlops_steps.dss.session import Dss, expect

#: Seals of a project that are kept; a bundle that was live needs none to become live again.
MOST = 20


def write(deployer: Dss, project_key: str, tag: str, prefix: str, replaces: Callable[[object], bool]) -> None:
    """Puts the tag there, in the place of those that it ``replaces``; only the newest seals stay.

    Tags that do not begin with ``prefix`` are left alone. Raises :class:`NodeError`.
    """
    with deployer.asking(f"seal a bundle of project {project_key}"):
        settings = PROJECTS.published(deployer.client, project_key).get_settings()
        raw = expect(settings.get_raw(), dict, "the settings")
        tags = expect(raw.get("tags") or [], list, "the tags")
        seals = [one for one in tags if str(one).startswith(prefix) and not replaces(one)]
        others = [one for one in tags if not str(one).startswith(prefix)]
        raw["tags"] = [*others, *seals[-(MOST - 1) :], tag]
        settings.save()
