"""One run of a scenario at a time: fires that wait or are cancelled, aborts, restarts."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import dataikuapi
import pytest
from dataikuapi.dss.project import DSSProject
from dataikuapi.utils import DataikuException

from mlops_steps.sandbox.node.node import Node
from mlops_steps.sandbox.services.projects.model import Project
from mlops_steps.sandbox.services.scenarios import service
from mlops_steps.sandbox.services.scenarios.service import stop_all_runs
from mlops_steps.sandbox.site import Sandbox
from tests.sandbox.conftest import client_of
from tests.sandbox.flows import flow_files, make_project, python_step, scenario

# Runs until the file exists, and tells that it started.
UNTIL = """
import pathlib, time, dataiku
folder = pathlib.Path(dataiku.get_custom_variables()["folder"])
with (folder / "starts").open("a") as starts:
    starts.write("x")
while not (folder / "go").exists():
    time.sleep(0.01)
"""
WAITING = {"delayedTriggersBehavior": {"suppressTriggersWhileRunning": False, "delayWhileRunning": True}}


class Gate:
    """Lets running scenarios go on."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def started(self) -> int:
        starts = self.folder / "starts"
        return len(starts.read_text()) if starts.exists() else 0

    def open(self) -> None:
        (self.folder / "go").touch()


@pytest.fixture
def gate(tmp_path: Path) -> Iterator[Gate]:
    gate = Gate(tmp_path)
    yield gate
    gate.open()


def files_of(gate: Gate, **scenarios: dict[str, Any]) -> dict[str, Any]:
    files = {f"project_config/scenarios/{name}.json": what for name, what in scenarios.items()}
    return {**flow_files(), "project_config/variables.json": {"folder": str(gate.folder)}, **files}


@pytest.fixture
def project_of(design: dataikuapi.DSSClient, design_node: Node, new_key: str, gate: Gate) -> Callable[..., DSSProject]:
    def make(**scenarios: dict[str, Any]) -> DSSProject:
        make_project(design_node, new_key, files_of(gate, **scenarios))
        return design.get_project(new_key)

    return make


def wait_for(condition: Callable[[], object], seconds: float = 20.0) -> None:
    limit = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < limit, "waited too long"
        time.sleep(0.02)


def blocked(**more: Any) -> dict[str, Any]:
    return scenario(python_step(UNTIL), **more)


def test_a_fire_while_the_scenario_runs_is_cancelled(project_of: Callable[..., DSSProject], gate: Gate) -> None:
    handle = project_of(S=blocked()).get_scenario("S")
    first = handle.run()
    wait_for(gate.started)
    assert handle.get_status().running is True
    assert handle.get_current_run() is not None

    second = handle.run()
    assert second.is_cancelled() is True
    assert second.is_cancelled(refresh=True) is True
    with pytest.raises(DataikuException, match="Scenario run has been cancelled"):
        second.wait_for_scenario_run()
    assert second.wait_for_scenario_run(no_fail=True) is None

    gate.open()
    run = first.wait_for_scenario_run()
    run.wait_for_completion()
    assert first.is_cancelled(refresh=True) is False
    assert len(handle.get_last_runs()) == 1


def test_a_scenario_can_let_the_newest_fire_wait(project_of: Callable[..., DSSProject], gate: Gate) -> None:
    handle = project_of(S=blocked(**WAITING)).get_scenario("S")
    handle.run()
    wait_for(gate.started)
    second, third = handle.run(), handle.run({"which": "third"})

    assert second.is_cancelled(refresh=True) is True
    assert (third.is_cancelled(refresh=True), third.get_scenario_run()) == (False, None)
    gate.open()
    run = third.wait_for_scenario_run()
    run.wait_for_completion()
    assert run.get_info()["trigger"]["params"] == {"which": "third"}
    assert len(handle.get_last_runs()) == 2


def test_a_node_runs_a_few_scenarios_at_once_and_the_others_wait(
    project_of: Callable[..., DSSProject], gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "PARALLEL_RUNS", 2)
    project = project_of(A=blocked(), B=blocked(), C=blocked())
    fires = [project.get_scenario(name).run() for name in "ABC"]
    wait_for(lambda: gate.started() == 2)

    assert fires[2].get_scenario_run() is None
    assert fires[2].is_cancelled(refresh=True) is False
    gate.open()
    for fire in fires:
        fire.wait_for_scenario_run().wait_for_completion()


def test_aborting_ends_the_run_at_once(project_of: Callable[..., DSSProject], gate: Gate) -> None:
    handle = project_of(S=scenario(python_step(UNTIL), python_step("", "after"))).get_scenario("S")
    fire = handle.run()
    wait_for(gate.started)
    start = time.monotonic()
    handle.abort()
    run = fire.wait_for_scenario_run()
    run.wait_for_completion(no_fail=True)

    assert time.monotonic() - start < 5
    assert run.outcome == "ABORTED"
    assert [step.outcome for step in run.get_details().steps] == ["ABORTED"]
    assert handle.get_status().running is False
    handle.abort()


