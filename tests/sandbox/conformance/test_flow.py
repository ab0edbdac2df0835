"""The graph of a flow and its zones."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path

import dataikuapi
import pytest
from dataikuapi.dss.project import DSSProject
from dataikuapi.utils import DataikuException

from mlops_steps.sandbox.node.node import Node
from mlops_steps.sandbox.services.projects.model import Project
from tests.sandbox.flows import flow_files, make_project

# As a real export holds it: the id is the name of the file.
ZONE = {
    "name": "Preparation",
    "color": "#31439C",
    "items": [
        {"objectId": "adults", "objectType": "DATASET"},
        {"objectId": "compute_adults", "objectType": "RECIPE"},
    ],
    "shared": [{"objectId": "people", "objectType": "DATASET"}],
    "tags": [],
    "customFields": {},
    "checklists": {"checklists": []},
}


@pytest.fixture
def zoned(design: dataikuapi.DSSClient, design_node: Node, new_key: str) -> DSSProject:
    """A project with a zone, as it comes out of a real export."""
    make_project(design_node, new_key, {**flow_files(), "project_config/zones/k4w7yHu.json": ZONE})
    return design.get_project(new_key)


def test_the_graph_lists_datasets_recipes_and_folders(project: DSSProject) -> None:
    folder = project.create_managed_folder("files")
    graph = project.get_flow().get_graph()

    assert graph.data["datasets"] == ["adults", "counted", "people"]
    assert graph.data["recipes"] == ["compute_adults", "compute_counted"]
    assert graph.data["folders"] == [folder.id]


def test_zones_are_read_from_the_files_of_the_project(zoned: DSSProject) -> None:
    flow = zoned.get_flow()

    zones = {zone.name: zone for zone in flow.list_zones()}
    assert set(zones) == {"Default", "Preparation"}
    assert zones["Preparation"].id == "k4w7yHu"
    assert zones["Preparation"].color == "#31439C"
    assert [item.id for item in zones["Preparation"].items] == ["adults", "compute_adults"]
    assert [item.id for item in zones["Preparation"].shared] == ["people"]
    assert {item.id for item in zones["Default"].items} == {"people", "counted", "compute_counted"}
    assert flow.get_zone_of_object(zoned.get_dataset("adults")).id == "k4w7yHu"
    assert flow.get_zone_of_object(zoned.get_dataset("people")).id == "default"


def test_a_zone_is_created_changed_and_deleted(project: DSSProject) -> None:
    flow = project.get_flow()
    zone = flow.create_zone("Reports", color="#C82423")
    zone.add_item(project.get_dataset("counted"))

    # The recipe that makes an object goes where its output goes.
    assert {item.id for item in zone.items} == {"counted", "compute_counted"}
    settings = zone.get_settings()
    settings.name, settings.color = "Figures", "#112233"
    settings.save()
    read = flow.get_zone(zone.id)
    assert (read.name, read.color, len(read.items)) == ("Figures", "#112233", 2)

    zone.delete()
    assert [one.id for one in flow.list_zones()] == ["default"]
    with pytest.raises(DataikuException, match=r"flow zone .* does not exist"):
        flow.get_zone(zone.id)
    assert flow.get_zone_of_object(project.get_dataset("counted")).id == "default"


def test_an_item_is_in_one_zone_and_goes_back_to_the_default_one(zoned: DSSProject) -> None:
    flow = zoned.get_flow()
    other = flow.create_zone("Other")
    other.add_items([zoned.get_dataset("adults"), zoned.get_dataset("counted")])

    assert flow.get_zone("k4w7yHu").items == []
    assert {item.id for item in other.items} == {"adults", "compute_adults", "counted", "compute_counted"}
    flow.get_default_zone().add_item(zoned.get_dataset("adults"))
    assert {item.id for item in flow.get_zone(other.id).items} == {"counted", "compute_counted"}
    with pytest.raises(DataikuException, match="dataset nowhere does not exist"):
        other.add_item(zoned.get_dataset("nowhere"))


def test_objects_are_shared_with_a_zone_and_its_graph_shows_them(zoned: DSSProject) -> None:
    zone = zoned.get_flow().get_zone("k4w7yHu")
    assert set(zone.get_graph().nodes) == {"people", "adults", "compute_adults"}

    zone.add_shared(zoned.get_dataset("counted"))
    assert [item.id for item in zone.shared] == ["people", "counted"]
    zone.remove_shared(zoned.get_dataset("people"))
    assert [item.id for item in zone.shared] == ["counted"]


def test_a_deleted_object_leaves_its_zone(zoned: DSSProject) -> None:
    zoned.get_recipe("compute_adults").delete()
    assert [item.id for item in zoned.get_flow().get_zone("k4w7yHu").items] == ["adults"]


def test_the_default_zone_cannot_be_deleted(project: DSSProject) -> None:
    with pytest.raises(DataikuException, match="default zone"):
        project.get_flow().get_default_zone().delete()


def test_zones_travel_in_a_bundle(
    zoned: DSSProject, auto_test: dataikuapi.DSSClient, design_node: Node, tmp_path: Path
) -> None:
    zoned.export_bundle("v1")
    with zoned.get_exported_bundle_archive_stream("v1") as stream:
        archive = zipfile.ZipFile(io.BytesIO(stream.content))
    assert json.loads(archive.read("project_config/zones/k4w7yHu.json"))["name"] == "Preparation"

    path = tmp_path / "v1.zip"
    zoned.download_exported_bundle_archive_to_file("v1", str(path))
    with path.open("rb") as stream:
        auto_test.create_project_from_bundle_archive(stream)
    there = auto_test.get_project(zoned.project_key)
    there.activate_bundle("v1")
    assert {zone.name for zone in there.get_flow().list_zones()} == {"Default", "Preparation"}
    assert Project(design_node, zoned.project_key).git.log(None, None, 1)["entries"]
