"""The seals of bundles, in the tags of the published project: what a pre-deployment hook of the deployer asks for."""

from __future__ import annotations

from collections.abc import Sequence

from mlops_steps.dss.deployers import PROJECTS
from mlops_steps.dss.session import Dss, expect

#: Bundles whose seals are kept; one that was live needs none to become live again.
MOST = 5


def write(deployer: Dss, project_key: str, prefix: str, seals: Sequence[str]) -> None:
    """Puts the seals there, each in the place of the one for the same infrastructure and bundle; old ones go.

    A seal is ``prefix`` and infrastructure, bundle and data with ``|`` between them. Tags that do not begin with
    ``prefix`` are left alone. Raises :class:`NodeError`.
    """
    with deployer.asking(f"seal a bundle of project {project_key}"):
        settings = PROJECTS.published(deployer.client, project_key).get_settings()
        raw = expect(settings.get_raw(), dict, "the settings")
        tags = expect(raw.get("tags") or [], list, "the tags")
        mine = {_about(seal): seal for seal in [*(str(tag) for tag in tags if str(tag).startswith(prefix)), *seals]}
        bundles = list(dict.fromkeys(bundle for _, bundle in reversed(mine)))[:MOST]
        raw["tags"] = [
            *(tag for tag in tags if not str(tag).startswith(prefix)),
            *(seal for (_, bundle), seal in mine.items() if bundle in bundles),
        ]
        settings.save()


def _about(seal: str) -> tuple[str, str]:
    """The infrastructure and the bundle that a seal is for."""
    parts = [*seal.split("|"), "", ""]
    return parts[1], parts[2]
