"""What public code reads of datasets, and the formats of their data."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

import pytest
from dataikuapi.dss.project import DSSProject
from dataikuapi.utils import DataikuException

from mlops_steps.sandbox.node.node import Node
from mlops_steps.sandbox.services.projects.model import Project
from tests.sandbox.conformance.conftest import build


def data(project: DSSProject, **params: Any) -> str:
    address = f"/projects/{project.project_key}/datasets/people/data/"
    with project.client._perform_raw("GET", address, params=params) as answer:
        text: str = answer.content.decode()
    return text


def test_the_data_of_a_dataset_come_in_four_formats(project: DSSProject) -> None:
    people = [["Ada", "36"], ["Grace", "41"], ["Alan", ""]]

    assert list(csv.reader(io.StringIO(data(project, format="tsv-excel-noheader")), delimiter="\t")) == people
    with_header = list(csv.reader(io.StringIO(data(project, format="tsv-excel-header")), delimiter="\t"))
    assert with_header == [["name", "age"], *people]
    assert list(csv.reader(io.StringIO(data(project, format="csv")))) == [["name", "age"], *people]
    assert json.loads(data(project, format="json")) == [
        {"name": "Ada", "age": 36},
        {"name": "Grace", "age": 41},
        {"name": "Alan", "age": None},
    ]


def test_a_format_that_is_not_served_is_named(project: DSSProject) -> None:
    with pytest.raises(DataikuException, match="dataset data in format excel"):
        data(project, format="excel")


def test_large_data_are_streamed_as_valid_json(project: DSSProject, design_node: Node) -> None:
    uploads = Project(design_node, project.project_key).uploads_dir
    lines = "".join(f"name {number},{number}\n" for number in range(2500))
    (uploads / "people" / "people.csv").write_text("name,age\n" + lines, encoding="utf-8")

    rows = json.loads(data(project, format="json"))
    assert len(rows) == 2500
    assert rows[2499] == {"name": "name 2499", "age": 2499}


def test_a_sample_is_as_long_as_was_asked_for(project: DSSProject) -> None:
    sampling = json.dumps({"samplingMethod": "HEAD_SEQUENTIAL", "maxRecords": 2})
    assert data(project, format="csv", sampling=sampling).splitlines() == ["name,age", "Ada,36", "Grace,41"]
    assert data(project, format="csv", limit=1).splitlines() == ["name,age", "Ada,36"]
    with pytest.raises(DataikuException, match="sampling RANDOM_FIXED_NB"):
        data(project, format="csv", sampling=json.dumps({"samplingMethod": "RANDOM_FIXED_NB"}))
    with pytest.raises(DataikuException, match="filters of dataset data"):
        data(project, format="csv", filter="age > 3")


def test_columns_are_chosen_and_ordered(project: DSSProject) -> None:
    rows = project.get_dataset("people").iter_rows(columns=["age", "name"])
    assert list(rows) == [[36, "Ada"], [41, "Grace"], [None, "Alan"]]


def test_the_information_about_a_dataset_names_its_recipes_and_its_last_build(project: DSSProject) -> None:
    before = project.get_dataset("adults").get_info()
    assert before.last_build_start_time is None
    assert before.is_last_build_successful is False

    build(project, "adults")

    info = project.get_dataset("adults").get_info()
    assert info.get_raw()["recipes"] == [{"id": "compute_counted", "type": "python"}]
    assert info.get_raw()["creatingRecipe"] == {"id": "compute_adults", "type": "python"}
    assert info.get_raw()["dataset"]["name"] == "adults"
    assert info.last_build_start_time <= info.last_build_end_time
    assert info.is_last_build_successful is True
    source = project.get_dataset("people").get_info().get_raw()
    assert source["recipes"] == [{"id": "compute_adults", "type": "python"}]
    assert "creatingRecipe" not in source


def test_a_build_that_failed_is_the_last_build(project: DSSProject) -> None:
    recipe = project.get_recipe("compute_adults")
    settings = recipe.get_settings()
    settings.set_code("raise ValueError('no')")
    settings.save()

    assert build(project, "adults")["state"] == "FAILED"

    assert project.get_dataset("adults").get_info().is_last_build_successful is False
    assert project.get_dataset("adults").get_info().last_build_end_time is not None


def test_a_dataset_says_whether_it_is_a_feature_group_and_which_checks_it_has(project: DSSProject) -> None:
    items = {item.name: item for item in project.list_datasets()}
    assert items["adults"]._data["featureGroup"] is False

    settings = project.get_dataset("adults").get_settings()
    assert settings.is_feature_group is False
    assert settings.get_raw()["metricsChecks"] == {"runOnBuild": False, "checks": []}
    settings.set_feature_group(True)
    settings.save()

    assert project.get_dataset("adults").get_settings().is_feature_group is True
    items = {item.name: item for item in project.list_datasets()}
    assert items["adults"]._data["featureGroup"] is True
