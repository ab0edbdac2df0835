"""One sandbox for all tests of the sandbox, on free ports, in a temporary folder."""

from __future__ import annotations

import itertools
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import dataikuapi
import pytest

from mlops_steps.sandbox.node.node import Node
from mlops_steps.sandbox.services.projects.model import Project, create
from mlops_steps.sandbox.site import Sandbox

_numbers = itertools.count(1)


def client_of(node: Node) -> dataikuapi.DSSClient:
    """The official client with the node's key."""
    return dataikuapi.DSSClient(node.url, node.api_key)


def write_tree(folder: Path, files: dict[str, Any]) -> None:
    """Writes files by relative path; what is not text becomes JSON."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")


def tiny_project_files() -> dict[str, Any]:
    """A project with one uploaded dataset, one recipe, one scenario and one model, as files of a bundle."""
    return {
        "project_config/variables.json": {"greeting": "hello"},
        "project_config/datasets/people.json": {"type": "UploadedFiles", "params": {}, "schema": {"columns": []}},
        "project_config/datasets/greeted.json": {
            "type": "Filesystem",
            "managed": True,
            "params": {"connection": "filesystem_managed", "path": "/greeted"},
            "schema": {"columns": []},
        },
        "project_config/recipes/greet.json": {
            "type": "python",
            "params": {"envSelection": {"envMode": "INHERIT"}},
            "inputs": {"main": {"items": [{"ref": "people"}]}},
            "outputs": {"main": {"items": [{"ref": "greeted"}]}},
        },
        "project_config/recipes/greet.py": "# greets people\n",
        "project_config/scenarios/TEST_GREET.json": {
            "type": "step_based",
            "name": "Greets",
            "active": True,
            "markedAsTest": True,
            "triggers": [],
            "params": {"steps": []},
        },
        "project_config/saved_models/model.json": {"name": "Model", "activeVersion": "v1"},
        "project_config/lib/python/greetings.py": "GREETING = 'hello'\n",
        "uploads/people/people.csv": "name\nAda\n",
    }


@pytest.fixture(scope="session")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    with Sandbox.open(tmp_path_factory.mktemp("sandbox") / "nodes") as running:
        yield running


@pytest.fixture(scope="session")
def design_node(sandbox: Sandbox) -> Node:
    return sandbox.nodes["design"]


@pytest.fixture(scope="session")
def test_node(sandbox: Sandbox) -> Node:
    return sandbox.nodes["auto-test"]


@pytest.fixture(scope="session")
def prod_node(sandbox: Sandbox) -> Node:
    return sandbox.nodes["auto-prod"]


@pytest.fixture
def design(design_node: Node) -> dataikuapi.DSSClient:
    return client_of(design_node)


@pytest.fixture
def auto_test(test_node: Node) -> dataikuapi.DSSClient:
    return client_of(test_node)


@pytest.fixture
def auto_prod(prod_node: Node) -> dataikuapi.DSSClient:
    return client_of(prod_node)


@pytest.fixture
def new_key() -> str:
    """A project key that no other test uses."""
    return f"TINY_{next(_numbers)}"


@pytest.fixture
def tiny(design_node: Node, new_key: str) -> Project:
    """A tiny project of its own on the Design node."""
    project = create(design_node, new_key, "Tiny project")
    write_tree(project.dir, tiny_project_files())
    write_tree(project.data_dir, {"saved_models/model/versions/v1/model.txt": "weights of v1\n"})
    params = project.params
    params["bundleExporterSettings"] = {"exportOptions": {"includedSavedModels": [{"id": "model", "name": "Model"}]}}
    project.save_params(params, "Content of the tiny project")
    return project


@pytest.fixture
def exported(design: dataikuapi.DSSClient, tmp_path: Path) -> Callable[[Project, str], Path]:
    """Exports a bundle with the official client and downloads it."""

    def export(project: Project, bundle_id: str) -> Path:
        handle = design.get_project(project.key)
        handle.export_bundle(bundle_id, release_notes=f"notes of {bundle_id}")
        path = tmp_path / f"{bundle_id}.zip"
        handle.download_exported_bundle_archive_to_file(bundle_id, str(path))
        return path

    return export


@pytest.fixture
def own_sandbox(tmp_path: Path) -> Iterator[Sandbox]:
    """A sandbox of the test's own, for tests that stop nodes or change their configuration."""
    with Sandbox.open(tmp_path / "own") as running:
        yield running
    shutil.rmtree(tmp_path / "own", ignore_errors=True)


@pytest.fixture(autouse=True)
def _no_fault_outlives_its_test(request: pytest.FixtureRequest) -> Iterator[None]:
    """The nodes are shared: what one test breaks must not meet another one."""
    yield
    if "sandbox" in request.fixturenames:
        running: Sandbox = request.getfixturevalue("sandbox")
        for node in running.nodes.values():
            node.faults.clear()
