"""API services of a project over HTTP, on a Design node."""

from __future__ import annotations

from typing import Any

from mlops_steps.sandbox.http.routing import Call, Router, archive_response
from mlops_steps.sandbox.node.archives import ArchiveStore
from mlops_steps.sandbox.services.api_services import packages
from mlops_steps.sandbox.services.api_services.model import ApiServices
from mlops_steps.sandbox.services.projects.model import Project

router = Router(only="DESIGN")
BASE = "/projects/{key}/apiservices"
ONE = BASE + "/{service}"
PACKAGE = ONE + "/packages/{package}"


def _project(call: Call) -> Project:
    return Project.load(call.node, call.path["key"])


def _packages(call: Call) -> ArchiveStore:
    return packages.packages_of(_project(call), call.path["service"])


@router.get(BASE)
def list_services(call: Call) -> Any:
    return ApiServices(_project(call)).list()


@router.post(ONE)
def create_service(call: Call) -> Any:
    ApiServices(_project(call)).create(call.path["service"], call.user)


@router.get(ONE + "/settings")
def settings(call: Call) -> Any:
    return ApiServices(_project(call)).get(call.path["service"])


@router.put(ONE + "/settings")
def save_settings(call: Call) -> Any:
    ApiServices(_project(call)).save(call.path["service"], call.json_object(), call.user)


@router.get(ONE + "/packages")
def list_packages(call: Call) -> Any:
    return [packages.summary(record) for record in reversed(_packages(call).list())]


@router.post(PACKAGE)
def create_package(call: Call) -> Any:
    notes = call.params.get("releaseNotes", "")
    package_id, service_id = call.path["package"], call.path["service"]
    packages.create_package(_project(call), service_id, package_id, notes, call.user, call.node.dss_version)


@router.get(PACKAGE + "/summary")
def package_summary(call: Call) -> Any:
    return packages.summary(_packages(call).get(call.path["package"]))


@router.get(PACKAGE + "/archive")
def package_archive(call: Call) -> Any:
    store, package_id = _packages(call), call.path["package"]
    store.get(package_id)
    name = f"dss-api-service-{call.path['service']}-{package_id}.zip"
    return archive_response(store.archive_path(package_id), name)


@router.delete(PACKAGE)
def delete_package(call: Call) -> Any:
    _packages(call).delete(call.path["package"])
