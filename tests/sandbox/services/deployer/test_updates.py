"""Updates of deployments and the health that follows, with the official client and real nodes."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import dataikuapi
import pytest
from dataikuapi.utils import DataikuException

from mlops_steps.sandbox.node.node import Node
from mlops_steps.sandbox.node.store import read_json, write_json
from mlops_steps.sandbox.services.deployer import updates as updates_module
from mlops_steps.sandbox.services.deployer.remote import AutomationNode
from mlops_steps.sandbox.services.projects.model import Project, create
from mlops_steps.sandbox.site import Sandbox


def release(design: dataikuapi.DSSClient, project: Project, bundle_id: str) -> None:
    handle = design.get_project(project.key)
    handle.export_bundle(bundle_id)
    handle.publish_bundle(bundle_id)


def update(deployment: Any, bundle_id: str | None = None, **settings: Any) -> dict[str, Any]:
    if bundle_id is not None or settings:
        handle = deployment.get_settings()
        handle.get_raw().update(settings)
        if bundle_id is not None:
            handle.bundle_id = bundle_id
        handle.save()
    result: dict[str, Any] = deployment.start_update().wait_for_result()
    return result


def health(deployment: Any) -> str:
    return str(deployment.get_status().get_health())


def texts(deployment: Any) -> str:
    return json.dumps(deployment.get_status().get_health_messages()["messages"])


def active(client: dataikuapi.DSSClient, key: str) -> Any:
    (project,) = (item for item in client.list_projects() if item["projectKey"] == key)
    return project.get("activeBundleState", {}).get("bundleId")


@pytest.fixture
def deployment(design: dataikuapi.DSSClient, tiny: Project) -> Any:
    """A deployment of bundle v1 on auto-test, which was not updated yet; bundle v2 is published too."""
    release(design, tiny, "v1")
    (tiny.config_dir / "recipes" / "greet.py").write_text("# version 2\n")
    release(design, tiny, "v2")
    return design.get_projectdeployer().create_deployment(f"d-{tiny.key}", tiny.key, "auto-test", "v1")


def test_the_first_update_creates_the_project_and_makes_the_deployment_healthy(
    deployment: Any, auto_test: dataikuapi.DSSClient, tiny: Project
) -> None:
    result = update(deployment)
    assert result["status"] == "SUCCESS"
    assert result["infoMessages"]["messages"] == []
    assert active(auto_test, tiny.key) == "v1"
    assert health(deployment) == "HEALTHY"
    status = deployment.get_status()
    assert status.get_health_messages()["messages"] == []
    assert status.get_light()["neverEverDeployed"] is False
    assert status.get_heavy()["monitoring"]["hasScenarios"] is True


def test_an_update_to_another_bundle_and_back(
    deployment: Any, auto_test: dataikuapi.DSSClient, test_node: Node, tiny: Project
) -> None:
    code = test_node.project_dir(tiny.key) / "project_config/recipes/greet.py"
    update(deployment)
    assert update(deployment, "v2")["status"] == "SUCCESS"
    assert (active(auto_test, tiny.key), health(deployment), code.read_text()) == ("v2", "HEALTHY", "# version 2\n")
    assert update(deployment, "v1")["status"] == "SUCCESS"
    assert (active(auto_test, tiny.key), health(deployment), code.read_text()) == ("v1", "HEALTHY", "# greets people\n")


def test_the_history_tells_every_update_with_its_log(deployment: Any) -> None:
    update(deployment)
    update(deployment, "v2")
    first, second = sorted(deployment.list_updates(), key=lambda item: item.start_time)
    assert (first.status, first.type, first.get_raw()["bundleId"]) == ("SUCCESS", "UPDATE", "v1")
    assert second.get_raw()["bundleId"] == "v2"
    assert "logs" not in first.get_raw()
    full = first.get_full_update()
    assert full.requester == "admin"
    assert full.end_time >= full.start_time
    assert any("Activating bundle v1" in line for line in full.logs)
    assert deployment.get_update().start_time == second.start_time
    assert deployment.get_update(first.start_time).get_raw() == full.get_raw()
    with pytest.raises(DataikuException, match="has no update of 17"):
        deployment.get_update(17)


def test_saved_settings_are_out_of_sync_until_the_update(deployment: Any) -> None:
    update(deployment)
    settings = deployment.get_settings()
    settings.bundle_id = "v2"
    settings.save()
    assert health(deployment) == "OUT_OF_SYNC"
    assert "they name bundle v2" in texts(deployment)
    update(deployment)
    assert health(deployment) == "HEALTHY"


def test_a_bundle_that_somebody_activates_on_the_node_is_out_of_sync(
    deployment: Any, auto_test: dataikuapi.DSSClient, tiny: Project
) -> None:
    update(deployment)
    update(deployment, "v2")
    auto_test.get_project(tiny.key).activate_bundle("v1")
    assert health(deployment) == "OUT_OF_SYNC"
    assert "Node auto-test runs bundle v1, the settings say v2" in texts(deployment)
    update(deployment)
    assert health(deployment) == "HEALTHY"


def test_a_failed_update_is_an_error_with_a_reason_and_the_old_bundle_stays(
    deployment: Any, design: dataikuapi.DSSClient, auto_test: dataikuapi.DSSClient, tiny: Project
) -> None:
    update(deployment)
    far = {"type": "PostgreSQL", "params": {"connection": "warehouse"}, "schema": {"columns": []}}
    write_json(tiny.config_dir / "datasets" / "far.json", far)
    release(design, tiny, "v3")
    result = update(deployment, "v3")
    assert result["status"] == "ERROR"
    assert result["infoMessages"]["error"] is True
    assert "connection warehouse (dataset far)" in result["infoMessages"]["messages"][0]["message"]
    assert health(deployment) == "ERROR"
    assert "connection warehouse" in texts(deployment)
    assert active(auto_test, tiny.key) == "v1"
    assert deployment.get_update().status == "ERROR"
    assert not any("Activating" in line for line in deployment.get_update().logs)
    assert update(deployment, "v1")["status"] == "SUCCESS"
    assert health(deployment) == "HEALTHY"


def test_a_remapping_in_the_settings_makes_the_update_work(
    deployment: Any, design: dataikuapi.DSSClient, tiny: Project
) -> None:
    far = {"type": "Filesystem", "managed": True, "params": {"connection": "elsewhere"}, "schema": {"columns": []}}
    write_json(tiny.config_dir / "datasets" / "far.json", far)
    release(design, tiny, "v3")
    settings = deployment.get_settings()
    settings.get_raw()["bundleContainerSettings"]["remapping"]["connections"] = [
        {"source": "elsewhere", "target": "filesystem_managed"}
    ]
    settings.save()
    assert update(deployment, "v3")["status"] == "SUCCESS"
    assert health(deployment) == "HEALTHY"


def test_local_variables_and_scenarios_of_the_settings_reach_the_node(
    deployment: Any, auto_test: dataikuapi.DSSClient, test_node: Node, tiny: Project
) -> None:
    update(deployment, localVariables={"region": "eu"}, scenariosToActivate={"TEST_GREET": True})
    assert auto_test.get_project(tiny.key).get_variables()["local"] == {"region": "eu"}
    assert read_json(test_node.project_dir(tiny.key) / "project_config/scenarios/TEST_GREET.json")["active"] is True
    assert deployment.get_status().get_heavy()["monitoring"]["hasActiveScenarios"] is True


def test_a_scenario_that_is_not_in_the_bundle_gives_a_warning(deployment: Any) -> None:
    result = update(deployment, scenariosToActivate={"NO_SUCH": True})
    assert result["status"] == "WARNING"
    assert health(deployment) == "WARNING"
    assert "NO_SUCH" in texts(deployment)


def test_a_project_that_is_gone_from_the_node_is_unhealthy(
    deployment: Any, auto_test: dataikuapi.DSSClient, tiny: Project
) -> None:
    update(deployment)
    auto_test.get_project(tiny.key).delete()
    assert health(deployment) == "UNHEALTHY"
    assert f"Project {tiny.key} does not exist on node auto-test" in texts(deployment)
    update(deployment)
    assert health(deployment) == "HEALTHY"


def test_a_project_that_is_damaged_on_the_node_is_unhealthy(deployment: Any, test_node: Node, tiny: Project) -> None:
    update(deployment)
    damaged = test_node.project_dir(tiny.key) / "project_config/datasets/people.json"
    damaged.write_text("{")
    assert health(deployment) == "UNHEALTHY"
    assert "datasets can't be listed" in texts(deployment)


def test_a_connection_that_goes_away_makes_the_deployment_unhealthy(own_sandbox: Sandbox) -> None:
    design, auto = (
        dataikuapi.DSSClient(own_sandbox.nodes[name].url, own_sandbox.nodes[name].api_key)
        for name in ("design", "auto-test")
    )
    auto.create_connection("lake", "Filesystem", {"root": "/nowhere"})
    project = create(own_sandbox.nodes["design"], "LAKE", "Lake")
    write_json(
        project.config_dir / "datasets" / "far.json",
        {"type": "Filesystem", "params": {"connection": "lake"}, "schema": {"columns": []}},
    )
    release(design, project, "v1")
    deployment = design.get_projectdeployer().create_deployment("lake", "LAKE", "auto-test", "v1")
    update(deployment)
    assert health(deployment) == "HEALTHY"
    auto.get_connection("lake").delete()
    assert health(deployment) == "UNHEALTHY"
    assert "Connection lake (dataset far) does not exist on node auto-test" in texts(deployment)


def test_a_node_that_can_not_be_reached_is_unknown_and_an_update_of_it_fails(own_sandbox: Sandbox) -> None:
    node = own_sandbox.nodes["design"]
    design = dataikuapi.DSSClient(node.url, node.api_key)
    project = create(node, "AWAY", "Away")
    release(design, project, "v1")
    deployment = design.get_projectdeployer().create_deployment("away", "AWAY", "auto-test", "v1")
    update(deployment)
    own_sandbox.stop_node("auto-test")
    assert health(deployment) == "UNKNOWN"
    assert "node auto-test can't be reached" in texts(deployment)
    result = update(deployment)
    assert result["status"] == "ERROR"
    assert "can't be reached" in result["infoMessages"]["messages"][0]["message"]
    own_sandbox.start_node("auto-test")
    assert health(deployment) == "ERROR"
    update(deployment)
    assert health(deployment) == "HEALTHY"


def test_a_deployment_is_deleted_after_it_was_disabled_and_updated(
    deployment: Any, design: dataikuapi.DSSClient, auto_test: dataikuapi.DSSClient, tiny: Project
) -> None:
    update(deployment)
    with pytest.raises(DataikuException, match="disable it and update it"):
        deployment.delete()
    settings = deployment.get_settings()
    settings.get_raw()["enabled"] = False
    settings.save()
    assert health(deployment) == "OUT_OF_SYNC"
    with pytest.raises(DataikuException, match="was disabled and not updated yet"):
        deployment.delete()
    assert update(deployment)["status"] == "SUCCESS"
    assert health(deployment) == "UNKNOWN"
    assert auto_test.get_project(tiny.key).get_settings().get_raw()["disableAutomaticTriggers"] is True
    deployment.delete()
    assert deployment.id not in [item.id for item in design.get_projectdeployer().list_deployments()]
    assert active(auto_test, tiny.key) == "v1"


def test_a_deployment_that_is_enabled_again_is_healthy_again(
    deployment: Any, auto_test: dataikuapi.DSSClient, tiny: Project
) -> None:
    update(deployment)
    update(deployment, enabled=False)
    assert update(deployment, enabled=True)["status"] == "SUCCESS"
    assert health(deployment) == "HEALTHY"
    assert auto_test.get_project(tiny.key).get_settings().get_raw()["disableAutomaticTriggers"] is False


def test_a_project_is_deployed_under_another_key(
    design: dataikuapi.DSSClient, auto_test: dataikuapi.DSSClient, tiny: Project
) -> None:
    release(design, tiny, "v1")
    other = f"{tiny.key}_EU"
    deployment = design.get_projectdeployer().create_deployment(f"d-{other}", tiny.key, "auto-test", "v1", other)
    assert update(deployment)["status"] == "SUCCESS"
    assert active(auto_test, other) == "v1"
    assert health(deployment) == "HEALTHY"


def test_another_archive_under_the_same_id_replaces_the_one_on_the_node(
    deployment: Any, design: dataikuapi.DSSClient, test_node: Node, tiny: Project
) -> None:
    update(deployment)
    update(deployment, "v2")
    published = design.get_projectdeployer().get_project(tiny.key)
    published.delete_bundle("v1")
    project = design.get_project(tiny.key)
    project.delete_exported_bundle("v1")
    (tiny.config_dir / "recipes" / "greet.py").write_text("# the other version 1\n")
    release(design, tiny, "v1")
    assert update(deployment, "v1")["status"] == "SUCCESS"
    code = test_node.project_dir(tiny.key) / "project_config/recipes/greet.py"
    assert code.read_text() == "# the other version 1\n"


class Gate:
    """Holds an update before it activates, until it is opened."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.reached, self.open = threading.Event(), threading.Event()
        preload = AutomationNode.preload

        def held(node: AutomationNode, key: str, bundle_id: str) -> dict[str, Any]:
            self.reached.set()
            assert self.open.wait(20)
            return preload(node, key, bundle_id)

        monkeypatch.setattr(updates_module.AutomationNode, "preload", held)


