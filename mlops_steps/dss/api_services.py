"""API services: packages on the Design node, published to the API Deployer as versions, downloaded and checked."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mlops_steps.archive.contents import BadArchive, Damaged, checked
from mlops_steps.dss import downloads
from mlops_steps.dss.deployers import SERVICES
from mlops_steps.dss.downloads import Archive, Source
from mlops_steps.dss.lost_answers import look_for
from mlops_steps.dss.session import Dss, expect
from mlops_steps.dss.url_parts import node_id
from mlops_steps.errors import CheckFailed, NonsenseAnswer, Refusal, Unreachable
from mlops_steps.system.secrets import redact
from mlops_steps.system.waiting import Deadline

log = logging.getLogger(__name__)

# What the archive of a package says of itself, where it does: the format is in no public source.
_MANIFEST = "package.json"
_LARGEST_MANIFEST = 16 * 1024 * 1024

#: Types of endpoints that are called with records of features (``DSSAPIServiceListItem.endpoints`` of the client).
PREDICTIONS = frozenset(
    {"STD_PREDICTION", "STD_CLUSTERING", "STD_CAUSAL_PREDICTION", "CUSTOM_PREDICTION", "CUSTOM_R_PREDICTION"}
)
FUNCTIONS = frozenset({"PY_FUNCTION", "R_FUNCTION"})


@dataclass(frozen=True)
class Endpoint:
    """An endpoint of a service. ``queries`` are the bodies of its test queries."""

    id: str
    type: str
    queries: tuple[dict[str, Any], ...] = field(default=(), repr=False)

    @property
    def is_prediction(self) -> bool:
        return self.type in PREDICTIONS

    @property
    def is_function(self) -> bool:
        return self.type in FUNCTIONS


def endpoints(design: Dss, project_key: str, service: str) -> list[Endpoint]:
    """The endpoints of the service as it is on the Design node now. Raises :class:`NodeError`."""
    with design.asking(f"read API service {service} of project {project_key}"):
        raw = design.client.get_project(project_key).get_api_service(service).get_settings().get_raw()
        found = expect(expect(raw, dict, "the settings")["endpoints"], list, "endpoints")
        return [_endpoint(expect(item, dict, "an endpoint")) for item in found]


def _endpoint(item: dict[str, Any]) -> Endpoint:
    queries = [query.get("q") for query in item.get("testQueries") or [] if isinstance(query, dict)]
    return Endpoint(
        node_id(item["id"], "the id of an endpoint"),
        str(item.get("type")),
        tuple(query for query in queries if isinstance(query, dict)),
    )


def packages(design: Dss, project_key: str, service: str) -> list[str]:
    """Ids of the service's packages on the Design node. Raises :class:`NodeError`."""
    with design.asking(f"list the packages of API service {service}"):
        answer = design.client.get_project(project_key).get_api_service(service).list_packages()
        return [expect(item["id"], str, "a package id") for item in expect(answer, list, "the list")]


def release_notes(design: Dss, project_key: str, service: str) -> dict[str, str]:
    """The release notes of the service's packages on the Design node, by their ids. Raises :class:`NodeError`."""
    with design.asking(f"read the release notes of API service {service}"):
        answer = design.client.get_project(project_key).get_api_service(service).list_packages()
        items = [expect(item, dict, "a package") for item in expect(answer, list, "the list")]
        return {str(item.get("id")): str(item.get("releaseNotes") or "") for item in items}


def create_package(design: Dss, project_key: str, service: str, version: str, notes: str, deadline: Deadline) -> None:
    """Makes the package. A lost answer, or a refusal, is made up for by looking. Raises :class:`NodeError`."""
    handle = design.client.get_project(project_key).get_api_service(service)
    try:
        with (
            design.within(deadline, read=deadline.remaining),
            design.asking(f"make package {version} of API service {service}"),
        ):
            handle.create_package(version, release_notes=notes)
    except (Unreachable, NonsenseAnswer, Refusal) as error:
        log.warning("%s; looking whether the package was made", error)
        with design.within(deadline):
            look_for(lambda: version in packages(design, project_key, service), deadline, error)


def published_versions(deployer: Dss, service: str) -> list[str]:
    """Ids of the versions on the API Deployer; none when the service never was published. Raises :class:`NodeError`."""
    try:
        with deployer.asking(f"list the versions of API service {service}"):
            found = SERVICES.published(deployer.client, service).get_status().get_versions()
            return [expect(item["id"], str, "a version") for item in expect(found, list, "packages")]
    except Refusal as error:
        if error.status == 404:
            return []
        raise


def publish(design: Dss, deployer: Dss, project_key: str, service: str, version: str, deadline: Deadline) -> None:
    """Publishes the package to the API Deployer, which makes the service there if it is missing.

    A lost answer, or a refusal, is made up for by looking. Raises :class:`NodeError`.
    """
    try:
        with (
            design.within(deadline, read=deadline.remaining),
            design.asking(f"publish package {version} of API service {service}"),
        ):
            design.client.get_project(project_key).get_api_service(service).publish_package(version)
    except (Unreachable, NonsenseAnswer, Refusal) as error:
        log.warning("%s; looking whether the package was published", error)
        with deployer.within(deadline):
            look_for(lambda: version in published_versions(deployer, service), deadline, error)


def download(
    deployer: Dss,
    service: str,
    version: str,
    deadline: Deadline,
    into: Path | None = None,
    on_bytes: Callable[[int], None] | None = None,
    check: Callable[[Path], object] = downloads.read_whole,
) -> Archive:
    """Streams a version from the API Deployer: see :func:`mlops_steps.dss.downloads.download`."""
    return downloads.download(version_source(deployer, service, version), deadline, into, on_bytes, check)


def version_source(deployer: Dss, service: str, version: str) -> Source:
    """A version on the API Deployer, to be downloaded. Sends nothing yet."""
    handle = SERVICES.published(deployer.client, service)
    what = f"version {version} of API service {service}"
    return Source(deployer, what, lambda: handle.get_version_stream(version))


def check_archive(path: Path, project_key: str, service: str, version: str) -> bool:
    """Checks that the file is a whole, harmless zip, of this version of this service of this project.

    Returns whether the archive says so itself: the format of a package is in no public source, so one that says
    nothing of its service is accepted. Raises :class:`CheckFailed`, and :class:`Damaged` for what is not a whole zip.
    """
    what = f"version {version} of API service {service}"
    try:
        with checked(path) as archive:
            info = archive.NameToInfo.get(_MANIFEST)
            text = archive.read(info) if info is not None and info.file_size <= _LARGEST_MANIFEST else b"{}"
            empty = not archive.namelist()
    except Damaged:
        raise
    except BadArchive as error:
        raise CheckFailed(f"{what}: the archive is refused: {error}") from None
    if empty:
        raise CheckFailed(f"{what}: the archive is empty")
    try:
        manifest = json.loads(text)
    except (ValueError, RecursionError):
        raise CheckFailed(f"{what}: {_MANIFEST} is not JSON") from None
    if not isinstance(manifest, dict):
        raise CheckFailed(f"{what}: {_MANIFEST} is not an object")
    wanted = {"serviceId": service, "packageId": version, "projectKey": project_key}
    for name, value in wanted.items():
        if name in manifest and manifest[name] != value:
            shown = redact(str(manifest[name]))[:200]
            raise CheckFailed(f"{what}: the archive is not of it: its {name} is {shown!r}, not {value!r}")
    return "serviceId" in manifest
