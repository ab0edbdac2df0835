"""The administration of an API node, by the official client."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import dataikuapi
import pytest
import requests
from dataikuapi.utils import DataikuException

from mlops_steps.sandbox.node.node import Node
from mlops_steps.sandbox.services.projects.model import Project
from mlops_steps.sandbox.site import Sandbox
from tests.sandbox.api_service import RECORD, put_model, put_service


@pytest.fixture
def api_node(sandbox: Sandbox) -> Node:
    return sandbox.nodes["api-dev-2"]


@pytest.fixture
def admin(api_node: Node) -> dataikuapi.APINodeAdminClient:
    return dataikuapi.APINodeAdminClient(api_node.url, api_node.api_key)


@pytest.fixture
def archives(design: dataikuapi.DSSClient, tiny: Project, tmp_path: Path) -> list[Path]:
    """Packages v1 and v2 of one service."""
    service, paths = put_service(design, tiny), []
    for number in (1, 2):
        put_model(tiny, f"m{number}", weight=number)
        service.create_package(f"v{number}")
        paths.append(tmp_path / f"v{number}.zip")
        service.download_package_to_file(f"v{number}", str(paths[-1]))
    return paths


@pytest.fixture
def service(admin: dataikuapi.APINodeAdminClient, tiny: Project) -> Iterator[str]:
    service_id = tiny.key.lower()
    admin.create_service(service_id)
    yield service_id
    if service_id in [item["serviceId"] for item in admin.list_services()]:
        admin.service(service_id).delete()


def test_services_are_created_listed_and_deleted(admin: dataikuapi.APINodeAdminClient, service: str) -> None:
    assert {"serviceId": service, "enabled": False} in admin.list_services()
    with pytest.raises(DataikuException, match="already exists"):
        admin.create_service(service)
    admin.service(service).delete()
    assert service not in str(admin.list_services())
    with pytest.raises(DataikuException, match="does not exist"):
        admin.service(service).delete()


def test_generations_are_imported_and_switched(
    admin: dataikuapi.APINodeAdminClient, api_node: Node, service: str, archives: list[Path]
) -> None:
    handle = admin.service(service)
    client = dataikuapi.APINodeClient(api_node.url, service)
    for archive in archives:
        handle.import_generation_from_archive(str(archive))
    assert [item["generation"] for item in handle.list_generations()] == ["v2", "v1"]
    with pytest.raises(DataikuException, match="is not enabled"):
        client.predict_record("score", RECORD)
    handle.switch_to_newest()
    assert client.predict_record("score", RECORD)["apiContext"]["serviceGeneration"] == "v2"
    handle.switch_to_single_generation("v1")
    assert client.predict_record("score", RECORD)["apiContext"]["serviceGeneration"] == "v1"
    handle.disable()
    with pytest.raises(DataikuException, match="is not enabled"):
        client.predict_record("score", RECORD)
    handle.enable()
    assert client.predict_record("score", RECORD)["apiContext"]["serviceGeneration"] == "v1"


def test_a_mapping_as_the_documentation_has_it(
    admin: dataikuapi.APINodeAdminClient, service: str, archives: list[Path]
) -> None:
    handle = admin.service(service)
    for archive in archives:
        handle.import_generation_from_archive(str(archive))
    entries = [{"generation": "v1", "proba": 0.25}, {"generation": "v2", "proba": 0.75}]
    handle.set_generations_mapping({"entries": entries})
    assert {item["generation"]: item["proba"] for item in handle.list_generations()} == {"v1": 0.25, "v2": 0.75}
    for wrong, said in (
        ({"entries": [{"generation": "v1", "proba": 0.5}]}, "add up to 0.5"),
        ({"entries": [{"generation": "v1", "proba": 0.5}, {"generation": "v3", "proba": 0.5}]}, "no generation v3"),
        ({"entries": [{"generation": "v1", "proba": 0.5}, {"generation": "v1", "proba": 0.5}]}, "twice"),
        ({"entries": [{"generation": "v1", "proba": 1.5}, {"generation": "v2", "proba": -0.5}]}, "from 0 to 1"),
        ({"entries": []}, "needs entries"),
        ({"mode": "SINGLE_GENERATION"}, "needs a generation"),
        ({"mode": "SOME"}, "Unknown mode"),
        ({"entries": entries, "strategy": "MOON"}, "Unknown strategy"),
    ):
        with pytest.raises(DataikuException, match=said):
            handle.set_generations_mapping(wrong)
    assert {item["generation"]: item["proba"] for item in handle.list_generations()} == {"v1": 0.25, "v2": 0.75}


def test_preloading_says_what_can_not_be_loaded(
    admin: dataikuapi.APINodeAdminClient, design: dataikuapi.DSSClient, service: str, tiny: Project, tmp_path: Path
) -> None:
    put_model(tiny, "m1")
    code = "import no_such_module\ndef api_py_function(): return 1\n"
    maker = put_service(design, tiny, endpoints=[{"id": "e", "type": "PY_FUNCTION", "code": code}])
    maker.create_package("bad")
    maker.download_package_to_file("bad", str(tmp_path / "bad.zip"))
    handle = admin.service(service)
    handle.import_generation_from_archive(str(tmp_path / "bad.zip"))
    with pytest.raises(DataikuException, match="bad can't be loaded: ModuleNotFoundError"):
        handle.preload_generation("bad")
    with pytest.raises(DataikuException, match="no generation none"):
        handle.preload_generation("none")


def test_an_archive_that_is_none_is_refused(
    admin: dataikuapi.APINodeAdminClient, service: str, archives: list[Path], tmp_path: Path
) -> None:
    (tmp_path / "half.zip").write_bytes(archives[0].read_bytes()[: archives[0].stat().st_size // 2])
    for path, said in ((tmp_path / "half.zip", "damaged"), (tmp_path / "none.zip", "no package archive")):
        with pytest.raises(DataikuException, match=said):
            admin.service(service).import_generation_from_archive(str(path))
    assert admin.service(service).list_generations() == []


def test_what_is_not_used_is_cleaned(
    admin: dataikuapi.APINodeAdminClient, service: str, archives: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    handle = admin.service(service)
    for archive in archives:
        handle.import_generation_from_archive(str(archive))
    handle.switch_to_single_generation("v1")
    admin.clean_unused_services_and_generations()
    assert [item["generation"] for item in handle.list_generations()] == ["v1"]
    assert f'"serviceId": "{service}"' in capsys.readouterr().out


def test_metrics_tell_which_generation_answered_how_many_calls(
    admin: dataikuapi.APINodeAdminClient, api_node: Node, service: str, archives: list[Path]
) -> None:
    handle = admin.service(service)
    handle.import_generation_from_archive(str(archives[0]))
    handle.switch_to_newest()
    client = dataikuapi.APINodeClient(api_node.url, service)
    for _ in range(3):
        client.predict_record("score", RECORD)
    client.predict_records("score", [{"features": RECORD}, {"features": {}}])
    found = admin.get_metrics()["services"][service]["endpoints"]["score"]["generations"]["v1"]
    assert {name: found[name] for name in ("calls", "errors", "records", "ignoredRecords", "forcedCalls")} == {
        "calls": 4,
        "errors": 0,
        "records": 5,
        "ignoredRecords": 1,
        "forcedCalls": 0,
    }
    assert 0 < found["responseTimeMs"]["p50"] <= found["responseTimeMs"]["p99"]


def test_keys_of_the_administration(admin: dataikuapi.APINodeAdminClient, api_node: Node) -> None:
    auth = admin.auth()
    added = auth.add_key(label="ci", description="of a test")
    assert added["label"] == "ci"
    assert added["key"] not in str(auth.list_keys())
    other = dataikuapi.APINodeAdminClient(api_node.url, added["key"])
    assert isinstance(other.list_services(), list)
    auth.delete_key(added["key"])
    with pytest.raises(DataikuException, match="API key"):
        other.list_services()
    second = auth.add_key()
    auth.delete_key_by_id(second["id"])
    assert second["id"] not in str(auth.list_keys())


def test_nobody_gets_in_without_a_key(api_node: Node) -> None:
    for path in ("/admin/api/services", "/admin/api/metrics", "/sandbox/faults", "/elsewhere"):
        assert requests.get(api_node.url + path, timeout=20).status_code == 401
    assert requests.get(api_node.url + "/isAlive/", timeout=20).json()["alive"] is True


def test_what_the_sandbox_can_not_do_is_named(admin: dataikuapi.APINodeAdminClient) -> None:
    admin.clear_model_cache()
    admin.clean_code_env_cache()
    for call in (
        lambda: admin.import_model_archive_in_cache("/tmp/m"),
        lambda: admin.import_code_env_in_cache("/tmp/e", "python"),
        lambda: admin.register_code_env_in_cache("/tmp/e", "/tmp/b", "python"),
    ):
        with pytest.raises(DataikuException, match="not supported by the sandbox"):
            call()