def test_one_update_of_a_deployment_at_a_time(deployment: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    gate = Gate(monkeypatch)
    future = deployment.start_update()
    assert gate.reached.wait(20)
    try:
        assert future.peek_state()["hasResult"] is False
        assert health(deployment) == "OUT_OF_SYNC"
        assert deployment.get_update().status == "RUNNING"
        assert deployment.get_update().get_raw()["endTimestamp"] is None
        with pytest.raises(DataikuException, match="is under way already"):
            deployment.start_update()
    finally:
        gate.open.set()
    assert future.wait_for_result()["status"] == "SUCCESS"
    assert health(deployment) == "HEALTHY"


def test_an_aborted_update_ends_as_such(deployment: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    gate = Gate(monkeypatch)
    future = deployment.start_update()
    assert gate.reached.wait(20)
    future.abort()
    gate.open.set()
    assert future.wait_for_result() is None
    assert future.state["aborted"] is True
    assert deployment.get_update().status == "ABORTED"
    assert health(deployment) == "ERROR"


def test_an_update_that_a_crash_cut_off_is_an_error(own_sandbox: Sandbox) -> None:
    node = own_sandbox.nodes["design"]
    design = dataikuapi.DSSClient(node.url, node.api_key)
    project = create(node, "CUT", "Cut")
    release(design, project, "v1")
    deployment = design.get_projectdeployer().create_deployment("cut", "CUT", "auto-test", "v1")
    update(deployment)
    record_file = next((node.dir / "deployer/deployments/cut/updates").glob("*.json"))
    write_json(record_file, {**read_json(record_file), "status": "RUNNING", "endTimestamp": None})
    own_sandbox.stop_node("design")
    own_sandbox.start_node("design")
    design = dataikuapi.DSSClient(node.url, node.api_key)
    deployment = design.get_projectdeployer().get_deployment("cut")
    assert deployment.get_update().status == "ERROR"
    assert health(deployment) == "ERROR"
    assert "was stopped while the update ran" in texts(deployment)
    assert update(deployment)["status"] == "SUCCESS"


def test_everything_survives_a_restart(own_sandbox: Sandbox, tmp_path: Path) -> None:
    node = own_sandbox.nodes["design"]
    design = dataikuapi.DSSClient(node.url, node.api_key)
    release(design, create(node, "KEPT", "Kept"), "v1")
    update(design.get_projectdeployer().create_deployment("kept", "KEPT", "auto-prod", "v1"))
    urls = {name: one.url for name, one in own_sandbox.nodes.items()}
    own_sandbox.close()
    with Sandbox.open(tmp_path / "own") as again:
        assert {name: one.url for name, one in again.nodes.items()} == urls
        design = dataikuapi.DSSClient(again.nodes["design"].url, again.nodes["design"].api_key)
        assert health(design.get_projectdeployer().get_deployment("kept")) == "HEALTHY"


def test_the_test_scenarios_of_a_deployment_are_run_on_the_node(deployment: Any, tiny: Project) -> None:
    update(deployment)
    assert deployment.get_testing_status().nb_total_ran_scenarios == 0
    status = deployment.run_test_scenarios()
    assert status.nb_total_ran_scenarios == 1
    assert status.nb_scenarios_per_outcome == {"SUCCESS": 1}
    assert deployment.get_testing_status("v1").nb_total_ran_scenarios == 1
    assert deployment.get_testing_status("v2").nb_total_ran_scenarios == 0
    assert deployment.get_status().get_heavy()["monitoring"]["successful"] == ["Greets"]
