"""Datasets, recipes, managed folders and the graph through the official client."""

from __future__ import annotations

import io
from typing import Any

import dataikuapi
import pytest
import requests
from dataikuapi.dss.project import DSSProject
from dataikuapi.utils import DataikuException

from mlops_steps.sandbox.node.node import Node
from tests.sandbox.flows import flow_files, make_project


@pytest.fixture(scope="module")
def project(design_node: Node) -> DSSProject:
    make_project(design_node, "FLOW_OBJECTS", flow_files())
    return dataikuapi.DSSClient(design_node.url, design_node.api_key).get_project("FLOW_OBJECTS")


@pytest.fixture
def own(design: dataikuapi.DSSClient, design_node: Node, new_key: str) -> DSSProject:
    """A project that the test may change."""
    make_project(design_node, new_key, flow_files())
    return design.get_project(new_key)


# ---- datasets


def test_datasets_are_listed_with_type_and_schema(project: DSSProject) -> None:
    items = {item.name: item for item in project.list_datasets()}

    assert sorted(items) == ["adults", "counted", "people"]
    assert items["people"].type == "UploadedFiles"
    assert items["adults"].connection == "filesystem_managed"
    assert items["people"].get_column("age") == {"name": "age", "type": "bigint"}


def test_rows_are_read_with_the_types_of_the_schema(project: DSSProject) -> None:
    assert list(project.get_dataset("people").iter_rows()) == [["Ada", 36], ["Grace", 41], ["Alan", None]]


def test_an_uploaded_dataset_is_made_of_files(own: DSSProject) -> None:
    dataset = own.create_upload_dataset("sales")
    text = 'city,amount\n"Paris, France",3\n"say ""hi""",4\n'
    dataset.uploaded_add_file(io.BytesIO(text.encode()), "sales.csv")

    assert [file["path"] for file in dataset.uploaded_list_files()] == ["sales.csv"]
    assert [column["name"] for column in dataset.get_schema()["columns"]] == ["city", "amount"]
    assert list(dataset.iter_rows()) == [["Paris, France", "3"], ['say "hi"', "4"]]
    settings = dataset.autodetect_settings()
    settings.save()


def test_a_managed_dataset_is_created_in_a_connection(own: DSSProject) -> None:
    dataset = own.new_managed_dataset("made").with_store_into("filesystem_managed").create()
    assert dataset.exists()
    assert dataset.get_settings().get_raw()["managed"] is True

    with pytest.raises(DataikuException, match="connection 'nowhere' does not exist on node design"):
        own.new_managed_dataset("other").with_store_into("nowhere").create()


def test_settings_schema_and_metadata_are_saved(own: DSSProject) -> None:
    dataset = own.get_dataset("adults")
    settings = dataset.get_settings()
    settings.add_raw_schema_column({"name": "more", "type": "string"})
    settings.save()
    metadata = dataset.get_metadata()
    metadata["tags"] = ["checked"]
    dataset.set_metadata(metadata)

    assert dataset.get_schema()["columns"][-1]["name"] == "more"
    assert own.list_datasets(tags=["checked"])[0].name == "adults"
    dataset.set_schema({"columns": [{"name": "only", "type": "string"}]})
    assert dataset.get_metadata()["tags"] == ["checked"]


def test_a_dataset_without_data_says_so(project: DSSProject) -> None:
    with pytest.raises(DataikuException, match="dataset counted has no data"):
        list(project.get_dataset("counted").iter_rows())


def test_an_uploaded_dataset_cannot_be_cleared(own: DSSProject) -> None:
    with pytest.raises(DataikuException, match="cannot be cleared: it is not a managed dataset"):
        own.get_dataset("people").clear()


def test_a_dataset_is_deleted_with_its_data_when_asked(own: DSSProject, design_node: Node) -> None:
    uploads = design_node.project_dir(own.project_key) / "uploads/people"
    own.get_dataset("people").delete()
    assert uploads.is_dir()

    assert not own.get_dataset("people").exists()
    with pytest.raises(DataikuException, match="dataset people does not exist"):
        own.get_dataset("people").get_settings()


def test_usages_name_the_recipes(project: DSSProject) -> None:
    usages = {(usage["type"], usage["objectId"]) for usage in project.get_dataset("adults").get_usages()}
    assert usages == {("RECIPE_OUTPUT", "compute_adults"), ("RECIPE_INPUT", "compute_counted")}


# ---- metrics and checks


def test_metrics_are_computed_and_kept(own: DSSProject) -> None:
    dataset = own.get_dataset("people")
    dataset.compute_metrics()
    dataset.compute_metrics(metric_ids=["col_stats:MEAN:age", "col_stats:COUNT_NULL:age"])

    values = dataset.get_last_metric_values()
    assert values.get_global_value("records:COUNT_RECORDS") == 3
    assert values.get_global_value("col_stats:MEAN:age") == 38.5
    assert values.get_global_value("col_stats:COUNT_NULL:age") == 1
    assert len(dataset.get_metric_history("records:COUNT_RECORDS")["values"]) == 2


