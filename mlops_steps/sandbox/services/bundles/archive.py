"""Bundle archives: what must hold before anything of one is written to a node, and how they are read."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlops_steps.archive.contents import checked
from mlops_steps.sandbox.node.archives import read_document, refusing, unpack
from mlops_steps.sandbox.node.errors import bad_request

MANIFEST = "export-manifest.json"
CHANGELOG = "changelog.json"
PARAMS = "project_config/params.json"
# How messages call what an archive is of.
WHAT = "bundle"
_ARCHIVE_NAME = re.compile(r"(?:dss-bundle-(?P<key>[A-Z0-9_]+)-)?(?P<id>.+?)(?:\.zip)?", re.IGNORECASE)


@dataclass(frozen=True)
class BundleArchive:
    """An archive that was found whole and harmless."""

    path: Path
    manifest: dict[str, Any]
    params: dict[str, Any]
    has_changelog: bool = False

    @property
    def project_key(self) -> str | None:
        """The key of the project on the Design node, as far as the archive tells it."""
        for document in (self.manifest, self.params):
            for name in ("originalProjectKey", "projectKey"):
                if isinstance(document.get(name), str) and document[name]:
                    return str(document[name])
        return None

    def refuse_project_export(self, file_name: str) -> None:
        """Raises 400 for the export of a project: it has no bundle id, no changelog, and not the name of a bundle."""
        named = any(
            isinstance(document, dict) and document.get("bundleId")
            for document in (self.manifest, self.manifest.get("exportUserInfo"))
        )
        if not (named or self.has_changelog or Path(file_name).name.startswith("dss-bundle-")):
            raise bad_request(
                f"The archive is the export of project {self.project_key}, not a bundle: import it on a Design node "
                "(prepare_project_import) and export a bundle there"
            )

    def bundle_id(self, file_name: str) -> str:
        """The bundle's id: from the manifest, or from the name of the file when the manifest has none."""
        for document in (self.manifest, self.manifest.get("exportUserInfo")):
            if isinstance(document, dict) and isinstance(document.get("bundleId"), str) and document["bundleId"]:
                return str(document["bundleId"])
        name = Path(file_name).name
        if self.project_key:
            prefix = f"dss-bundle-{self.project_key}-"
            name = name[len(prefix) :] if name.lower().startswith(prefix.lower()) else name
        match = _ARCHIVE_NAME.fullmatch(name)
        return match.group("id") if match else name


def check_archive(path: Path) -> BundleArchive:
    """Reads the whole archive without writing anything.

    Raises :class:`DssError` (400) when it is not a zip, is damaged, is not a bundle, or could do harm
    (:mod:`mlops_steps.archive.contents`).
    """
    with refusing(WHAT), checked(path) as archive:
        manifest = read_document(archive, MANIFEST, WHAT)
        params = read_document(archive, PARAMS, WHAT)
        has_changelog = CHANGELOG in archive.NameToInfo
    if not isinstance(manifest, dict) or not isinstance(params, dict):
        raise bad_request(f"The archive is not a bundle: it has no {MANIFEST} or no {PARAMS}")
    return BundleArchive(path, manifest, params, has_changelog)


def extract(archive: BundleArchive, target: Path, wanted: Callable[[str], bool] = lambda _name: True) -> None:
    """Unpacks the ``wanted`` files of a checked archive into ``target``, in constant memory."""
    unpack(archive.path, target, WHAT, wanted)
