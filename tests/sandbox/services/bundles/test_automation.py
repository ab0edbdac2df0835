"""Bundles on an Automation node, with the official client."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dataikuapi
import pytest
from dataikuapi.utils import DataikuException

from mlops_steps.sandbox.node.node import Node
from mlops_steps.sandbox.node.store import read_json, write_json
from mlops_steps.sandbox.services.bundles import activation
from mlops_steps.sandbox.services.bundles.exchange import replace_folder
from mlops_steps.sandbox.services.projects.model import Project
from mlops_steps.sandbox.site import Sandbox

Export = Callable[[Project, str], Path]


def create(client: dataikuapi.DSSClient, archive: Path) -> None:
    with archive.open("rb") as file:
        client.create_project_from_bundle_archive(file)


def active(client: dataikuapi.DSSClient, key: str) -> Any:
    (project,) = (item for item in client.list_projects() if item["projectKey"] == key)
    return project.get("activeBundleState", {}).get("bundleId")


def look_alike(path: Path, key: str, bundle_id: str = "v9", **changes: Any) -> Path:
    """An archive as a real DSS makes it, with parts that the sandbox knows nothing of."""
    files: dict[str, Any] = {
        "export-manifest.json": {
            "exportUserInfo": {"exportedBy": "someone", "exportedOn": "2020-04-29T22:51:35.217+0200"},
            "exportedWithOptions": {"exportUploads": True, "somethingNew": {"a": 1}},
            "actualContent": {"includedDatasets": []},
            "originalProjectKey": key,
            "manifestVersion": 3,
            "generatedWithDSSVersion": "13.2.0",
            "requiredConnections": {"filesystem_managed": {"name": "filesystem_managed", "type": "Filesystem"}},
            "usedCodeEnvRefs": [],
        },
        "project_config/params.json": {"name": "Real", "owner": "someone", "settings": {}, "unknown": {"kept": True}},
        "project_config/.git/HEAD": "ref: refs/heads/master\n",
        "project_config/dashboards/ruBLzxY.json": {"pages": []},
        "project_config/insights/JmIsa8f.json": {"type": "chart"},
        "project_config/recipes/compute_join.json": {"type": "some_future_recipe", "params": {"x": [1]}},
        "project_config/recipes/compute_join.join": "{}",
        "project_config/datasets/sales.json": {"type": "Filesystem", "params": {"connection": "filesystem_managed"}},
        "project_config/version-tags.json": {"v": 1},
        "analysis-data/abc/def/sessions/s1/mltask.json": {"taskType": "PREDICTION"},
        "changelog.json": {"diffEntries": [], "logEntries": []},
        "timelines/timeline.txt": "",
        "uploads/sales/sales.csv": "a\n1\n",
        **changes,
    }
    archive_path = path / f"{bundle_id}.zip"
    with zipfile.ZipFile(archive_path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            if content is not None:
                archive.writestr(name, content if isinstance(content, str) else json.dumps(content))
    return archive_path


def test_a_project_is_created_from_a_bundle_and_has_no_active_one_yet(
    auto_test: dataikuapi.DSSClient, tiny: Project, exported: Export
) -> None:
    create(auto_test, exported(tiny, "v1"))
    assert tiny.key in auto_test.list_project_keys()
    assert active(auto_test, tiny.key) is None
    (item,) = auto_test.get_project(tiny.key).list_imported_bundles()["bundles"]
    assert item["bundleId"] == "v1"


def test_a_project_is_created_from_an_archive_on_the_node(
    auto_test: dataikuapi.DSSClient, tiny: Project, exported: Export
) -> None:
    archive = exported(tiny, "v1")
    auto_test.create_project_from_bundle_local_archive(str(archive))
    assert archive.is_file(), "the archive belongs to the caller and stays"
    assert tiny.key in auto_test.list_project_keys()


def test_a_project_that_exists_is_not_created_again(
    auto_test: dataikuapi.DSSClient, tiny: Project, exported: Export
) -> None:
    archive = exported(tiny, "v1")
    create(auto_test, archive)
    with pytest.raises(DataikuException, match=f"project {tiny.key} already exists"):
        create(auto_test, archive)


def test_bundles_are_imported_by_stream_and_from_a_path_in_order(
    auto_test: dataikuapi.DSSClient, tiny: Project, exported: Export
) -> None:
    create(auto_test, exported(tiny, "v2"))
    project = auto_test.get_project(tiny.key)
    with exported(tiny, "v1").open("rb") as file:
        project.import_bundle_from_stream(file)
    project.import_bundle_from_archive(str(exported(tiny, "v3")))
    assert [item["bundleId"] for item in project.list_imported_bundles()["bundles"]] == ["v2", "v1", "v3"]
    with pytest.raises(DataikuException, match="bundle v3 already exists"):
        project.import_bundle_from_archive(str(tiny.node.bundles_dir(tiny.key) / "v3.zip"))


def test_activation_brings_configuration_uploads_and_models(
    auto_test: dataikuapi.DSSClient, test_node: Node, tiny: Project, exported: Export
) -> None:
    create(auto_test, exported(tiny, "v1"))
    project = auto_test.get_project(tiny.key)
    assert project.preload_bundle("v1")["error"] is False
    report = project.activate_bundle("v1")
    assert report["messages"] == []
    assert active(auto_test, tiny.key) == "v1"
    deployed = Project.load(test_node, tiny.key)
    assert (deployed.uploads_dir / "people" / "people.csv").read_text() == "name\nAda\n"
    assert (deployed.config_dir / "recipes" / "greet.py").read_text() == "# greets people\n"
    assert (deployed.data_dir / "saved_models/model/versions/v1/model.txt").read_text() == "weights of v1\n"
    assert project.get_variables()["standard"] == {"greeting": "hello"}


def test_a_second_activation_replaces_everything_that_travels_and_keeps_what_is_the_nodes(
    auto_test: dataikuapi.DSSClient, test_node: Node, tiny: Project, exported: Export
) -> None:
    create(auto_test, exported(tiny, "v1"))
    project = auto_test.get_project(tiny.key)
    project.activate_bundle("v1")
    project.set_variables({"standard": {"greeting": "changed on the node"}, "local": {"region": "eu"}})
    deployed = Project.load(test_node, tiny.key)
    kept = deployed.data_dir / "managed_datasets/greeted/out.csv"
    kept.parent.mkdir(parents=True)
    kept.write_text("data of the node")
    (tiny.config_dir / "recipes" / "greet.json").unlink()
    (tiny.config_dir / "recipes" / "greet.py").unlink()
    (tiny.uploads_dir / "people" / "people.csv").write_text("name\nGrace\n")
    with exported(tiny, "v2").open("rb") as file:
        project.import_bundle_from_stream(file)
    project.activate_bundle("v2")
    assert active(auto_test, tiny.key) == "v2"
    assert project.get_variables() == {"standard": {"greeting": "hello"}, "local": {"region": "eu"}}
    assert not (deployed.config_dir / "recipes" / "greet.py").exists()
    assert (deployed.uploads_dir / "people" / "people.csv").read_text() == "name\nGrace\n"
    assert kept.read_text() == "data of the node"
    project.activate_bundle("v1")
    assert (deployed.config_dir / "recipes" / "greet.py").exists()
    assert (deployed.uploads_dir / "people" / "people.csv").read_text() == "name\nAda\n"


def test_a_model_that_does_not_travel_keeps_the_version_of_the_node(
    auto_test: dataikuapi.DSSClient, test_node: Node, tiny: Project, exported: Export
) -> None:
    create(auto_test, exported(tiny, "v1"))
    project = auto_test.get_project(tiny.key)
    project.activate_bundle("v1")
    deployed = Project.load(test_node, tiny.key)
    model = deployed.config_dir / "saved_models" / "model.json"
    write_json(model, {**read_json(model), "activeVersion": "trained-here"})
    params = tiny.params
    params["bundleExporterSettings"] = {"exportOptions": {"includedSavedModels": []}}
    tiny.save_params(params, "The model stays at home")
    project.import_bundle_from_archive(str(exported(tiny, "v2")))
    project.activate_bundle("v2")
    assert read_json(model)["activeVersion"] == "trained-here"


def test_scenarios_are_inactive_first_and_then_as_they_were_or_as_asked(
    auto_test: dataikuapi.DSSClient, test_node: Node, tiny: Project, exported: Export
) -> None:
    def scenario_is_active() -> bool:
        return bool(read_json(test_node.project_dir(tiny.key) / "project_config/scenarios/TEST_GREET.json")["active"])

    create(auto_test, exported(tiny, "v1"))
    project = auto_test.get_project(tiny.key)
    project.activate_bundle("v1")
    assert scenario_is_active() is False
    project.activate_bundle("v1", {"TEST_GREET": True})
    assert scenario_is_active() is True
    project.activate_bundle("v1")
    assert scenario_is_active() is True
    report = project.activate_bundle("v1", {"TEST_GREET": False, "NO_SUCH": True})
    assert scenario_is_active() is False
    assert "NO_SUCH" in report["messages"][0]["message"]


@pytest.mark.parametrize(
    ("definition", "named"),
    [
        (
            {"project_config/datasets/far.json": {"type": "PostgreSQL", "params": {"connection": "warehouse"}}},
            "connection warehouse (dataset far)",
        ),
        (
            {
                "project_config/recipes/greet.json": {
                    "type": "python",
                    "params": {"envSelection": {"envMode": "EXPLICIT_ENV", "envName": "py39"}},
                }
            },
            "code environment py39 (recipe greet)",
        ),
        (
            {"project_config/datasets/shapes.json": {"type": "fsprovider_geo_shapes", "params": {}}},
            "plugin geo (dataset shapes)",
        ),
    ],
)
def test_activation_fails_by_name_when_the_node_lacks_something_and_the_old_bundle_stays(
    auto_test: dataikuapi.DSSClient, tmp_path: Path, new_key: str, definition: dict[str, Any], named: str
) -> None:
    create(auto_test, look_alike(tmp_path, new_key, "v1"))
    project = auto_test.get_project(new_key)
    project.activate_bundle("v1")
    project.import_bundle_from_archive(str(look_alike(tmp_path, new_key, "v2", **definition)))
    assert named in project.preload_bundle("v2")["messages"][0]["message"]
    with pytest.raises(DataikuException) as failure:
        project.activate_bundle("v2")
    assert named in str(failure.value)
    assert "Bundle v1 stays active" in str(failure.value)
    assert active(auto_test, new_key) == "v1"


def test_a_remapping_of_the_node_satisfies_a_missing_connection(
    auto_test: dataikuapi.DSSClient, test_node: Node, tmp_path: Path, new_key: str
) -> None:
    far = {"type": "Filesystem", "managed": True, "params": {"connection": "elsewhere"}}
    create(auto_test, look_alike(tmp_path, new_key, "v1", **{"project_config/datasets/far.json": far}))
    project = auto_test.get_project(new_key)
    settings = project.get_settings()
    settings.get_raw()["bundleContainerSettings"] = {
        "remapping": {"connections": [{"source": "elsewhere", "target": "filesystem_managed"}], "codeEnvs": []}
    }
    settings.save()
    project.activate_bundle("v1")
    dataset = read_json(test_node.project_dir(new_key) / "project_config/datasets/far.json")
    assert dataset["params"]["connection"] == "filesystem_managed"
    assert "bundleContainerSettings" in project.get_settings().get_raw()


def test_the_unknown_parts_of_a_bundle_of_a_real_dss_are_kept(
    auto_test: dataikuapi.DSSClient, test_node: Node, tmp_path: Path, new_key: str
) -> None:
    archive = look_alike(tmp_path, new_key)
    create(auto_test, archive)
    auto_test.get_project(new_key).activate_bundle("v9")
    place = test_node.project_dir(new_key)
    with zipfile.ZipFile(archive) as source:
        for name in source.namelist():
            if name != "project_config/params.json":
                assert (place / name).read_bytes() == source.read(name), name
    assert read_json(place / "project_config/params.json")["unknown"] == {"kept": True}
    assert active(auto_test, new_key) == "v9"


@pytest.mark.parametrize("name", ["v9.zip", "dss-bundle-{key}-v9.zip"])
def test_the_id_of_a_bundle_without_one_is_the_name_of_its_file(
    auto_test: dataikuapi.DSSClient, tmp_path: Path, new_key: str, name: str
) -> None:
    path = tmp_path / name.format(key=new_key)
    look_alike(tmp_path, new_key).rename(path)
    create(auto_test, path)
    (item,) = auto_test.get_project(new_key).list_imported_bundles()["bundles"]
    assert item["bundleId"] == "v9"


def test_the_active_bundle_is_not_deleted_and_another_one_is(
    auto_test: dataikuapi.DSSClient, tiny: Project, exported: Export
) -> None:
    create(auto_test, exported(tiny, "v1"))
    project = auto_test.get_project(tiny.key)
    project.activate_bundle("v1")
    with pytest.raises(DataikuException, match="bundle v1 is active"):
        project.delete_imported_bundle("v1")
    project.import_bundle_from_archive(str(exported(tiny, "v2")))
    project.delete_imported_bundle("v2")
    assert [item["bundleId"] for item in project.list_imported_bundles()["bundles"]] == ["v1"]
    with pytest.raises(DataikuException, match="bundle v2 does not exist"):
        project.activate_bundle("v2")


def test_an_archive_that_is_not_there_is_refused(auto_test: dataikuapi.DSSClient, tmp_path: Path) -> None:
    with pytest.raises(DataikuException, match="There is no bundle archive at"):
        auto_test.create_project_from_bundle_local_archive(str(tmp_path / "nothing.zip"))


def test_bundles_can_not_be_imported_on_a_design_node(design: dataikuapi.DSSClient, tiny: Project) -> None:
    with pytest.raises(DataikuException, match="on an Automation node only"):
        design.get_project(tiny.key).list_imported_bundles()


def test_a_failure_in_the_middle_of_an_activation_leaves_the_old_bundle(
    auto_test: dataikuapi.DSSClient,
    test_node: Node,
    tiny: Project,
    exported: Export,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    create(auto_test, exported(tiny, "v1"))
    project = auto_test.get_project(tiny.key)
    project.activate_bundle("v1")
    (tiny.config_dir / "recipes" / "greet.py").write_text("# version 2\n")
    project.import_bundle_from_archive(str(exported(tiny, "v2")))

    def broken(*_: Any) -> None:
        raise OSError("the disk is gone")

    with monkeypatch.context() as patch:
        patch.setattr(activation, "replace_folder", broken)
        with pytest.raises(DataikuException, match="the disk is gone"):
            project.activate_bundle("v2")
    assert active(auto_test, tiny.key) == "v1"
    assert (test_node.project_dir(tiny.key) / "project_config/recipes/greet.py").read_text() == "# greets people\n"
    assert not any(test_node.tmp_dir.iterdir())
    project.activate_bundle("v2")
    assert active(auto_test, tiny.key) == "v2"


@pytest.mark.parametrize("exchangeable", [True, False])
def test_a_folder_is_replaced_with_and_without_the_help_of_the_system(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, exchangeable: bool
) -> None:
    if not exchangeable:
        monkeypatch.setattr("mlops_steps.sandbox.services.bundles.exchange.ctypes.CDLL", lambda *_a, **_k: object())
    for name in ("new", "place"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "what").write_text(name)
    replace_folder(tmp_path / "new", tmp_path / "place", tmp_path / "backup")
    assert (tmp_path / "place" / "what").read_text() == "new"
    assert (tmp_path / "backup" / "what").read_text() == "place"
    assert not (tmp_path / "new").exists()


def test_a_crash_between_two_renames_is_mended_when_the_node_starts(own_sandbox: Sandbox, tmp_path: Path) -> None:
    node = own_sandbox.nodes["auto-test"]
    client = dataikuapi.DSSClient(node.url, node.api_key)
    create(client, look_alike(tmp_path, "CRASHED", "v1"))
    client.get_project("CRASHED").activate_bundle("v1")
    own_sandbox.stop_node("auto-test")
    node.project_dir("CRASHED").rename(node.tmp_dir / "replaced-CRASHED")
    (node.tmp_dir / "staged-x").mkdir()
    own_sandbox.start_node("auto-test")
    client = dataikuapi.DSSClient(node.url, node.api_key)
    assert active(client, "CRASHED") == "v1"
    assert not any(node.tmp_dir.iterdir())


def test_nobody_sees_a_project_without_its_bundle_while_another_one_is_activated(
    auto_test: dataikuapi.DSSClient, test_node: Node, tmp_path: Path, new_key: str
) -> None:
    create(auto_test, look_alike(tmp_path, new_key, "v1"))
    project = auto_test.get_project(new_key)
    project.activate_bundle("v1")
    project.import_bundle_from_archive(str(look_alike(tmp_path, new_key, "v2")))
    seen: set[Any] = set()
    over = threading.Event()

    def watch() -> None:
        watcher = dataikuapi.DSSClient(test_node.url, test_node.api_key)
        while not over.is_set():
            state = [item.get("activeBundleState") for item in watcher.list_projects() if item["projectKey"] == new_key]
            seen.add(state[0]["bundleId"] if state and state[0] else None)

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        for number in range(15):
            project.activate_bundle("v2" if number % 2 == 0 else "v1")
    finally:
        over.set()
        thread.join()
    assert seen <= {"v1", "v2"}


ACTIVATE_FOR_EVER = """
import itertools, sys
from pathlib import Path
from mlops_steps.sandbox.services.bundles.activation import activate
from mlops_steps.sandbox.site import Sandbox
node = Sandbox.open(Path(sys.argv[1])).nodes["auto-test"]
for number in itertools.count():
    activate(node, "KILLED", "v1" if number % 2 else "v2", {}, "admin")
    print(number, flush=True)