def check(minimum: float, **more: Any) -> dict[str, Any]:
    return {
        "type": "numericRange",
        "meta": {"label": f"at least {minimum}"},
        "enabled": True,
        "metricId": "records:COUNT_RECORDS",
        "minimum": minimum,
        "minimumEnabled": True,
        **more,
    }


def test_checks_have_outcomes(own: DSSProject) -> None:
    dataset = own.get_dataset("people")
    settings = dataset.get_settings()
    soft = {"softMinimum": 5, "softMinimumEnabled": True}
    settings.get_raw()["metricsChecks"] = {"checks": [check(1), check(1, **soft), check(9), check(99, enabled=False)]}
    settings.save()

    outcomes = [result["value"]["outcome"] for result in dataset.run_checks()["results"]]
    assert outcomes == ["OK", "WARNING", "ERROR"]


def test_a_check_that_the_sandbox_cannot_make_is_named(own: DSSProject) -> None:
    settings = own.get_dataset("people").get_settings()
    settings.get_raw()["metricsChecks"] = {"checks": [{**check(1), "type": "plugin_check"}]}
    settings.save()

    with pytest.raises(DataikuException, match="check at least 1 of dataset people: type 'plugin_check'"):
        own.get_dataset("people").run_checks()


# ---- recipes


def test_recipes_are_listed_with_name_and_type(project: DSSProject) -> None:
    assert [(item["name"], item["type"]) for item in project.list_recipes()] == [
        ("compute_adults", "python"),
        ("compute_counted", "python"),
    ]


def test_code_and_definition_of_a_recipe_are_read(project: DSSProject) -> None:
    settings = project.get_recipe("compute_adults").get_settings()

    assert settings.get_code().startswith("\nimport dataiku")
    assert settings.get_flat_input_refs() == ["people"]
    assert settings.get_flat_output_refs() == ["adults"]
    with pytest.warns(DeprecationWarning, match="get_definition_and_payload"):
        old = project.get_recipe("compute_adults").get_definition_and_payload()
    assert old.get_payload() == settings.get_code()


def test_a_recipe_is_created_with_its_output_and_deleted(own: DSSProject) -> None:
    creator = own.new_recipe("python", "compute_copies")
    creator.with_input("people").with_new_output_dataset("copies", "filesystem_managed").with_script("x = 1\n")
    recipe = creator.create()

    assert recipe.get_settings().get_code() == "x = 1\n"
    assert own.get_dataset("copies").exists()
    recipe.delete()
    assert "compute_copies" not in [item["name"] for item in own.list_recipes()]


def test_a_recipe_for_what_does_not_exist_is_refused(own: DSSProject) -> None:
    with pytest.raises(DataikuException, match="nobody does not exist in project"):
        own.new_recipe("python", "compute_x").with_input("nobody").with_output("adults").create()


def test_the_status_of_a_recipe_tells_what_is_missing(own: DSSProject) -> None:
    assert own.get_recipe("compute_adults").get_status().get_status_severity() is None
    own.get_dataset("people").delete()

    status = own.get_recipe("compute_adults").get_status()
    assert status.get_status_severity() == "ERROR"
    assert "people does not exist" in status.get_status_messages(as_objects=True)[0].message


def test_the_graph_is_walked_in_order(project: DSSProject) -> None:
    graph = project.get_flow().get_graph()

    assert [node["ref"] for node in graph.get_items_in_traversal_order()] == [
        "people",
        "compute_adults",
        "adults",
        "compute_counted",
        "counted",
    ]
    assert [dataset.name for dataset in graph.get_source_datasets()] == ["people"]


# ---- managed folders


def test_files_of_a_managed_folder_are_written_listed_and_read(own: DSSProject) -> None:
    folder = own.create_managed_folder("Reports")
    folder.put_file("/a/first file.txt", io.BytesIO(b"one"))
    folder.put_file("second.bin", io.BytesIO(b"\x00\xff"))

    assert [(item["path"], item["size"]) for item in folder.list_contents()["items"]] == [
        ("/a/first file.txt", 3),
        ("/second.bin", 2),
    ]
    assert folder.get_file("/second.bin").content == b"\x00\xff"
    folder.delete_file("second.bin")
    with pytest.raises(DataikuException, match=r"has no file second\.bin"):
        folder.get_file("second.bin")
    assert [item["name"] for item in own.list_managed_folders()] == ["Reports"]


def test_no_path_leaves_a_managed_folder(own: DSSProject, design_node: Node) -> None:
    folder = own.create_managed_folder("Reports")
    url = f"{design_node.url}/dip/publicapi/projects/{own.project_key}/managedfolders/{folder.id}/contents"
    for path in ("..%2f..%2fescaped", "a%2f..%2f..%2f..%2fescaped"):
        answer = requests.post(f"{url}/{path}", auth=(design_node.api_key, ""), files={"file": b"x"}, timeout=10)
        assert (answer.status_code, "leaves its folder" in answer.json()["message"]) == (400, True)
    assert not list(design_node.dir.rglob("escaped"))
