"""Builds through the official client: recipes really run, in processes of their own."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dataikuapi
import pytest
from dataikuapi.dss.project import DSSProject
from dataikuapi.utils import DataikuException

from mlops_steps.sandbox.node.node import Node
from mlops_steps.sandbox.services.flow.job_service import jobs_of
from tests.sandbox.flows import flow_files, make_project, managed, recipe, with_code

SLEEPER = """
    import pathlib, subprocess, time, dataiku
    child = subprocess.Popen(["sleep", "60"])
    pathlib.Path(dataiku.get_custom_variables()["pid_file"]).write_text(str(child.pid))
    time.sleep(60)
"""


@pytest.fixture
def project(design: dataikuapi.DSSClient, design_node: Node, new_key: str) -> DSSProject:
    make_project(design_node, new_key, flow_files())
    return design.get_project(new_key)


@pytest.fixture
def project_of(design: dataikuapi.DSSClient, design_node: Node, new_key: str) -> Callable[[dict[str, Any]], DSSProject]:
    def make(files: dict[str, Any]) -> DSSProject:
        make_project(design_node, new_key, files)
        return design.get_project(new_key)

    return make


def build(project: DSSProject, output: str, mode: str = "RECURSIVE_BUILD") -> dict[str, Any]:
    job = project.new_job(mode).with_output(output).start()
    wait_for(lambda: job.get_status()["baseStatus"]["state"] in ("DONE", "FAILED", "ABORTED"))
    status: dict[str, Any] = job.get_status()["baseStatus"]
    return status


def wait_for(condition: Callable[[], object], seconds: float = 20.0) -> None:
    limit = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < limit, "waited too long"
        time.sleep(0.02)


def rows(project: DSSProject, name: str) -> list[list[Any]]:
    return list(project.get_dataset(name).iter_rows())


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"


def test_a_build_runs_the_recipes_it_needs_in_order(project: DSSProject) -> None:
    job = project.new_job("RECURSIVE_BUILD").with_output("counted").start_and_wait()

    assert rows(project, "adults") == [["Ada", 36], ["Grace", 41]]
    assert rows(project, "counted") == [[2]]
    status = job.get_status()
    assert status["baseStatus"]["state"] == "DONE"
    assert list(status["baseStatus"]["activities"]) == ["compute_adults", "compute_counted"]
    assert status["globalState"]["done"] == 2
    assert "adults written" in job.get_log()
    assert job.get_log(activity="compute_counted") == ""


def test_a_second_smart_build_runs_nothing_until_something_changes(project: DSSProject) -> None:
    def ran() -> list[str]:
        return list(build(project, "counted")["activities"])

    assert ran() == ["compute_adults", "compute_counted"]
    assert ran() == []
    settings = project.get_recipe("compute_counted").get_settings()
    settings.set_code(settings.get_code() + "\nprint('changed')\n")
    settings.save()
    assert ran() == ["compute_counted"]
    project.get_dataset("adults").clear()
    assert ran() == ["compute_adults", "compute_counted"]


def test_a_change_of_the_source_runs_what_comes_after(project: DSSProject, design_node: Node) -> None:
    build(project, "counted")
    source = design_node.project_dir(project.project_key) / "uploads/people/people.csv"
    source.write_text("name,age\nEdsger,72\n", encoding="utf-8")

    assert list(build(project, "counted")["activities"]) == ["compute_adults", "compute_counted"]
    assert rows(project, "counted") == [[1]]


def test_a_failing_recipe_fails_the_job_with_its_error(
    project_of: Callable[[dict[str, Any]], DSSProject],
) -> None:
    project = project_of(with_code(flow_files(), "compute_adults", "x = 1\nraise ValueError('no such people')\n"))
    job = project.new_job("RECURSIVE_BUILD").with_output("counted").start()
    with pytest.raises(DataikuException, match="Status: FAILED"):
        dataikuapi.dss.job.DSSJobWaiter(job).wait()

    status = job.get_status()["baseStatus"]
    assert status["activities"]["compute_adults"]["state"] == "FAILED"
    assert status["activities"]["compute_counted"]["state"] == "NOT_STARTED"
    assert status["error"]["message"] == "recipe compute_adults: no such people"
    assert status["error"]["clazz"] == "ValueError"
    log = job.get_log(activity="compute_adults")
    assert 'File "recipe compute_adults", line 2' in log
    assert "dku_child.py" not in log


def test_a_failed_recipe_leaves_the_old_data(project: DSSProject) -> None:
    build(project, "adults")
    settings = project.get_recipe("compute_adults").get_settings()
    settings.set_code(
        "import dataiku\nwith dataiku.Dataset('adults').get_writer() as w:\n"
        "    w.write_row_dict({'name': 'half'})\n    raise RuntimeError('on the way')\n"
    )
    settings.save()

    assert build(project, "adults")["state"] == "FAILED"
    assert rows(project, "adults") == [["Ada", 36], ["Grace", 41]]


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("import dataiku\ndataiku.Dataset('counted').get_dataframe()\n", "dataset counted is not declared as an input"),
        ("import dataiku\ndataiku.Dataset('people').get_writer()\n", "dataset people is not declared as an output"),
        ("import dataiku\ndataiku.Dataset('nobody')\n", "dataset nobody does not exist in project"),
        ("import dataiku\ndataiku.Dataset('OTHER.people')\n", "objects of another project"),
        ("import dataiku\ndataiku.SQLExecutor2()\n", "dataiku.SQLExecutor2 is not supported by the sandbox"),
        ("import dataiku\ndataiku.Dataset('people').get_location_info()\n", "dataiku.Dataset.get_location_info is not"),
        ("import sys\nsys.exit(3)\n", "the code ended with exit status 3"),
        ("import os\nos.kill(os.getpid(), 9)\n", "the process was killed by signal 9"),
        ("def broken(:\n", "invalid syntax"),
    ],
)
def test_what_a_recipe_does_wrong_is_said_by_name(
    project_of: Callable[[dict[str, Any]], DSSProject], code: str, message: str
) -> None:
    project = project_of(with_code(flow_files(), "compute_adults", code))

    assert message in build(project, "adults")["error"]["message"]


def test_a_missing_connection_is_named_before_anything_runs(
    project_of: Callable[[dict[str, Any]], DSSProject],
) -> None:
    files = flow_files()
    files["project_config/datasets/adults.json"]["params"]["connection"] = "s3_of_production"
    error = build(project_of(files), "adults")["error"]

    assert "dataset adults: connection 's3_of_production' does not exist on node design" in error["message"]


def test_a_missing_code_environment_is_named(project_of: Callable[[dict[str, Any]], DSSProject]) -> None:
    files = flow_files()
    files["project_config/recipes/compute_adults.json"] = recipe(
        ["people"], ["adults"], envSelection={"envMode": "EXPLICIT_ENV", "envName": "py39_ml"}
    )
    error = build(project_of(files), "adults")["error"]

    assert "code environment 'py39_ml' does not exist on node design" in error["message"]


def test_a_recipe_of_another_type_is_named(project_of: Callable[[dict[str, Any]], DSSProject]) -> None:
    files = flow_files()
    files["project_config/recipes/compute_adults.json"] = recipe(["people"], ["adults"], kind="join")
    error = build(project_of(files), "adults")["error"]

    assert "recipe compute_adults: recipes of type 'join' do not run in the sandbox" in error["message"]


@pytest.mark.parametrize("output", ["nobody", "compute_adults"])
def test_a_job_for_what_does_not_exist_is_refused(project: DSSProject, output: str) -> None:
    with pytest.raises(DataikuException, match=f"DATASET {output} does not exist"):
        project.new_job().with_output(output).start()


def test_aborting_a_job_ends_every_process_of_it(
    project_of: Callable[[dict[str, Any]], DSSProject], tmp_path: Path
) -> None:
    project = project_of(with_code(flow_files(), "compute_adults", SLEEPER))
    pid_file = tmp_path / "pid"
    project.update_variables({"pid_file": str(pid_file)})
    job = project.new_job().with_output("adults").start()
    wait_for(lambda: pid_file.exists() and pid_file.read_text())
    assert [item.job_id for item in project.list_running_jobs()] == [job.id]

    job.abort()
    wait_for(lambda: job.get_status()["baseStatus"]["state"] == "ABORTED", 5)
    wait_for(lambda: not is_alive(int(pid_file.read_text())), 5)
    assert project.list_running_jobs() == []


def test_a_recipe_that_reaches_its_time_limit_fails(
    project_of: Callable[[dict[str, Any]], DSSProject], tmp_path: Path
) -> None:
    project = project_of(with_code(flow_files(), "compute_adults", SLEEPER))
    pid_file = tmp_path / "pid"
    project.update_variables({"pid_file": str(pid_file), "sandboxTimeLimitSeconds": 1})
    status = build(project, "adults")

    assert status["error"]["message"] == "recipe compute_adults: the time limit of 1 s was reached"
    wait_for(lambda: not is_alive(int(pid_file.read_text())), 5)


def test_independent_recipes_run_side_by_side(
    project_of: Callable[[dict[str, Any]], DSSProject], tmp_path: Path
) -> None:
    # Each waits for the other: one after the other, they would never end.
    files: dict[str, Any] = {"project_config/datasets/both.json": managed("both", ("x", "string"))}
    for name, other in (("left", "right"), ("right", "left")):
        files[f"project_config/datasets/{name}.json"] = managed(name, ("x", "string"))
        files[f"project_config/recipes/make_{name}.json"] = recipe([], [name])
        files[f"project_config/recipes/make_{name}.py"] = f"""
            import pathlib, time, dataiku
            folder = pathlib.Path(dataiku.get_custom_variables()["meet"])
            (folder / "{name}").touch()
            while not (folder / "{other}").exists():
                time.sleep(0.01)
            with dataiku.Dataset("{name}").get_writer() as writer:
                writer.write_tuple(["{name}"])
        """
    files["project_config/recipes/make_both.json"] = recipe(["left", "right"], ["both"])
    files["project_config/recipes/make_both.py"] = """
        import dataiku
        with dataiku.Dataset("both").get_writer() as writer:
            for name in ("left", "right"):
                for row in dataiku.Dataset(name).iter_tuples():
                    writer.write_tuple(row)
    """
    project = project_of(files)
    project.update_variables({"meet": str(tmp_path), "sandboxTimeLimitSeconds": 20})

    assert build(project, "both")["state"] == "DONE"
    assert rows(project, "both") == [["left"], ["right"]]


def test_a_job_commits_the_schemas_it_changed_and_nothing_else(
    project_of: Callable[[dict[str, Any]], DSSProject], design_node: Node
) -> None:
    code = "import dataiku\ndataiku.Dataset('adults').write_schema([{'name': 'x', 'type': 'string'}])\n"
    project = project_of(with_code(flow_files(), "compute_adults", code))
    (design_node.project_dir(project.project_key) / "project_config/pending.json").write_text("{}", encoding="utf-8")
    assert build(project, "adults")["state"] == "DONE"

    git = project.get_project_git()
    assert git.log(count=1)["entries"][0]["message"] == "Built adults"
    assert git.get_status()["untracked"] == ["pending.json"]
    assert [column["name"] for column in project.get_dataset("adults").get_schema()["columns"]] == ["x"]


def test_jobs_are_listed_newest_first_and_survive_the_service(project: DSSProject, design_node: Node) -> None:
    build(project, "adults")
    last = build(project, "counted")
    listed = project.list_jobs()
    assert [item["state"] for item in listed] == ["DONE", "DONE"]
    assert listed[0].job_id == last["jobId"]

    jobs_of(design_node)._jobs.pop((project.project_key, last["jobId"]))
    assert project.get_job(last["jobId"]).get_status()["baseStatus"]["state"] == "DONE"
    with pytest.raises(DataikuException, match="job nothing does not exist"):
        project.get_job("nothing").get_status()


def test_a_recipe_runs_through_its_handle(project: DSSProject) -> None:
    project.get_recipe("compute_adults").run()

    assert rows(project, "adults") == [["Ada", 36], ["Grace", 41]]
