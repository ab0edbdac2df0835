"""The baseline: a pipeline by plain scripts over the official client, as its documentation leads one to write them.

One process for each script, one scenario after the other, the client's own polling, whole archives in memory.
Usage: ``python -m benchmarks.plain package|deploy|test|release FOLDER``, with the environment of mlops-steps.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import dataikuapi
from dataikuapi.dss.projectdeployer import DSSProjectDeployerDeployment

BUNDLE = "plain-1"
PROJECT = os.environ.get("MLOPS_PROJECT", "")


def client(node: str) -> dataikuapi.DSSClient:
    return dataikuapi.DSSClient(os.environ[f"MLOPS_{node}_URL"], os.environ[f"MLOPS_{node}_API_KEY"])


def package(folder: Path) -> None:
    design = client("DESIGN")
    project = design.get_project(PROJECT)
    project.export_bundle(BUNDLE)
    project.publish_bundle(BUNDLE)
    with design.get_projectdeployer().get_project(PROJECT).get_bundle_stream(BUNDLE) as stream:
        (folder / "plain.zip").write_bytes(stream.content)


def deploy(node: str) -> None:
    deployer, infra = client("DESIGN").get_projectdeployer(), os.environ[f"MLOPS_{node}_INFRA"]
    name = f"plain-{infra}"
    found = [one for one in deployer.list_deployments() if one.deployment_id == name]
    deployment: DSSProjectDeployerDeployment
    if found:
        deployment = found[0]
        settings = deployment.get_settings()
        settings.bundle_id = BUNDLE
        settings.save()
    else:
        deployment = deployer.create_deployment(name, PROJECT, infra, BUNDLE)
    deployment.start_update().wait_for_result()
    if deployment.get_status().get_health() != "HEALTHY":
        raise SystemExit(f"{name} is not healthy")


def run(node: str, wanted: str) -> None:
    project = client(node).get_project(PROJECT)
    for scenario in project.list_scenarios(as_type="objects"):
        if scenario.id.startswith(wanted):
            outcome = scenario.run_and_wait().outcome
            if outcome != "SUCCESS":
                raise SystemExit(f"{scenario.id}: {outcome}")


def main() -> None:
    step, folder = sys.argv[1], Path(sys.argv[2])
    if step == "package":
        package(folder)
    elif step == "deploy":
        deploy("TEST")
    elif step == "test":
        run("TEST", "TEST_")
    elif step == "release":
        deploy("PROD")
        run("PROD", "SMOKE")


if __name__ == "__main__":
    main()
