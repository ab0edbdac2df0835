"""What public code reads of a job."""

from __future__ import annotations

from dataikuapi.dss.project import DSSProject

from tests.sandbox.conformance.conftest import build
from tests.sandbox.flows import flow_files, scenario


def test_a_job_says_when_and_from_where_it_was_started(project: DSSProject) -> None:
    before = project.client.get_instance_info().raw["dssStartupTimestamp"]
    status = build(project, "adults")

    (listed,) = project.list_jobs()
    for job in (listed, status):
        assert before <= job["def"]["initiationTimestamp"] <= job["startTime"] <= job["endTime"]
        assert job["def"]["triggeredFrom"] == "API"
        assert job["warningsCount"] == 0


def test_a_job_of_a_scenario_says_so(project: DSSProject) -> None:
    step = {
        "id": "build",
        "type": "build_flowitem",
        "name": "Build",
        "params": {
            "builds": [{"type": "DATASET", "itemId": "adults"}],
            "jobType": "RECURSIVE_BUILD",
        },
    }
    assert flow_files()
    made = project.create_scenario("Builds", "step_based", {"params": scenario(step)["params"]})
    made.run_and_wait()

    assert [job["def"]["triggeredFrom"] for job in project.list_jobs()] == ["SCHEDULER"]
