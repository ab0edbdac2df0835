"""The Project Deployer over HTTP."""

from __future__ import annotations

import secrets
from typing import Any

from mlops_steps.sandbox.http.routing import JSON_NULL, Call, Router, archive_response
from mlops_steps.sandbox.node.errors import not_found
from mlops_steps.sandbox.services.bundles.archive import BundleArchive
from mlops_steps.sandbox.services.bundles.model import exported, staged_copy
from mlops_steps.sandbox.services.deployer import monitoring, testing
from mlops_steps.sandbox.services.deployer.deployments import Deployments
from mlops_steps.sandbox.services.deployer.health import heavy_status
from mlops_steps.sandbox.services.deployer.published import PublishedProjects
from mlops_steps.sandbox.services.deployer.updates import Updates
from mlops_steps.sandbox.services.deployers.requests import add_deployments, add_infrastructures, add_updates
from mlops_steps.sandbox.services.govern import policy
from mlops_steps.sandbox.services.projects.model import Project

router = Router(only="DESIGN")
BASE = "/project-deployer"


def _deployments(call: Call) -> Deployments:
    return Deployments(call.node)


# ---- publishing from a project


@router.post("/projects/{key}/bundles/{bundle}/publish")
def publish(call: Call) -> Any:
    key, bundle_id = call.path["key"], call.path["bundle"]
    project, store = Project.load(call.node, key), exported(call.node, key)
    archive = store.open(bundle_id)
    staged = staged_copy(call.node, archive.path)
    try:
        published = PublishedProjects(call.node).publish(
            BundleArchive(staged, archive.manifest, project.params),
            call.params.get("publishedProjectKey") or key,
            bundle_id,
            call.user,
            project.params.get("name"),
            store.get(bundle_id).get("projectStandardsReport"),
        )
    finally:
        staged.unlink(missing_ok=True)
    store.update(bundle_id, published=published)
    return published


# ---- infrastructures

add_infrastructures(router, BASE, _deployments)


@router.post(BASE + "/infras")
def create_infra(call: Call) -> Any:
    wanted = call.json_object()
    policy = wanted.get("governCheckPolicy") or "NO_CHECK"
    return _deployments(call).infras.create(wanted.get("id", ""), wanted.get("stage", ""), policy)


# ---- published projects


@router.get(BASE + "/projects")
def list_projects(call: Call) -> Any:
    deployments = _deployments(call)
    return [deployments.project_status(key) for key in deployments.projects.keys()]  # noqa: SIM118


@router.post(BASE + "/projects")
def create_project(call: Call) -> Any:
    deployments, key = _deployments(call), call.json_object().get("publishedProjectKey", "")
    deployments.projects.create(key)
    return deployments.project_status(key)


@router.post(BASE + "/projects/bundles")
def upload_bundle(call: Call) -> Any:
    upload = call.file()
    staged = call.node.tmp_dir / f"{secrets.token_hex(8)}.zip"
    upload.save(staged)
    return _deployments(call).projects.upload(staged, upload.filename, call.params.get("projectKey"), call.user)


@router.get(BASE + "/projects/{key}")
def project_status(call: Call) -> Any:
    return _deployments(call).project_status(call.path["key"])


@router.delete(BASE + "/projects/{key}")
def delete_project(call: Call) -> Any:
    deployments = _deployments(call)
    with deployments.places.lock:
        deployments.refuse_used_project(call.path["key"])
        deployments.projects.delete(call.path["key"])


@router.get(BASE + "/projects/{key}/settings")
def project_settings(call: Call) -> Any:
    return _deployments(call).projects.settings(call.path["key"])


@router.put(BASE + "/projects/{key}/settings")
def save_project(call: Call) -> Any:
    _deployments(call).projects.save(call.path["key"], call.json_object())


@router.get(BASE + "/projects/{key}/bundles/{bundle}")
def download_bundle(call: Call) -> Any:
    key, bundle_id = call.path["key"], call.path["bundle"]
    archive = _deployments(call).projects.bundles(key).open(bundle_id)
    return archive_response(archive.path, f"dss-bundle-{key}-{bundle_id}.zip")


@router.delete(BASE + "/projects/{key}/bundles/{bundle}")
def delete_bundle(call: Call) -> Any:
    deployments, key, bundle_id = _deployments(call), call.path["key"], call.path["bundle"]
    with deployments.places.lock:
        deployments.refuse_used_bundle(key, bundle_id)
        deployments.projects.bundles(key).delete(bundle_id)


@router.get(BASE + "/projects/{key}/bundles/{bundle}/project-standards-report")
def standards_report(call: Call) -> Any:
    if not call.node.has_project_standards:
        raise not_found(f"no such request in DSS {call.node.dss_version}")
    record = _deployments(call).projects.bundles(call.path["key"]).get(call.path["bundle"])
    # An uploaded bundle brings none (inferred).
    return record.get("projectStandardsReport") or JSON_NULL


# ---- deployments

add_deployments(router, BASE, _deployments)
add_updates(router, BASE, lambda call: Updates(_deployments(call)))


@router.delete(BASE + "/deployments/{deployment}")
def delete_deployment(call: Call) -> Any:
    _deployments(call).delete(call.path["deployment"])


@router.get(BASE + "/deployments/{deployment}/status")
def heavy(call: Call) -> Any:
    return heavy_status(_deployments(call), call.path["deployment"])


@router.get(BASE + "/deployments/{deployment}/governance-status")
def governance_status(call: Call) -> Any:
    deployments, deployment_id = _deployments(call), call.path["deployment"]
    settings = deployments.settings(deployment_id)
    bundle_id = call.params.get("bundleId") or settings["bundleId"]
    deployments.projects.bundles(settings["publishedProjectKey"]).get(bundle_id)
    checks = deployments.infras.settings(settings["infraId"]).get("governCheckPolicy", "NO_CHECK")
    return policy.status(call.node, checks, settings["publishedProjectKey"], bundle_id)


@router.get(BASE + "/deployments/{deployment}/testing-status")
def testing_status(call: Call) -> Any:
    return testing.testing_status(_deployments(call), call.path["deployment"], call.params.get("bundleId"))


@router.post(BASE + "/deployments/{deployment}/run-test-scenarios")
def run_test_scenarios(call: Call) -> Any:
    return testing.run_test_scenarios(_deployments(call), call.path["deployment"])


# ---- Unified Monitoring


@router.get("/unified-monitoring/deployer/projects")
def monitored_projects(call: Call) -> Any:
    return monitoring.projects(_deployments(call))
