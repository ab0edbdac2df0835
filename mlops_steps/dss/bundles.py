"""Bundles: export on the Design node, publish to the Project Deployer, download, check."""

from __future__ import annotations

import json
import logging
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mlops_steps.archive.contents import BadArchive, Damaged, checked
from mlops_steps.dss import downloads
from mlops_steps.dss.deployers import PROJECTS
from mlops_steps.dss.downloads import Archive, Source, read_whole
from mlops_steps.dss.lost_answers import look_for
from mlops_steps.dss.session import Dss, expect
from mlops_steps.dss.times import utc
from mlops_steps.errors import CheckFailed, NonsenseAnswer, Refusal, Unreachable
from mlops_steps.system.secrets import redact
from mlops_steps.system.waiting import Deadline

log = logging.getLogger(__name__)

_LARGEST_MANIFEST = 16 * 1024 * 1024


def exported_bundles(design: Dss, project_key: str) -> list[str]:
    """Ids of the bundles that exist on the Design node. Raises :class:`NodeError`."""
    with design.asking(f"list the bundles of project {project_key}"):
        answer = expect(design.client.get_project(project_key).list_exported_bundles(), dict, "the list")
        return [expect(item["bundleId"], str, "a bundle id") for item in expect(answer["bundles"], list, "bundles")]


def export(design: Dss, project_key: str, bundle_id: str, notes: str, deadline: Deadline) -> None:
    """Exports the bundle and waits until it is there.

    The request is answered when the export is done, which takes minutes for a large project. When the answer is
    lost, the bundle is looked for until the deadline, for a second export would be refused or made twice. It is also
    looked for when the node refuses: an attempt that was interrupted may have been at work on it meanwhile.
    """
    project = design.client.get_project(project_key)
    try:
        with design.within(deadline, read=deadline.remaining), design.asking(f"export bundle {bundle_id}"):
            project.export_bundle(bundle_id, release_notes=notes)
    except (Unreachable, NonsenseAnswer, Refusal) as error:
        log.warning("%s; looking whether the bundle was made", error)
        with design.within(deadline):
            look_for(lambda: bundle_id in exported_bundles(design, project_key), deadline, error)


def published_bundles(deployer: Dss, project_key: str) -> list[str]:
    """Ids of the bundles that were published to the Project Deployer; none when the project never was."""
    try:
        with deployer.asking(f"list the published bundles of project {project_key}"):
            status = deployer.client.get_projectdeployer().get_project(project_key).get_status()
            return [expect(item["id"], str, "a bundle id") for item in expect(status.get_bundles(), list, "packages")]
    except Refusal as error:
        if error.status == 404:
            return []
        raise


def publish(design: Dss, deployer: Dss, project_key: str, bundle_id: str, deadline: Deadline) -> None:
    """Publishes the bundle to the Project Deployer. A lost answer, or a refusal, is made up for by looking."""
    try:
        with design.within(deadline, read=deadline.remaining), design.asking(f"publish bundle {bundle_id}"):
            design.client.get_project(project_key).publish_bundle(bundle_id)
    except (Unreachable, NonsenseAnswer, Refusal) as error:
        log.warning("%s; looking whether the bundle was published", error)
        with deployer.within(deadline):
            look_for(lambda: bundle_id in published_bundles(deployer, project_key), deadline, error)


def download(
    deployer: Dss,
    project_key: str,
    bundle_id: str,
    deadline: Deadline,
    into: Path | None = None,
    on_bytes: Callable[[int], None] | None = None,
    check: Callable[[Path], object] = read_whole,
    *,
    exported: bool = False,
) -> Archive:
    """Streams the archive from the Project Deployer: see :func:`mlops_steps.dss.downloads.download`.

    ``exported``: it is read from the Design node, which has exported it and is the ``deployer`` then.
    """
    return downloads.download(_source(deployer, project_key, bundle_id, exported), deadline, into, on_bytes, check)


def _source(deployer: Dss, project_key: str, bundle_id: str, exported: bool) -> Source:
    if exported:
        own = deployer.client.get_project(project_key)
        return Source(deployer, f"bundle {bundle_id}", lambda: own.get_exported_bundle_archive_stream(bundle_id))
    project = PROJECTS.published(deployer.client, project_key)
    return Source(deployer, f"bundle {bundle_id}", lambda: project.get_bundle_stream(bundle_id))


