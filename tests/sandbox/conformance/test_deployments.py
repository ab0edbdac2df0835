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
