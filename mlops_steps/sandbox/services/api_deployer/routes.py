"""The API Deployer over HTTP."""

from __future__ import annotations

import secrets
from typing import Any

from mlops_steps.sandbox.http.routing import Call, Router, archive_response
from mlops_steps.sandbox.node.errors import bad_request
from mlops_steps.sandbox.node.messages import report
from mlops_steps.sandbox.services.api_deployer import monitoring, openapi, queries
from mlops_steps.sandbox.services.api_deployer.deployments import Deployments
from mlops_steps.sandbox.services.api_deployer.health import heavy_status
from mlops_steps.sandbox.services.api_deployer.published import PublishedServices
from mlops_steps.sandbox.services.api_deployer.updates import Updates
from mlops_steps.sandbox.services.api_services.mapping import shares_of
from mlops_steps.sandbox.services.api_services.packages import check_package, packages_of
from mlops_steps.sandbox.services.bundles.model import staged_copy
from mlops_steps.sandbox.services.deployers.requests import add_deployments, add_infrastructures, add_updates
from mlops_steps.sandbox.services.projects.model import Project

router = Router(only="DESIGN")
BASE = "/api-deployer"
INFRA = BASE + "/infras/{infra}"
SERVICE = BASE + "/services/{service}"
VERSION = SERVICE + "/versions/{version}"
DEPLOYMENT = BASE + "/deployments/{deployment}"


def _deployments(call: Call) -> Deployments:
    return Deployments(call.node)


# ---- publishing from a project


@router.post("/projects/{key}/apiservices/{service}/packages/{package}/publish")
def publish(call: Call) -> Any:
    service_id, package_id = call.path["service"], call.path["package"]
    store = packages_of(Project.load(call.node, call.path["key"]), service_id)
    store.get(package_id)
    published_id = call.params.get("publishedServiceId") or service_id
    services = PublishedServices(call.node)
    staged = staged_copy(call.node, store.archive_path(package_id))
    try:
        with services.places.lock:
            if published_id not in services.ids():
                services.create(published_id)
            record = services.publish(check_package(staged), published_id, call.user)
    finally:
        staged.unlink(missing_ok=True)
    published = {"publishedOn": record["addedOn"], "publishedBy": call.user, "publishedServiceId": published_id}
    store.update(package_id, published=published)
    return published


# ---- infrastructures

add_infrastructures(router, BASE, _deployments)


@router.post(BASE + "/infras")
def create_infra(call: Call) -> Any:
    wanted = call.json_object()
    policy, kind = wanted.get("governCheckPolicy") or "NO_CHECK", wanted.get("type") or "STATIC"
    if kind != "STATIC":
        raise bad_request(f"Infrastructures of type {kind!r} are not supported by the sandbox: use STATIC")
    return _deployments(call).infras.create(wanted.get("id", ""), wanted.get("stage", ""), policy)


# ---- published services


@router.get(BASE + "/services")
def list_services(call: Call) -> Any:
    deployments = _deployments(call)
    return [deployments.service_status(service_id) for service_id in deployments.services.ids()]


@router.post(BASE + "/services")
def create_service(call: Call) -> Any:
    deployments, service_id = _deployments(call), call.json_object().get("publishedServiceId", "")
    deployments.services.create(service_id)
    return deployments.service_status(service_id)


@router.get(SERVICE)
def service_status(call: Call) -> Any:
    return _deployments(call).service_status(call.path["service"])


@router.delete(SERVICE)
def delete_service(call: Call) -> Any:
    deployments = _deployments(call)
    with deployments.places.lock:
        deployments.refuse_used_service(call.path["service"])
        deployments.services.delete(call.path["service"])


@router.get(SERVICE + "/settings")
def service_settings(call: Call) -> Any:
    return _deployments(call).services.settings(call.path["service"])


@router.put(SERVICE + "/settings")
def save_service(call: Call) -> Any:
    _deployments(call).services.save(call.path["service"], call.json_object())


@router.post(SERVICE + "/versions")
def import_version(call: Call) -> Any:
    staged = call.node.tmp_dir / f"{secrets.token_hex(8)}.zip"
    call.file().save(staged)
    record = _deployments(call).services.upload(staged, call.path["service"], call.user)
    return {"id": record["id"], "publishedOn": record["addedOn"]}


@router.get(VERSION)
def download_version(call: Call) -> Any:
    service_id, version = call.path["service"], call.path["version"]
    versions = _deployments(call).services.versions(service_id)
    versions.get(version)
    name = f"dss-api-service-{service_id}-{version}.zip"
    return archive_response(versions.archive_path(version), name)


@router.delete(VERSION)
def delete_version(call: Call) -> Any:
    deployments, service_id, version = _deployments(call), call.path["service"], call.path["version"]
    with deployments.places.lock:
        deployments.refuse_used_version(service_id, version)
        deployments.services.versions(service_id).delete(version)


# ---- deployments

add_deployments(router, BASE, _deployments)
add_updates(router, BASE, lambda call: Updates(_deployments(call)))


@router.delete(DEPLOYMENT)
def delete_deployment(call: Call) -> Any:
    _deployments(call).delete(call.path["deployment"], call.flag("ignorePreDeleteErrors"))


@router.get(DEPLOYMENT + "/status")
def heavy(call: Call) -> Any:
    return heavy_status(_deployments(call), call.path["deployment"])


@router.get(DEPLOYMENT + "/governance-status")
def governance_status(call: Call) -> Any:
    deployments = _deployments(call)
    settings = deployments.settings(call.path["deployment"])
    version = call.params.get("version")
    wanted = [version] if version else shares_of(settings["generationsMapping"]).generations
    for one in wanted:
        deployments.services.versions(settings["publishedServiceId"]).get(one)
    return report([])


@router.get(DEPLOYMENT + "/get-open-api")
def open_api(call: Call) -> Any:
    return openapi.document(_deployments(call), call.path["deployment"])


@router.post(DEPLOYMENT + "/actions/run-test-queries")
def run_test_queries(call: Call) -> Any:
    given = queries.parsed(call.params.get("testQueriesParam"))
    return queries.run(_deployments(call), call.path["deployment"], call.params.get("endpointIdParam"), given)


@router.post(DEPLOYMENT + "/actions/run-queries")
def run_queries(call: Call) -> Any:
    given = queries.parsed(call.params.get("queries", "[]"))
    return queries.run(_deployments(call), call.path["deployment"], call.params.get("endpointId"), given)


# ---- Unified Monitoring

MONITORING = "/unified-monitoring/deployer"


@router.get(MONITORING + "/api-endpoints")
def monitored_endpoints(call: Call) -> Any:
    return monitoring.endpoints(_deployments(call))


@router.post(MONITORING + "/activity-metrics")
def activity_metrics(call: Call) -> Any:
    wanted = call.json_object()
    return monitoring.activity(
        _deployments(call), str(wanted.get("deploymentId", "")), str(wanted.get("endpointId", ""))
    )


@router.post(MONITORING + "/api-endpoints-with-activity-metrics")
def monitored_endpoints_with_activity(call: Call) -> Any:
    deployments = _deployments(call)
    wanted = [(item.get("deploymentId"), item.get("endpointId")) for item in call.json() or []]
    return [
        {
            "type": monitoring.TYPE,
            "endpointMonitoring": item,
            "activityMetrics": monitoring.activity(deployments, item["deploymentId"], item["endpointId"]),
        }
        for item in monitoring.endpoints(deployments)
        if not wanted or (item["deploymentId"], item["endpointId"]) in wanted
    ]