"""


def test_a_node_that_is_killed_while_it_activates_has_one_bundle_or_the_other(tmp_path: Path) -> None:
    versions = {
        name: {f"project_config/recipes/r{number}.py": f"# {name}\n" for number in range(40)} for name in ("v1", "v2")
    }
    with Sandbox.open(tmp_path / "s") as running:
        node = running.nodes["auto-test"]
        client = dataikuapi.DSSClient(node.url, node.api_key)
        create(client, look_alike(tmp_path, "KILLED", "v1", **versions["v1"]))
        project = client.get_project("KILLED")
        project.import_bundle_from_archive(str(look_alike(tmp_path, "KILLED", "v2", **versions["v2"])))
        project.activate_bundle("v1")
    for kill_after in (1, 4, 6):
        command = [sys.executable, "-c", ACTIVATE_FOR_EVER, str(tmp_path / "s")]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            for _ in range(kill_after):
                assert process.stdout.readline()
            process.kill()
        with Sandbox.open(tmp_path / "s") as again:
            node = again.nodes["auto-test"]
            bundle = active(dataikuapi.DSSClient(node.url, node.api_key), "KILLED")
            recipes = (node.project_dir("KILLED") / "project_config/recipes").glob("r*.py")
            assert {path.read_text() for path in recipes} == {f"# {bundle}\n"}
            assert not any(node.tmp_dir.iterdir())
