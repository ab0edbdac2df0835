"""Projects that are exported to a file, imported from one, and duplicated."""

from __future__ import annotations

import json
import time
import zipfile
from pathlib import Path
from typing import Any

import dataikuapi
import pytest
from dataikuapi.utils import DataikuException

from mlops_steps.sandbox.services.projects.model import Project


@pytest.fixture
def export(design: dataikuapi.DSSClient, tiny: Project, tmp_path: Path) -> Path:
    path = tmp_path / "project.zip"
    options = {"exportUploads": True, "exportSavedModels": True, "exportGitRepository": True}
    design.get_project(tiny.key).export_to_file(str(path), options=options)
    return path


def imported(client: dataikuapi.DSSClient, path: Path, **settings: Any) -> dict[str, Any]:
    with path.open("rb") as file:
        answer: dict[str, Any] = client.prepare_project_import(file).execute(settings)
    return answer


def test_a_project_comes_back_from_its_export(design: dataikuapi.DSSClient, tiny: Project, export: Path) -> None:
    # The draft goes after the answer was sent.
    limit = time.monotonic() + 30
    while list(tiny.node.tmp_dir.glob("*.zip")):
        assert time.monotonic() < limit, "the exported file stays on the node"
        time.sleep(0.05)
    answer = imported(design, export, targetProjectKey=f"{tiny.key}_BACK")
    assert (answer["success"], answer["usedProjectKey"]) == (True, f"{tiny.key}_BACK")
    project = design.get_project(f"{tiny.key}_BACK")
    assert sorted(item.name for item in project.list_datasets()) == ["greeted", "people"]
    assert [version["id"] for version in project.get_saved_model("model").list_versions()] == ["v1"]
    assert project.get_recipe("greet").get_settings().get_code() == "# greets people\n"
    commits = [entry["commit"] for entry in project.get_project_git().log()["entries"]]
    assert tiny.git.head() in commits[1:]


def test_a_key_that_is_taken_is_a_failure_in_the_answer(
    design: dataikuapi.DSSClient, tiny: Project, export: Path
) -> None:
    answer = imported(design, export)
    assert answer["success"] is False
    assert f"project {tiny.key} already exists" in answer["messages"][0]["message"]


def test_connections_are_remapped(design: dataikuapi.DSSClient, tiny: Project, export: Path) -> None:
    remapping = {"connections": [{"source": "filesystem_managed", "target": "elsewhere"}]}
    answer = imported(design, export, targetProjectKey=f"{tiny.key}_MAP", remapping=remapping)
    assert answer["success"]
    assert "connection elsewhere" in answer["messages"][0]["message"]
    settings = design.get_project(f"{tiny.key}_MAP").get_dataset("greeted").get_settings()
    assert settings.get_raw_params()["connection"] == "elsewhere"


def test_an_import_is_prepared_before_it_is_executed(design: dataikuapi.DSSClient) -> None:
    with pytest.raises(DataikuException, match="project import nothing does not exist"):
        dataikuapi.dssclient.TemporaryImportHandle(design, "nothing").execute()


def test_git_settings_in_an_archive_run_nothing(
    design: dataikuapi.DSSClient, tiny: Project, export: Path, tmp_path: Path
) -> None:
    witness, hostile = tmp_path / "ran", tmp_path / "hostile.zip"
    with zipfile.ZipFile(export) as source, zipfile.ZipFile(hostile, "w") as target:
        for info in source.infolist():
            content = source.read(info)
            if info.filename == "project_config/.git/config":
                content = f'[core]\n\trepositoryformatversion = 0\n\tfsmonitor = "touch {witness}; false"\n'.encode()
            target.writestr(info.filename, content)
    assert imported(design, hostile, targetProjectKey=f"{tiny.key}_EVIL")["success"]
    design.get_project(f"{tiny.key}_EVIL").get_project_git().get_status()
    assert not witness.exists()


def test_an_automation_node_refuses_the_export_of_a_project(
    auto_test: dataikuapi.DSSClient, tiny: Project, export: Path
) -> None:
    with zipfile.ZipFile(export) as archive:
        assert "bundleId" not in json.loads(archive.read("export-manifest.json"))
    with (
        export.open("rb") as file,
        pytest.raises(DataikuException, match=f"is the export of project {tiny.key}, not a bundle"),
    ):
        auto_test.create_project_from_bundle_archive(file)
    assert tiny.key not in auto_test.list_project_keys()
    with export.open("rb") as file, pytest.raises(DataikuException, match="exists on a Design node only"):
        auto_test.prepare_project_import(file)


def test_a_duplicate_is_a_project_of_its_own(design: dataikuapi.DSSClient, tiny: Project) -> None:
    original = design.get_project(tiny.key)
    answer = original.duplicate(f"{tiny.key}_COPY", "The copy")
    assert answer["targetProjectKey"] == f"{tiny.key}_COPY"
    copy = design.get_project(f"{tiny.key}_COPY")
    assert copy.get_summary()["name"] == "The copy"
    copy.get_dataset("people").delete()
    assert [item.name for item in copy.list_datasets()] == ["greeted"]
    assert len(original.list_datasets()) == 2
    with pytest.raises(DataikuException, match="already exists"):
        original.duplicate(f"{tiny.key}_COPY", "Again")
