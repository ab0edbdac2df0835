"""Infrastructures, published projects and deployments of the Project Deployer, with the official client."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dataikuapi
import pytest
from dataikuapi.utils import DataikuException

from mlops_steps.sandbox.services.projects.model import Project
from mlops_steps.sandbox.site import Sandbox

Export = Callable[[Project, str], Path]


@pytest.fixture
def deployer(design: dataikuapi.DSSClient) -> Any:
    return design.get_projectdeployer()


@pytest.fixture
def published(design: dataikuapi.DSSClient, tiny: Project) -> str:
    """The key of a tiny project whose bundles v1 and v2 are published."""
    project = design.get_project(tiny.key)
    for bundle_id in ("v1", "v2"):
        project.export_bundle(bundle_id, release_notes=f"notes of {bundle_id}")
        project.publish_bundle(bundle_id)
    return tiny.key


# ---- infrastructures


def test_the_nodes_of_the_sandbox_are_infrastructures_with_their_stages(deployer: Any, sandbox: Sandbox) -> None:
    infras = {item["infraBasicInfo"]["id"]: item for item in deployer.list_infras(as_objects=False)}
    assert infras["auto-test"]["infraBasicInfo"]["stage"] == "Test"
    assert infras["auto-prod"]["infraBasicInfo"]["stage"] == "Production"
    assert infras["auto-prod"]["canDeploy"] is True
    assert infras["auto-test"]["infraBasicInfo"]["automationNodeUrl"] == sandbox.nodes["auto-test"].url


def test_the_stages_can_be_listed(deployer: Any) -> None:
    assert [stage["id"] for stage in deployer.list_stages()] == ["Development", "Test", "Production"]


def test_an_infrastructure_is_created_changed_and_deleted(deployer: Any, new_key: str, sandbox: Sandbox) -> None:
    infra = deployer.create_infra(new_key, "Test")
    settings = infra.get_settings()
    settings.get_raw()["automationNodeUrl"] = sandbox.nodes["auto-test"].url
    settings.get_raw()["adminApiKey"] = sandbox.nodes["auto-test"].api_key
    settings.save()
    raw = infra.get_settings().get_raw()
    assert raw["automationNodeUrl"] == sandbox.nodes["auto-test"].url
    assert sandbox.nodes["auto-test"].api_key not in str(raw), "a key is not given out again"
    infra.get_settings().save()
    assert infra.get_status().get_deployments() == []
    infra.delete()
    with pytest.raises(DataikuException, match=f"infrastructure {new_key} does not exist"):
        infra.get_settings()


def test_deploying_through_an_infrastructure_that_a_user_made_works(
    deployer: Any, published: str, sandbox: Sandbox
) -> None:
    infra = deployer.create_infra(f"infra-{published}", "Test")
    settings = infra.get_settings()
    settings.get_raw()["automationNodeUrl"] = sandbox.nodes["auto-test"].url
    settings.get_raw()["adminApiKey"] = sandbox.nodes["auto-test"].api_key
    settings.save()
    infra.get_settings().save()
    deployment = deployer.create_deployment(f"d-{published}", published, infra.id, "v1")
    assert deployment.start_update().wait_for_result()["status"] == "SUCCESS"
    with pytest.raises(DataikuException, match="is used by deployment"):
        infra.delete()


@pytest.mark.parametrize(
    ("infra_id", "stage", "said"),
    [("auto-test", "Test", "already exists"), ("fresh", "Moon", "Unknown stage"), ("a b", "Test", "Invalid")],
)
def test_a_bad_infrastructure_is_refused(deployer: Any, infra_id: str, stage: str, said: str) -> None:
    with pytest.raises(DataikuException, match=said):
        deployer.create_infra(infra_id, stage)


# ---- published projects


def test_publishing_tells_when_and_where(design: dataikuapi.DSSClient, deployer: Any, tiny: Project) -> None:
    project = design.get_project(tiny.key)
    project.export_bundle("v1")
    told = project.publish_bundle("v1")
    assert told["publishedProjectKey"] == tiny.key
    assert told["publishedBy"] == "admin"
    assert [bundle["id"] for bundle in deployer.get_project(tiny.key).get_status().get_bundles()] == ["v1"]
    assert project.list_exported_bundles()["bundles"][0]["publishedOn"] == told["publishedOn"]
    with pytest.raises(DataikuException, match="bundle v1 already exists"):
        project.publish_bundle("v1")


def test_a_bundle_can_be_published_under_another_key(
    design: dataikuapi.DSSClient, deployer: Any, tiny: Project
) -> None:
    project = design.get_project(tiny.key)
    project.export_bundle("v1")
    project.publish_bundle("v1", published_project_key=f"{tiny.key}_OTHER")
    assert f"{tiny.key}_OTHER" in [item.id for item in deployer.list_projects()]


def test_a_bundle_that_does_not_exist_can_not_be_published(design: dataikuapi.DSSClient, tiny: Project) -> None:
    with pytest.raises(DataikuException, match="bundle v7 does not exist"):
        design.get_project(tiny.key).publish_bundle("v7")


def test_a_bundle_is_uploaded_and_downloaded_whole(
    deployer: Any, tiny: Project, exported: Export, tmp_path: Path
) -> None:
    archive = exported(tiny, "v1")
    with archive.open("rb") as file:
        deployer.upload_bundle(file)
    deployer.get_project(tiny.key).download_bundle_to_file("v1", str(tmp_path / "back.zip"))
    assert (tmp_path / "back.zip").read_bytes() == archive.read_bytes()


def test_an_upload_can_name_the_project(deployer: Any, tiny: Project, exported: Export) -> None:
    with exported(tiny, "v1").open("rb") as file:
        deployer.upload_bundle(file, project_key=f"{tiny.key}_NAMED")
    status = deployer.get_project(f"{tiny.key}_NAMED").get_status()
    assert status.get_bundles()[0]["id"] == "v1"
    assert status.get_deployments() == []


def test_a_harmful_upload_is_refused(deployer: Any, tmp_path: Path, new_key: str) -> None:
    with zipfile.ZipFile(tmp_path / "v1.zip", "w") as archive:
        archive.writestr("export-manifest.json", "{}")
        archive.writestr("project_config/params.json", "{}")
        archive.writestr("../escaped", "x")
    with (tmp_path / "v1.zip").open("rb") as file, pytest.raises(DataikuException, match="is refused"):
        deployer.upload_bundle(file, project_key=new_key)
    with pytest.raises(DataikuException, match="does not exist on the Project Deployer"):
        deployer.get_project(new_key).get_status()


def test_a_published_project_is_created_changed_and_deleted(deployer: Any, new_key: str) -> None:
    project = deployer.create_project(new_key)
    settings = project.get_settings()
    settings.get_raw()["tags"] = ["mine"]
    settings.save()
    assert project.get_settings().get_raw()["tags"] == ["mine"]
    with pytest.raises(DataikuException, match="already exists"):
        deployer.create_project(new_key)
    project.delete()
    assert new_key not in [item["projectBasicInfo"]["id"] for item in deployer.list_projects(as_objects=False)]


def test_what_a_deployment_uses_is_not_deleted(deployer: Any, published: str) -> None:
    deployer.create_deployment(f"d-{published}", published, "auto-test", "v1")
    project = deployer.get_project(published)
    with pytest.raises(DataikuException, match="bundle v1 is used by deployment"):
        project.delete_bundle("v1")
    with pytest.raises(DataikuException, match="is used by deployment"):
        project.delete()
    project.delete_bundle("v2")
    assert [bundle["id"] for bundle in project.get_status().get_bundles()] == ["v1"]


def test_a_bundle_to_which_no_check_applies_has_an_empty_report(deployer: Any, published: str) -> None:
    report = deployer.get_project(published).get_project_standards_report("v1")
    assert (report.scope, report.checks_run_info) == ("Default", {})


# ---- deployments


def test_a_new_deployment_is_listed_and_has_no_health_yet(deployer: Any, published: str) -> None:
    deployment = deployer.create_deployment(f"d-{published}", published, "auto-test", "v1")
    status = deployment.get_status()
    assert status.get_health() == "UNKNOWN"
    assert status.get_light()["neverEverDeployed"] is True
    assert status.get_light()["deploymentBasicInfo"]["bundleId"] == "v1"
    assert status.get_light()["infraBasicInfo"]["stage"] == "Test"
    assert status.get_light()["projectBasicInfo"] == {"id": published, "name": "Tiny project"}
    assert [package["id"] for package in status.get_light()["packages"]] == ["v2", "v1"]
    assert deployment.id in [item.id for item in deployer.list_deployments()]
    assert [item.id for item in deployer.get_project(published).get_status().get_deployments("auto-test")] == [
        deployment.id
    ]
    assert deployer.get_project(published).get_status().get_deployments("auto-prod") == []
    assert deployment.id in [item.id for item in deployer.get_infra("auto-test").get_status().get_deployments()]
    assert deployment.list_updates() == []


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"infra_id": "nowhere"}, "infrastructure nowhere does not exist"),
        ({"bundle_id": "v7"}, "bundle v7 does not exist"),
        ({"project_key": "NO_SUCH"}, "published project NO_SUCH does not exist"),
        ({"deployment_id": "a b"}, "Invalid deployment id"),
        ({"deployed_project_key": "a/b"}, "Invalid project key"),
    ],
)
def test_a_deployment_of_what_does_not_exist_is_refused(
    deployer: Any, published: str, changes: dict[str, str], said: str
) -> None:
    wanted = {"deployment_id": "d", "project_key": published, "infra_id": "auto-test", "bundle_id": "v1"}
    with pytest.raises(DataikuException, match=said):
        deployer.create_deployment(**{**wanted, **changes})


def test_a_deployment_id_is_used_once(deployer: Any, published: str) -> None:
    deployer.create_deployment(f"d-{published}", published, "auto-test", "v1")
    with pytest.raises(DataikuException, match=f"deployment d-{published} already exists"):
        deployer.create_deployment(f"d-{published}", published, "auto-prod", "v1")
    deployer.create_deployment(f"e-{published}", published, "auto-test", "v1", deployed_project_key=f"{published}_B")


def test_settings_are_saved_and_bad_ones_refused(deployer: Any, published: str) -> None:
    deployment = deployer.create_deployment(f"d-{published}", published, "auto-test", "v1")
    settings = deployment.get_settings()
    settings.bundle_id = "v2"
    settings.save()
    assert deployment.get_settings().bundle_id == "v2"
    assert deployment.get_settings().published_project_key == published
    for name, value, said in (
        ("bundleId", "v7", "bundle v7 does not exist"),
        ("infraId", "auto-prod", "infraId of deployment .* can't be changed"),
        ("enabled", "no", "must be true or false"),
    ):
        settings = deployment.get_settings()
        settings.get_raw()[name] = value
        with pytest.raises(DataikuException, match=said):
            settings.save()
    assert deployment.get_settings().bundle_id == "v2"


def test_an_unknown_deployment_is_not_found(deployer: Any) -> None:
    deployment = deployer.get_deployment("no-such")
    for ask in (deployment.get_status, deployment.get_settings, deployment.start_update, deployment.delete):
        with pytest.raises(DataikuException, match="deployment no-such does not exist"):
            ask()


def test_the_governance_status_has_no_messages(deployer: Any, published: str) -> None:
    deployment = deployer.create_deployment(f"d-{published}", published, "auto-test", "v1")
    assert deployment.get_governance_status()["messages"] == []
    assert deployment.get_governance_status("v2")["messages"] == []
    with pytest.raises(DataikuException, match="bundle v7 does not exist"):
        deployment.get_governance_status("v7")


def test_what_the_sandbox_can_not_do_says_so_by_name(deployer: Any) -> None:
    with pytest.raises(DataikuException, match="not supported by the sandbox: POST /project-deployer/infras/auto-test"):
        deployer.get_infra("auto-test").generate_personal_api_key("label", "description")


def test_the_deployer_is_on_the_design_node_only(auto_test: dataikuapi.DSSClient) -> None:
    with pytest.raises(DataikuException, match="on a Design node only"):
        auto_test.get_projectdeployer().list_infras()
