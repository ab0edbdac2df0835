"""What public code reads of a node and of its projects."""

from __future__ import annotations

import json
import time
from pathlib import Path

import dataikuapi
from dataikuapi.dss.project import DSSProject

from mlops_steps.sandbox.node.node import Node
from mlops_steps.sandbox.services.projects.model import Project


def test_a_node_says_where_its_data_are_and_since_when_it_runs(
    design: dataikuapi.DSSClient, auto_prod: dataikuapi.DSSClient, design_node: Node
) -> None:
    info = design.get_instance_info().raw

    assert Path(info["dataDirPath"]) == design_node.dir
    assert 0 < info["dssStartupTimestamp"] <= time.time() * 1000
    assert {"nodeId", "nodeName", "nodeType", "rawNodeType", "hostname", "dipInstanceId", "os", "osVersion"} <= set(
        info
    )
    assert info["installId"] != auto_prod.get_instance_info().raw["installId"]


def test_a_project_says_who_changed_it_last_and_when(design: dataikuapi.DSSClient, project: DSSProject) -> None:
    before = int(time.time() * 1000)
    settings = project.get_settings()
    settings.save()

    (listed,) = [item for item in design.list_projects() if item["projectKey"] == project.project_key]
    for item in (listed, project.get_summary(), project.get_settings().get_raw()):
        assert item["versionTag"]["lastModifiedBy"]["login"] == "admin"
        assert item["versionTag"]["lastModifiedOn"] >= before


def test_a_project_whose_files_do_not_say_it_has_a_version_tag_too(
    design: dataikuapi.DSSClient, design_node: Node, project: DSSProject
) -> None:
    path = Project(design_node, project.project_key).config_dir / "params.json"
    document = json.loads(path.read_text(encoding="utf-8"))
    document.pop("versionTag")
    path.write_text(json.dumps(document), encoding="utf-8")

    (listed,) = [item for item in design.list_projects() if item["projectKey"] == project.project_key]
    assert listed["versionTag"]["lastModifiedBy"]["login"] == "admin"
    assert abs(listed["versionTag"]["lastModifiedOn"] - path.stat().st_mtime * 1000) < 1000


def test_settings_that_were_saved_without_export_options_have_the_defaults(project: DSSProject) -> None:
    settings = project.get_settings()
    settings.get_raw()["bundleExporterSettings"] = {}
    settings.save()

    options = project.get_settings().get_raw()["bundleExporterSettings"]["exportOptions"]
    assert options["exportUploads"] is True
    assert options["includedSavedModels"] == []
    assert options["includedDatasetsData"] == []
    assert "remapping" not in options


def test_a_published_bundle_says_from_which_node_it_came(design: dataikuapi.DSSClient, project: DSSProject) -> None:
    project.export_bundle("v1")
    project.publish_bundle("v1")

    published = design.get_projectdeployer().get_project(project.project_key)
    (package,) = published.get_status().get_raw()["packages"]
    info = design.get_instance_info().raw
    assert package["designNodeInfo"] == {
        "projectKey": project.project_key,
        "nodeId": info["nodeId"],
        "installId": info["installId"],
        "url": design.host,
    }