def test_aborting_ends_the_job_of_a_build_step(project_of: Callable[..., DSSProject], gate: Gate) -> None:
    build = {"id": "b", "type": "build_flowitem", "params": {"builds": [{"type": "DATASET", "itemId": "adults"}]}}
    project = project_of(S=scenario(build))
    settings = project.get_recipe("compute_adults").get_settings()
    settings.set_code(UNTIL)
    settings.save()
    fire = project.get_scenario("S").run()
    wait_for(gate.started)
    project.get_scenario("S").abort()
    run = fire.wait_for_scenario_run()
    run.wait_for_completion(no_fail=True)

    assert run.outcome == "ABORTED"
    assert project.list_jobs()[0]["state"] == "ABORTED"


def test_aborting_cancels_a_fire_that_waits(project_of: Callable[..., DSSProject], gate: Gate) -> None:
    handle = project_of(S=blocked(**WAITING)).get_scenario("S")
    handle.run()
    wait_for(gate.started)
    waiting = handle.run()
    handle.abort()

    assert waiting.is_cancelled(refresh=True) is True


def test_running_scenarios_are_listed(
    design: dataikuapi.DSSClient, project_of: Callable[..., DSSProject], gate: Gate
) -> None:
    project = project_of(S=blocked())
    project.get_scenario("S").run()
    wait_for(gate.started)

    def targets(items: list[dict[str, Any]]) -> list[tuple[str, str]]:
        found = [target for item in items for target in item["payload"]["targets"] if "objectId" in target]
        return [(target["projectKey"], target["objectId"]) for target in found]

    assert (project.project_key, "S") in targets(design.list_running_scenarios())
    assert (project.project_key, "S") not in targets(design.list_futures())


def test_a_log_can_be_read_while_the_run_goes_on(project_of: Callable[..., DSSProject], gate: Gate) -> None:
    script = "print('first words', flush=True)\n" + UNTIL
    handle = project_of(S=scenario(python_step(script))).get_scenario("S")
    handle.run()
    wait_for(gate.started)

    assert "first words" in handle.get_last_runs(1)[0].get_log()
    assert "first words" in handle.get_last_runs(1)[0].get_log("code")


def test_all_runs_of_a_project_can_be_stopped(
    project_of: Callable[..., DSSProject], design_node: Node, gate: Gate
) -> None:
    project = project_of(A=blocked(), B=blocked())
    for name in "AB":
        project.get_scenario(name).run()
    wait_for(lambda: gate.started() == 2)
    stop_all_runs(Project.load(design_node, project.project_key))

    assert {project.get_scenario(name).get_last_finished_run().outcome for name in "AB"} == {"ABORTED"}


def test_a_scenario_that_does_not_exist_cannot_be_run(project_of: Callable[..., DSSProject]) -> None:
    with pytest.raises(DataikuException, match="scenario NOBODY does not exist"):
        project_of().get_scenario("NOBODY").run()


def test_runs_and_fires_survive_a_restart_and_running_ones_end(own_sandbox: Sandbox, gate: Gate) -> None:
    node = own_sandbox.nodes["auto-test"]
    make_project(node, "RESTART", files_of(gate, S=blocked(), QUICK=scenario()))
    project = client_of(node).get_project("RESTART")
    quick = project.get_scenario("QUICK").run()
    quick.wait_for_scenario_run().wait_for_completion()
    fire = project.get_scenario("S").run()
    wait_for(gate.started)
    own_sandbox.stop_node("auto-test")
    own_sandbox.start_node("auto-test")

    project = client_of(node).get_project("RESTART")
    assert project.get_scenario("S").get_last_finished_run().outcome == "ABORTED"
    again = project.get_scenario("S").get_trigger_fire(fire.trigger_id, fire.run_id)
    assert again.get_scenario_run().outcome == "ABORTED"
    assert project.get_scenario("QUICK").get_last_finished_run().outcome == "SUCCESS"


def test_a_run_that_a_crash_left_is_aborted_at_the_next_start(own_sandbox: Sandbox, gate: Gate) -> None:
    node = own_sandbox.nodes["auto-test"]
    make_project(node, "CRASH", files_of(gate, S=scenario()))
    project = client_of(node).get_project("CRASH")
    project.get_scenario("S").run().wait_for_scenario_run().wait_for_completion()
    [run_file] = node.runs_dir("CRASH").glob("S/*/run.json")
    # As a crash leaves it: the mark is there, the result is not.
    own_sandbox.stop_node("auto-test")
    document = run_file.read_text(encoding="utf-8")
    cut = document.index(',\n    "result"')
    end = document.index("\n  },\n", cut)
    run_file.write_text(document[:cut] + document[end:], encoding="utf-8")
    (run_file.parent / "running").touch()
    own_sandbox.start_node("auto-test")

    [run] = client_of(node).get_project("CRASH").get_scenario("S").get_last_runs()
    assert run.outcome == "ABORTED"
    assert "node auto-test stopped while the scenario was running" in run.get_info()["result"]["thrown"]["message"]
    assert "node auto-test stopped" in run.get_log()


def test_a_scenario_can_be_run_again_as_soon_as_its_result_is_seen(project_of: Callable[..., DSSProject]) -> None:
    handle = project_of(S=scenario()).get_scenario("S")
    for _ in range(10):
        fire = handle.run()
        assert fire.is_cancelled() is False
        limit = time.monotonic() + 10
        # Without the client's pauses.
        while (run := fire.get_scenario_run()) is None or run.running:
            assert time.monotonic() < limit
        assert run.get_details()["scenarioRun"]["result"]["outcome"] == "SUCCESS"
