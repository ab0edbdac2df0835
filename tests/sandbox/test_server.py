"""The sandbox as a whole: its folder, its keys, its ports."""

from __future__ import annotations

import json
import socket
import stat
import threading
from pathlib import Path

import dataikuapi
import pytest
import requests

from mlops_steps.config import load
from mlops_steps.errors import ConfigError
from mlops_steps.sandbox.node.errors import DssError
from mlops_steps.sandbox.node.store import read_json, safe_name, write_json
from mlops_steps.sandbox.site import Sandbox


def test_the_environment_names_every_node_with_its_key(sandbox: Sandbox) -> None:
    environment = sandbox.environment("MINE")
    assert environment["MLOPS_PROJECT"] == "MINE"
    for name, node_id in (("DESIGN", "design"), ("TEST", "auto-test"), ("PROD", "auto-prod")):
        client = dataikuapi.DSSClient(environment[f"MLOPS_{name}_URL"], environment[f"MLOPS_{name}_API_KEY"])
        assert client.get_instance_info().node_id == node_id
    assert (environment["MLOPS_TEST_INFRA"], environment["MLOPS_PROD_INFRA"]) == ("auto-test", "auto-prod")


def test_the_environment_names_the_api_nodes_with_their_infrastructures(sandbox: Sandbox) -> None:
    environment = sandbox.environment("MINE")
    for infra in ("API_DEV", "API_PROD"):
        for number in (1, 2):
            prefix = f"MLOPS_{infra}_{number}"
            admin = dataikuapi.APINodeAdminClient(environment[f"{prefix}_URL"], environment[f"{prefix}_API_KEY"])
            assert isinstance(admin.list_services(), list)
            assert environment[f"{prefix}_API_INFRA"] == infra.lower().replace("_", "-")
            assert f"{prefix}_INFRA" not in environment


def test_api_nodes_are_no_stages_of_a_pipeline(sandbox: Sandbox, tmp_path: Path) -> None:
    (tmp_path / "mlops.yml").write_text("")
    settings = load(tmp_path / "mlops.yml", sandbox.environment())
    assert [stage.name for stage in settings.stages()] == ["test", "prod"]


def test_a_sandbox_from_before_there_were_api_nodes_gets_them(tmp_path: Path) -> None:
    with Sandbox.open(tmp_path / "s") as first:
        before = first.environment()
    state = json.loads((tmp_path / "s" / "sandbox.json").read_text())
    state["nodes"] = {name: entry for name, entry in state["nodes"].items() if entry["type"] != "API"}
    (tmp_path / "s" / "sandbox.json").write_text(json.dumps(state))
    with Sandbox.open(tmp_path / "s") as second:
        after = second.environment()
        assert set(after) == set(before)
        assert after["MLOPS_PROD_API_KEY"] == before["MLOPS_PROD_API_KEY"]
        assert requests.get(f"{after['MLOPS_API_PROD_2_URL']}/isAlive/", timeout=10).status_code == 200


def test_every_node_has_a_key_of_its_own_that_others_can_not_read(sandbox: Sandbox) -> None:
    assert len({node.api_key for node in sandbox.nodes.values()}) == len(sandbox.nodes) == 7
    assert stat.S_IMODE((sandbox.dir / "sandbox.json").stat().st_mode) == 0o600
    assert stat.S_IMODE(sandbox.nodes["design"].dir.stat().st_mode) == 0o700


def test_nodes_listen_on_loopback_only(sandbox: Sandbox) -> None:
    port = int(sandbox.nodes["design"].url.rpartition(":")[2])
    with socket.socket() as probe:
        probe.bind(("127.0.0.2", port))  # would be taken if the node listened on all addresses


def test_ports_and_keys_survive_a_restart(tmp_path: Path) -> None:
    with Sandbox.open(tmp_path / "s") as first:
        before = first.environment()
    with Sandbox.open(tmp_path / "s") as second:
        assert second.environment() == before


def test_a_port_that_was_taken_meanwhile_is_replaced(tmp_path: Path) -> None:
    with Sandbox.open(tmp_path / "s") as first:
        port = int(first.nodes["design"].url.rpartition(":")[2])
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", port))
        taken.listen()
        with Sandbox.open(tmp_path / "s") as second:
            assert second.nodes["design"].url != f"http://127.0.0.1:{port}"
            assert requests.get(second.nodes["design"].url, timeout=10).status_code == 401


def test_two_sandboxes_do_not_share_a_folder(tmp_path: Path) -> None:
    with Sandbox.open(tmp_path / "s"), pytest.raises(ConfigError, match="Another sandbox runs"):
        Sandbox.open(tmp_path / "s")


def test_a_folder_with_something_else_in_it_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("keep me")
    with pytest.raises(ConfigError, match="not empty"):
        Sandbox.open(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["precious"]


@pytest.mark.parametrize(
    ("content", "said"), [("{", "is damaged"), ('{"version": 2}', "another version"), ("[]", "another version")]
)
def test_a_damaged_or_foreign_state_is_named_and_left_alone(tmp_path: Path, content: str, said: str) -> None:
    (tmp_path / "sandbox.json").write_text(content)
    for _ in range(2):
        with pytest.raises(ConfigError, match=said):
            Sandbox.open(tmp_path)
    assert (tmp_path / "sandbox.json").read_text() == content


def test_a_folder_that_can_not_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="can't be used for a sandbox: Not a directory"):
        Sandbox.open(tmp_path / "file" / "s")


def test_a_stopped_sandbox_leaves_no_thread_and_no_port_behind(tmp_path: Path) -> None:
    before = [thread for thread in threading.enumerate() if thread.name.startswith("node-")]
    with Sandbox.open(tmp_path / "s") as running:
        url = running.nodes["design"].url
        assert requests.get(url, timeout=10).status_code == 401
    assert [thread for thread in threading.enumerate() if thread.name.startswith("node-")] == before
    with pytest.raises(requests.ConnectionError):
        requests.get(url, timeout=10)


def test_a_document_is_replaced_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    write_json(path, {"old": 1})
    with pytest.raises(TypeError):
        write_json(path, {"new": object()})
    assert json.loads(path.read_text()) == {"old": 1}
    assert [found.name for found in tmp_path.iterdir()] == ["a.json"]


def test_a_damaged_document_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("{")
    with pytest.raises(DssError, match=r"a\.json of the sandbox is damaged"):
        read_json(tmp_path / "a.json")
    assert read_json(tmp_path / "none.json", "default") == "default"


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "a\\b", "a b", "-a", ".a", "a\n", "a" * 129, "ä"])
def test_a_name_that_can_not_be_a_file_is_refused(name: str) -> None:
    with pytest.raises(DssError, match="Invalid thing"):
        safe_name(name, "thing")


@pytest.mark.parametrize("name", ["a", "A_1", "v1.2-3", "42-9f3ac1d", "a" * 128])
def test_a_usual_name_is_accepted(name: str) -> None:
    assert safe_name(name, "thing") == name
