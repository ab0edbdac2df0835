"""Projects through the official client."""

from __future__ import annotations

import dataikuapi
import pytest
from dataikuapi.utils import DataikuException

from mlops_steps.sandbox.node.node import Node
from mlops_steps.sandbox.services.projects.model import Project


def test_a_project_is_created_listed_and_deleted(design: dataikuapi.DSSClient, new_key: str) -> None:
    design.create_project(new_key, "New one", "admin", description="what it is for", tags=["a"])

    assert new_key in design.list_project_keys()
    item = next(item for item in design.list_projects() if item["projectKey"] == new_key)
    assert (item["name"], item["tags"], item["description"]) == ("New one", ["a"], "what it is for")
    assert "activeBundleState" not in item

    design.get_project(new_key).delete()
    assert new_key not in design.list_project_keys()


def test_a_key_that_exists_is_refused(design: dataikuapi.DSSClient, tiny: Project) -> None:
    with pytest.raises(DataikuException, match=f"project {tiny.key} already exists on node design"):
        design.create_project(tiny.key, "Again", "admin")


@pytest.mark.parametrize("key", ["../up", "a/b", "", ".hidden"])
def test_a_key_that_is_no_file_name_is_refused(design: dataikuapi.DSSClient, key: str) -> None:
    with pytest.raises(DataikuException, match="Invalid project key"):
        design.create_project(key, "Harmful", "admin")


def test_an_unknown_project_is_named_in_the_error(design: dataikuapi.DSSClient) -> None:
    with pytest.raises(DataikuException, match="project NOBODY does not exist on node design"):
        design.get_project("NOBODY").get_summary()


def test_metadata_are_read_and_changed(design: dataikuapi.DSSClient, tiny: Project) -> None:
    project = design.get_project(tiny.key)
    metadata = project.get_metadata()
    metadata.update(label="Another name", description="described", tags=["x", "y"])
    project.set_metadata(metadata)

    assert project.get_metadata() == metadata
    assert project.get_summary()["name"] == "Another name"


def test_standard_and_local_variables_are_apart(design: dataikuapi.DSSClient, tiny: Project) -> None:
    project = design.get_project(tiny.key)
    project.set_variables({"standard": {"a": 1, "b": {"c": True}}, "local": {"here": "only"}})
    project.update_variables({"a": 2})

    assert project.get_variables() == {"standard": {"a": 2, "b": {"c": True}}, "local": {"here": "only"}}


def test_resolved_variables_are_text_unless_types_are_asked_for(design: dataikuapi.DSSClient, tiny: Project) -> None:
    design.get_project(tiny.key).set_variables({"standard": {"n": 1, "t": "x"}, "local": {"n": 2}})

    # The client's own method needs the `dataiku` module, which exists inside of DSS only.
    path = f"/projects/{tiny.key}/variables-resolved"
    typed = design._perform_json("GET", path, params={"typed": "true"})
    assert (typed["n"], typed["t"], typed["projectKey"]) == (2, "x", tiny.key)
    assert design._perform_json("GET", path, params={"typed": "false"})["n"] == "2"


def test_settings_are_saved_as_the_client_gives_them(design: dataikuapi.DSSClient, tiny: Project) -> None:
    project = design.get_project(tiny.key)
    settings = project.get_settings()
    settings.set_python_code_env("py311")
    settings.add_exposed_object("DATASET", "people", "OTHER")
    settings.save()

    saved = project.get_settings().get_raw()
    assert saved["settings"]["codeEnvs"]["python"]["envName"] == "py311"
    assert saved["exposedObjects"]["objects"][0]["rules"] == [{"targetProject": "OTHER"}]


def test_permissions_and_tags_are_saved(design: dataikuapi.DSSClient, tiny: Project) -> None:
    project = design.get_project(tiny.key)
    permissions = project.get_permissions()
    permissions["permissions"].append({"group": "data-scientists", "readProjectContent": True})
    project.set_permissions(permissions)
    project.set_tags({"tags": {"urgent": {"color": "#ff0000"}}})

    assert project.get_permissions() == permissions
    assert project.get_tags() == {"tags": {"urgent": {"color": "#ff0000"}}}


def test_the_timeline_tells_what_was_changed(design: dataikuapi.DSSClient, tiny: Project) -> None:
    design.get_project(tiny.key).update_variables({"z": 1})

    timeline = design.get_project(tiny.key).get_timeline(item_count=1)
    assert [item["message"] for item in timeline["items"]] == ["Updated variables"]


@pytest.mark.parametrize("path", ["webapps", "models/lab"])
def test_what_is_not_supported_says_so_by_name(design: dataikuapi.DSSClient, tiny: Project, path: str) -> None:
    with pytest.raises(DataikuException, match=f"not supported by the sandbox: GET /projects/{tiny.key}/{path}"):
        design._perform_json("GET", f"/projects/{tiny.key}/{path}")


def test_damaged_settings_are_refused_with_a_reason(design: dataikuapi.DSSClient, tiny: Project) -> None:
    with pytest.raises(DataikuException, match="settings of a project need an object 'settings'"):
        design._perform_empty("PUT", f"/projects/{tiny.key}/settings", body={})
    with pytest.raises(DataikuException, match="variables need an object 'local'"):
        design._perform_empty("PUT", f"/projects/{tiny.key}/variables", body={"standard": {}})


def test_data_go_with_the_project_only_when_that_is_asked_for(
    design: dataikuapi.DSSClient, design_node: Node, tiny: Project
) -> None:
    design.get_project(tiny.key).delete()
    assert design_node.data_dir(tiny.key).is_dir()

    design.create_project(tiny.key, "Again", "admin")
    design.get_project(tiny.key).delete(clear_managed_datasets=True)
    assert not design_node.data_dir(tiny.key).exists()
