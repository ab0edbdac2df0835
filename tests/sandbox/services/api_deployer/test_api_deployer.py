"""The API Deployer's stages, infrastructures, services and versions, by the official client."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import dataikuapi
import pytest
from dataikuapi.utils import DataikuException

from mlops_steps.sandbox.node.node import Node
from mlops_steps.sandbox.services.projects.model import Project
from mlops_steps.sandbox.site import Sandbox
from tests.sandbox.api_service import deploy, publish, put_model, put_service


@pytest.fixture
def deployer(design: dataikuapi.DSSClient) -> Any:
    return design.get_apideployer()


def test_the_api_nodes_of_the_sandbox_are_infrastructures(deployer: Any, sandbox: Sandbox) -> None:
    assert [stage["id"] for stage in deployer.list_stages()] == ["Development", "Test", "Production"]
    stages = {item["infraBasicInfo"]["id"]: item["infraBasicInfo"]["stage"] for item in deployer.list_infras(False)}
    assert (stages["api-dev"], stages["api-prod"]) == ("Development", "Production")
    settings = deployer.get_infra("api-prod").get_settings()
    assert settings.get_type() == "STATIC"
    urls = [node["url"] for node in settings.get_raw()["apiNodes"]]
    assert urls == [sandbox.nodes["api-prod-1"].url, sandbox.nodes["api-prod-2"].url]
    assert sandbox.nodes["api-prod-1"].api_key not in str(settings.get_raw())


def test_an_infrastructure_is_made_of_nodes_by_url_and_key(
    design: dataikuapi.DSSClient, deployer: Any, sandbox: Sandbox, tiny: Project
) -> None:
    node = sandbox.nodes["api-dev-1"]
    infra = deployer.create_infra(f"mine-{tiny.key}", "Test", "STATIC")
    settings = infra.get_settings()
    settings.add_apinode(node.url, node.api_key, graphite_prefix="p")
    settings.add_apinode("http://127.0.0.1:9", "x")
    settings.save()
    settings = infra.get_settings()
    assert node.api_key not in str(settings.get_raw())
    settings.remove_apinode("http://127.0.0.1:9")
    settings.save()  # with the hidden key of the other one
    service = publish(design, tiny, "v1")
    assert deploy(design, service, "v1", infra.id()).get_status().get_health() == "HEALTHY"
    assert [item.id() for item in infra.get_status().get_deployments()] == [f"{service}-on-{infra.id()}"]
    with pytest.raises(DataikuException, match="is used by deployment"):
        infra.delete()
    deployer.get_deployment(f"{service}-on-{infra.id()}").delete(disable_first=True)
    infra.delete()
    with pytest.raises(DataikuException, match="does not exist"):
        infra.get_status()


@pytest.mark.parametrize(
    ("stage", "kind", "policy", "said"),
    [
        ("Moon", "STATIC", "NO_CHECK", "Unknown stage"),
        ("Test", "K8S", "NO_CHECK", "use STATIC"),
        ("Test", "STATIC", "MAYBE", "Unknown governCheckPolicy"),
    ],
)
def test_an_infrastructure_that_can_not_be_is_refused(
    deployer: Any, stage: str, kind: str, policy: str, said: str
) -> None:
    with pytest.raises(DataikuException, match=said):
        deployer.create_infra("never", stage, kind, policy)


def test_a_version_is_uploaded_and_downloaded_as_it_was(
    design: dataikuapi.DSSClient, deployer: Any, tiny: Project, tmp_path: Path
) -> None:
    put_model(tiny, "m1")
    maker = put_service(design, tiny)
    maker.create_package("v1", release_notes="notes")
    maker.download_package_to_file("v1", str(tmp_path / "v1.zip"))
    service = deployer.create_service(tiny.key.lower())
    assert service.get_status().get_versions() == []
    with (tmp_path / "v1.zip").open("rb") as archive:
        service.import_version(archive)
    (version,) = service.get_status().get_versions()
    assert (version["id"], version["releaseNotes"]) == ("v1", "notes")
    service.download_version_to_file("v1", str(tmp_path / "back.zip"))
    assert (tmp_path / "back.zip").read_bytes() == (tmp_path / "v1.zip").read_bytes()
    with (tmp_path / "v1.zip").open("rb") as archive, pytest.raises(DataikuException, match="v1 already exists"):
        service.import_version(archive)
    settings = service.get_settings()
    settings.get_raw()["tags"] = ["mine"]
    settings.save()
    assert service.get_settings().get_raw()["tags"] == ["mine"]
    service.delete_version("v1")
    assert service.get_status().get_versions() == []
    service.delete()
    assert tiny.key.lower() not in [item.id() for item in deployer.list_services()]


def test_what_is_no_package_changes_nothing(deployer: Any, tiny: Project, design_node: Node, tmp_path: Path) -> None:
    service, before = deployer.create_service(tiny.key.lower()), set(design_node.tmp_dir.glob("*.zip"))
    with zipfile.ZipFile(tmp_path / "other.zip", "w") as archive:
        archive.writestr("readme.txt", "hello")
    with zipfile.ZipFile(tmp_path / "evil.zip", "w") as archive:
        archive.writestr("../outside", "x")
    (tmp_path / "text.zip").write_text("no zip")
    for name, said in (("other", "is not an API service package"), ("evil", "refused"), ("text", "no zip archive")):
        with (tmp_path / f"{name}.zip").open("rb") as archive, pytest.raises(DataikuException, match=said):
            service.import_version(archive)
    assert service.get_status().get_versions() == []
    assert set(design_node.tmp_dir.glob("*.zip")) <= before


def test_versions_and_services_in_use_are_not_deleted(
    design: dataikuapi.DSSClient, deployer: Any, tiny: Project
) -> None:
    service_id = publish(design, tiny, "v1", "v2")
    deployer.create_deployment(f"d-{service_id}", service_id, "api-dev", "v1")
    service = deployer.get_service(service_id)
    with pytest.raises(DataikuException, match="is used by deployment"):
        service.delete_version("v1")
    with pytest.raises(DataikuException, match="is used by deployment"):
        service.delete()
    service.delete_version("v2")
    assert [item.id() for item in service.get_status().get_deployments("api-dev")] == [f"d-{service_id}"]
    assert service.get_status().get_deployments("api-prod") == []


def test_deployments_are_created_listed_and_refused(design: dataikuapi.DSSClient, deployer: Any, tiny: Project) -> None:
    service_id = publish(design, tiny, "v1")
    created = deployer.create_deployment(f"d-{service_id}", service_id, "api-dev", "v1", ignore_warnings=True)
    assert created.id() in [item.id() for item in deployer.list_deployments()]
    raw = created.get_settings().get_raw()
    assert raw["generationsMapping"] == {"mode": "SINGLE_GENERATION", "generation": "v1"}
    assert created.get_governance_status()["messages"] == []
    assert created.get_governance_status("v1")["messages"] == []
    for args, said in (
        ((f"d-{service_id}", service_id, "api-dev", "v1"), "already exists"),
        (("other", service_id, "api-dev", "v1"), "belongs to deployment"),
        (("other", service_id, "api-moon", "v1"), "api-moon does not exist"),
        (("other", "none", "api-prod", "v1"), "service none does not exist"),
        (("other", service_id, "api-prod", "v9"), "v9 does not exist"),
        (("../x", service_id, "api-prod", "v1"), "Invalid deployment id"),
    ):
        with pytest.raises(DataikuException, match=said):
            deployer.create_deployment(*args)


@pytest.mark.parametrize(
    ("mapping", "said"),
    [
        ({"mode": "SINGLE_GENERATION", "generation": "v9"}, "v9 does not exist"),
        ({"mode": "MULTI_GENERATION", "entries": [{"generation": "v1", "proba": 0.4}]}, "add up to 0.4"),
        ({"mode": "MULTI_GENERATION"}, "needs entries"),
        ({"mode": "THREE"}, "Unknown mode"),
        (None, "must be an object"),
    ],
)
def test_a_mapping_that_makes_no_sense_is_not_saved(
    design: dataikuapi.DSSClient, deployer: Any, tiny: Project, mapping: Any, said: str
) -> None:
    service_id = publish(design, tiny, "v1")
    deployment = deployer.create_deployment(f"d-{service_id}", service_id, "api-dev", "v1")
    settings = deployment.get_settings()
    settings.get_raw()["generationsMapping"] = mapping
    with pytest.raises(DataikuException, match=said):
        settings.save()
    assert deployment.get_settings().get_raw()["generationsMapping"]["generation"] == "v1"


def test_unknown_fields_of_a_mapping_are_kept_as_they_were_written(
    design: dataikuapi.DSSClient, deployer: Any, tiny: Project
) -> None:
    service_id = publish(design, tiny, "v1", "v2")
    deployment = deployer.create_deployment(f"d-{service_id}", service_id, "api-dev", "v1")
    settings = deployment.get_settings()
    mapping = {
        "mode": "MULTI_GENERATIONS",
        "entries": [{"generation": "v1", "proba": 1, "note": "old"}, {"generation": "v2", "proba": 0, "note": "new"}],
        "ofAnotherVersion": [1, 2],
    }
    settings.get_raw().update(generationsMapping=mapping, ofAnotherVersion={"a": None})
    settings.save()
    raw = deployment.get_settings().get_raw()
    assert (raw["generationsMapping"], raw["ofAnotherVersion"]) == (mapping, {"a": None})
    deployment.start_update().wait_for_result()
    assert deployment.get_status().get_health() == "HEALTHY"