def published_archive(
    deployer: Dss,
    project_key: str,
    bundle_id: str,
    expected: Archive,
    deadline: Deadline,
    folder: Path,
    on_bytes: Callable[[int], None] | None = None,
    keep: Path | None = None,
    *,
    exported: bool = False,
) -> Archive:
    """The archive that is there now: see :func:`mlops_steps.dss.downloads.published_archive`, and :func:`download`."""
    source = _source(deployer, project_key, bundle_id, exported)
    return downloads.published_archive(source, expected, deadline, folder, on_bytes, keep)


def check_archive(path: Path, project_key: str, bundle_id: str) -> dict[str, Any]:
    """Checks that the file is a whole, harmless zip of a bundle of this project, and returns its manifest.

    Every entry is read and its checksum compared, in pieces. Raises :class:`CheckFailed`, and :class:`Damaged` for what
    is not a whole zip.
    """
    try:
        with checked(path) as archive:
            manifest = _manifest(archive, bundle_id)
            params = archive.NameToInfo.get("project_config/params.json")
    except Damaged:
        raise
    except BadArchive as error:
        raise CheckFailed(f"bundle {bundle_id}: the archive is refused: {error}") from None
    if params is None:
        raise CheckFailed(f"bundle {bundle_id}: the archive holds no project_config/params.json, so no bundle")
    found = manifest.get("originalProjectKey") or manifest.get("projectKey")
    if found is not None and found != project_key:
        shown = redact(str(found))[:200]
        raise CheckFailed(f"bundle {bundle_id}: the archive is of project {shown!r}, not of {project_key}")
    return manifest


def exported_on(manifest: dict[str, Any]) -> str | None:
    """When the bundle was exported, by its manifest: UTC in ISO 8601 with seconds; ``None`` when it does not say.

    Real bundles have a text with an offset (``2020-04-29T22:51:35.217+0200``); milliseconds since 1970 are read too.
    """
    user = manifest.get("exportUserInfo")
    value = (user if isinstance(user, dict) else {}).get("exportedOn", manifest.get("exportedOn"))
    return utc(value)


def _manifest(archive: zipfile.ZipFile, bundle_id: str) -> dict[str, Any]:
    info = archive.NameToInfo.get("export-manifest.json")
    if info is None or info.file_size > _LARGEST_MANIFEST:
        raise CheckFailed(f"bundle {bundle_id}: the archive holds no usable export-manifest.json, so no bundle")
    try:
        manifest = json.loads(archive.read(info))
    except (ValueError, RecursionError):
        raise CheckFailed(f"bundle {bundle_id}: export-manifest.json is not JSON") from None
    if not isinstance(manifest, dict):
        raise CheckFailed(f"bundle {bundle_id}: export-manifest.json is not an object")
    return manifest


def project_commits(design: Dss, project_key: str, most: int = 50) -> list[dict[str, str]]:
    """The project's last commits on the Design node, newest first: id, author, message and time (UTC in ISO 8601).

    Nodes name the id ``commit`` or ``commitId``, and give the time as text or in milliseconds; what is missing is "".

    An empty list when the node does not say (a key without the right to read the project's Git).
    """
    try:
        with design.asking(f"read the Git log of project {project_key}"):
            answer = expect(design.client.get_project(project_key).get_project_git().log(count=most), dict, "the log")
            entries = expect(answer.get("entries") or [], list, "entries")
            return [_commit(expect(entry, dict, "an entry")) for entry in entries]
    except (Refusal, NonsenseAnswer) as error:
        log.warning("%s; release notes go without commits", error)
        return []


def _commit(entry: dict[str, Any]) -> dict[str, str]:
    return {
        "id": str(entry.get("commit") or entry.get("commitId") or ""),
        "author": str(entry.get("author") or ""),
        "message": str(entry.get("message") or "").strip(),
        "time": utc(entry.get("timestamp")) or "",
    }


def release_notes(design: Dss, project_key: str, bundle_id: str) -> str:
    """The release notes of a bundle on the Design node; empty when it is not there. Raises :class:`NodeError`."""
    return all_release_notes(design, project_key, f"bundle {bundle_id}").get(bundle_id, "")


def all_release_notes(design: Dss, project_key: str, of: str = "all bundles") -> dict[str, str]:
    """The release notes of the bundles on the Design node, by their ids. Raises :class:`NodeError`."""
    with design.asking(f"read the release notes of {of}"):
        answer = expect(design.client.get_project(project_key).list_exported_bundles(), dict, "the list")
        items = [expect(item, dict, "a bundle") for item in expect(answer["bundles"], list, "bundles")]
        return {
            str(item.get("bundleId")): str(
                item.get("releaseNotes") or (item.get("exportManifest") or {}).get("releaseNotes") or ""
            )
            for item in items
        }
