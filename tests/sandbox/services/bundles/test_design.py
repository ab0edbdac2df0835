"""Bundles on the Design node, with the official client."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import dataikuapi
import pytest
from dataikuapi.utils import DataikuException

from mlops_steps.sandbox.services.projects.model import Project

Export = Callable[[Project, str], Path]


def test_an_exported_bundle_is_listed_with_its_release_notes(design: dataikuapi.DSSClient, tiny: Project) -> None:
    project = design.get_project(tiny.key)
    project.export_bundle("v1", release_notes="first\n  “quoted” & <odd>")
    (item,) = project.list_exported_bundles()["bundles"]
    assert item["bundleId"] == "v1"
    assert item["releaseNotes"] == "first\n  “quoted” & <odd>"
    assert item["exportManifest"]["exportUserInfo"]["exportedBy"] == "admin"
    assert item["exportManifest"]["originalProjectKey"] == tiny.key


def test_bundles_are_listed_in_the_order_of_their_export(design: dataikuapi.DSSClient, tiny: Project) -> None:
    project = design.get_project(tiny.key)
    for bundle_id in ("b", "a", "c"):
        project.export_bundle(bundle_id)
    assert [item["bundleId"] for item in project.list_exported_bundles()["bundles"]] == ["b", "a", "c"]


def test_the_archive_has_the_layout_of_a_real_bundle(tiny: Project, exported: Export) -> None:
    with zipfile.ZipFile(exported(tiny, "v1")) as archive:
        names = set(archive.namelist())
        manifest = json.loads(archive.read("export-manifest.json"))
        assert json.loads(archive.read("project_config/localvariables.json")) == {}
    assert {
        "export-manifest.json",
        "project_config/params.json",
        "project_config/variables.json",
        "project_config/recipes/greet.json",
        "project_config/recipes/greet.py",
        "project_config/lib/python/greetings.py",
        "uploads/people/people.csv",
        "saved_models/model/versions/v1/model.txt",
        "timelines/timeline.txt",
    } <= names
    assert not any(name.startswith("project_config/.git/") for name in names)
    assert manifest["requiredConnections"]["filesystem_managed"]["type"] == "Filesystem"
    assert manifest["actualContent"]["includedSavedModels"] == [{"id": "model", "name": "Model", "size": 14}]


def test_local_variables_stay_on_the_design_node(design: dataikuapi.DSSClient, tiny: Project, exported: Export) -> None:
    design.get_project(tiny.key).set_variables({"standard": {"a": 1}, "local": {"password": "for design only"}})
    with zipfile.ZipFile(exported(tiny, "v1")) as archive:
        assert len(archive.namelist()) == len(set(archive.namelist()))
        assert not any(b"for design only" in archive.read(info) for info in archive.infolist())


def test_the_git_repository_travels_when_the_project_says_so(tiny: Project, exported: Export) -> None:
    params = tiny.params
    params["bundleExporterSettings"]["exportOptions"]["exportGitRepository"] = True
    tiny.save_params(params, "With Git")
    with zipfile.ZipFile(exported(tiny, "v1")) as archive:
        assert "project_config/.git/HEAD" in archive.namelist()


def test_a_bundle_id_is_used_once(design: dataikuapi.DSSClient, tiny: Project) -> None:
    project = design.get_project(tiny.key)
    project.export_bundle("v1")
    with pytest.raises(DataikuException, match="bundle v1 already exists"):
        project.export_bundle("v1")


@pytest.mark.parametrize("bundle_id", ["a b", ".hidden", "x" * 200, "a:b", "é"])
def test_a_bad_bundle_id_is_refused(design: dataikuapi.DSSClient, tiny: Project, bundle_id: str) -> None:
    with pytest.raises(DataikuException, match="Invalid bundle id"):
        design.get_project(tiny.key).export_bundle(bundle_id)
    assert design.get_project(tiny.key).list_exported_bundles()["bundles"] == []


def test_an_unknown_project_can_not_be_exported(design: dataikuapi.DSSClient) -> None:
    with pytest.raises(DataikuException, match="project NOWHERE does not exist"):
        design.get_project("NOWHERE").export_bundle("v1")


def test_a_deleted_bundle_is_gone(design: dataikuapi.DSSClient, tiny: Project) -> None:
    project = design.get_project(tiny.key)
    project.export_bundle("v1")
    project.delete_exported_bundle("v1")
    assert project.list_exported_bundles()["bundles"] == []
    with pytest.raises(DataikuException, match="bundle v1 does not exist"):
        project.get_exported_bundle_archive_stream("v1")
    project.export_bundle("v1")


def test_bundles_can_not_be_exported_on_an_automation_node(auto_test: dataikuapi.DSSClient) -> None:
    with pytest.raises(DataikuException, match="on a Design node only"):
        auto_test.get_project("ANY").list_exported_bundles()


def test_the_details_of_a_bundle_are_those_of_the_list(design: dataikuapi.DSSClient, tiny: Project) -> None:
    project = design.get_project(tiny.key)
    project.export_bundle("v1")
    details = design._perform_json("GET", f"/projects/{tiny.key}/bundles/exported/v1")
    assert details == project.list_exported_bundles()["bundles"][0]
