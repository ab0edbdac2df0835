"""The project's library through the official client."""

from __future__ import annotations

import dataikuapi
import pytest
import requests
from dataikuapi.dss.projectlibrary import DSSLibrary
from dataikuapi.utils import DataikuException

from mlops_steps.sandbox.node.node import Node
from mlops_steps.sandbox.services.projects.model import Project


@pytest.fixture
def library(design: dataikuapi.DSSClient, tiny: Project) -> DSSLibrary:
    return design.get_project(tiny.key).get_library()


def test_files_are_listed_and_read(library: DSSLibrary) -> None:
    assert [item.name for item in library.list("/python")] == ["greetings.py"]
    assert library.get_file("/python/greetings.py").read() == "GREETING = 'hello'\n"


def test_a_file_is_added_and_written(design: dataikuapi.DSSClient, tiny: Project, library: DSSLibrary) -> None:
    file = library.get_folder("/python").add_file("ünïcode name.py")
    file.write("TEXT = 'grüße'\n".encode())

    again = design.get_project(tiny.key).get_library()
    assert again.get_file("/python/ünïcode name.py").read() == "TEXT = 'grüße'\n"


def test_a_file_that_exists_is_not_added_again(library: DSSLibrary) -> None:
    with pytest.raises(DataikuException, match="already exists"):
        library.get_folder("/python").add_file("greetings.py")


def test_binary_files_are_read_as_bytes(library: DSSLibrary) -> None:
    content = bytes(range(256))
    library.add_file("data.bin").write(content)

    assert library.get_file("data.bin").read(as_type="bytes") == content
    with pytest.raises(DataikuException, match="is not text"):
        library.get_file("data.bin").read()


def test_items_are_renamed_moved_and_deleted(tiny: Project, library: DSSLibrary) -> None:
    folder = library.add_folder("python/tools")
    file = library.get_file("python/greetings.py")
    file.rename("welcome.py")
    file.move_to(folder)
    assert (tiny.library_dir / "python/tools/welcome.py").is_file()

    file.delete()
    assert not (tiny.library_dir / "python/tools/welcome.py").exists()


@pytest.mark.parametrize("path", ["..%2f..%2fparams.json", "python%2f..%2f..%2fparams.json", "%2e%2e%2fparams.json"])
def test_no_path_leaves_the_library(design_node: Node, tiny: Project, path: str) -> None:
    url = f"{design_node.url}/dip/publicapi/projects/{tiny.key}/libraries/contents/{path}"
    for method in ("GET", "DELETE", "POST"):
        answer = requests.request(method, url, auth=(design_node.api_key, ""), data=b"x", timeout=10)
        assert answer.status_code == 400
        assert "leaves its folder" in answer.json()["message"]
    assert tiny.params["name"] == "Tiny project"


def test_a_missing_file_is_named(design: dataikuapi.DSSClient, tiny: Project) -> None:
    with pytest.raises(DataikuException, match=r"python/none\.py does not exist"):
        design._perform_json("GET", f"/projects/{tiny.key}/libraries/contents/python/none.py")
