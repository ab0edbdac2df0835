"""Several deployments of one project on one infrastructure, as the example in the client's documentation has them."""

from __future__ import annotations

from typing import Any

import dataikuapi

from mlops_steps.sandbox.services.projects.model import Project


def test_a_project_has_a_deployment_for_each_bundle(
    design: dataikuapi.DSSClient, auto_test: dataikuapi.DSSClient, tiny: Project
) -> None:
    project, deployer = design.get_project(tiny.key), design.get_projectdeployer()
    deployments: dict[str, Any] = {}
    for bundle in ("v1", "v2"):
        project.export_bundle(bundle)
        project.publish_bundle(bundle)
        deployments[bundle] = deployer.create_deployment(
            f"{tiny.key}-{bundle}-on-auto-test", tiny.key, "auto-test", bundle
        )
        deployments[bundle].start_update().wait_for_result()
    (live,) = (item for item in auto_test.list_projects() if item["projectKey"] == tiny.key)
    assert live["activeBundleState"]["bundleId"] == "v2"
    assert deployments["v2"].get_status().get_health() == "HEALTHY"
    assert deployments["v1"].get_status().get_health() == "OUT_OF_SYNC"


def test_unified_monitoring_lists_what_is_deployed(design: dataikuapi.DSSClient, tiny: Project) -> None:
    project, deployer = design.get_project(tiny.key), design.get_projectdeployer()
    project.export_bundle("v1")
    project.publish_bundle("v1")
    deployment = deployer.create_deployment(f"{tiny.key}-on-auto-test", tiny.key, "auto-test", "v1")

    def monitored() -> list[Any]:
        found = design.get_unified_monitoring().list_monitored_project_deployments()
        return [one for one in found if one.published_project_key == tiny.key]

    assert monitored() == []
    deployment.start_update().wait_for_result()
    (one,) = monitored()
    assert (one.deployment_id, one.infrastructure_id) == (f"{tiny.key}-on-auto-test", "auto-test")
    assert (one.bundle_name, one.deployed_project_key) == ("v1", tiny.key)
    assert one.get_raw()["deploymentStatus"] == "HEALTHY"
    assert one.stage
    assert one.snapshot_timestamp > 0
