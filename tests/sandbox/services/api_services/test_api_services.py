"""API services on the Design node, by the official client."""

from __future__ import annotations

import zipfile
from pathlib import Path

import dataikuapi
import pytest
from dataikuapi.utils import DataikuException

from mlops_steps.sandbox.node.node import Node
from mlops_steps.sandbox.services.projects.model import Project
from tests.sandbox.api_service import put_model, put_service


def test_a_service_is_created_listed_and_gets_endpoints(design: dataikuapi.DSSClient, tiny: Project) -> None:
    handle = design.get_project(tiny.key)
    assert handle.list_api_services() == []
    handle.create_api_service("scores")
    settings = handle.get_api_service("scores").get_settings()
    assert (settings.auth_method, settings.endpoints) == ("PUBLIC", [])
    settings.add_prediction_endpoint("score", "model")
    settings.get_raw()["ofAnotherVersionOfDss"] = {"kept": True}
    settings.save()
    (item,) = handle.list_api_services()
    assert (item.id, item.name, item.auth_method) == ("scores", "scores", "PUBLIC")
    assert item.endpoints == [{"id": "score", "type": "STD_PREDICTION"}]
    again = item.to_api_service().get_settings()
    assert again.endpoints[0]["modelRef"] == "model"
    assert again.get_raw()["ofAnotherVersionOfDss"] == {"kept": True}


def test_the_service_is_in_the_history_and_in_the_bundles_of_the_project(
    design: dataikuapi.DSSClient, tiny: Project, tmp_path: Path
) -> None:
    put_service(design, tiny)
    assert "Updated API service scores" in str(design.get_project(tiny.key).get_project_git().log())
    design.get_project(tiny.key).export_bundle("v1")
    design.get_project(tiny.key).download_exported_bundle_archive_to_file("v1", str(tmp_path / "v1.zip"))
    with zipfile.ZipFile(tmp_path / "v1.zip") as archive:
        assert "project_config/api_services/scores.json" in archive.namelist()


def test_packages_are_made_listed_downloaded_and_deleted(
    design: dataikuapi.DSSClient, tiny: Project, tmp_path: Path
) -> None:
    put_model(tiny, "m1")
    service = put_service(design, tiny)
    service.create_package("v1", release_notes="the first")
    put_model(tiny, "m2", weight=2)
    service.create_package("v2")
    assert [item["id"] for item in service.list_packages()] == ["v2", "v1"]
    assert all(item["createdOn"] > 0 for item in service.list_packages())
    assert service.get_package_summary("v1")["releaseNotes"] == "the first"
    service.download_package_to_file("v1", str(tmp_path / "v1.zip"))
    with service.download_package_stream("v2") as stream:
        (tmp_path / "v2.zip").write_bytes(stream.read())
    for version, model in (("v1", "m1"), ("v2", "m2")):
        with zipfile.ZipFile(tmp_path / f"{version}.zip") as archive:
            assert archive.testzip() is None
            models = {name.split("/")[2] for name in archive.namelist() if name.startswith("saved_models/")}
            assert models == {model}
            assert "lib/python/scorer_of_test.py" in archive.namelist()
    service.delete_package("v1")
    assert [item["id"] for item in service.list_packages()] == ["v2"]


def test_a_package_id_is_given_once(design: dataikuapi.DSSClient, tiny: Project) -> None:
    put_model(tiny, "m1")
    service = put_service(design, tiny)
    service.create_package("v1")
    with pytest.raises(DataikuException, match="API service package v1 already exists"):
        service.create_package("v1")


@pytest.mark.parametrize(
    ("endpoint", "said"),
    [
        ({"id": "e", "type": "STD_CLUSTERING", "modelRef": "model"}, "not supported by the sandbox: endpoints of type"),
        ({"id": "e", "type": "STD_PREDICTION"}, "has no modelRef"),
        ({"id": "e", "type": "STD_PREDICTION", "modelRef": "none"}, "saved model none does not exist"),
        ({"id": "e", "type": "PY_FUNCTION", "code": " "}, "has no code"),
    ],
)
def test_a_service_that_can_not_be_served_is_not_packaged(
    design: dataikuapi.DSSClient, tiny: Project, endpoint: dict, said: str
) -> None:
    service = put_service(design, tiny, endpoints=[endpoint])
    with pytest.raises(DataikuException, match=said):
        service.create_package("v1")
    assert service.list_packages() == []


def test_a_model_without_an_estimator_is_named(design: dataikuapi.DSSClient, tiny: Project) -> None:
    with pytest.raises(DataikuException, match="active version of saved model model holds no estimator"):
        put_service(design, tiny).create_package("v1")


def test_settings_that_make_no_sense_change_nothing(design: dataikuapi.DSSClient, tiny: Project) -> None:
    service = put_service(design, tiny)
    settings = service.get_settings()
    settings.endpoints.append({"id": "score", "type": "STD_PREDICTION"})
    with pytest.raises(DataikuException, match="have the same id"):
        settings.save()
    assert len(service.get_settings().endpoints) == 2


def test_a_package_is_published_and_creates_the_service_of_the_deployer(
    design: dataikuapi.DSSClient, tiny: Project
) -> None:
    put_model(tiny, "m1")
    service = put_service(design, tiny)
    service.create_package("v1", release_notes="why")
    service.publish_package("v1", tiny.key.lower())
    published = design.get_apideployer().get_service(tiny.key.lower()).get_status()
    assert [(version["id"], version["releaseNotes"]) for version in published.get_versions()] == [("v1", "why")]
    assert service.get_package_summary("v1")["published"]["publishedServiceId"] == tiny.key.lower()


def test_automation_nodes_have_no_api_designer(auto_test: dataikuapi.DSSClient) -> None:
    with pytest.raises(DataikuException, match="exists on a Design node only"):
        auto_test.get_project("ANY").list_api_services()


def test_a_package_is_not_there_for_another_service(
    design: dataikuapi.DSSClient, design_node: Node, tiny: Project
) -> None:
    put_model(tiny, "m1")
    put_service(design, tiny).create_package("v1")
    other = put_service(design, tiny, "other")
    assert other.list_packages() == []
    with pytest.raises(DataikuException, match="v1 does not exist"):
        other.get_package_summary("v1")
