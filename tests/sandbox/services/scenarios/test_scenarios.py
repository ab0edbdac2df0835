"""Scenarios through the official client: definitions, runs, outcomes."""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import dataikuapi
import pytest
from dataikuapi.dss.project import DSSProject
from dataikuapi.dss.scenario import DSSScenarioRun
from dataikuapi.utils import DataikuException

from mlops_steps.sandbox.node.node import Node
from tests.sandbox.flows import flow_files, make_project, python_step, scenario

CUSTOM = {
    "type": "custom_python",
    "active": False,
    "markedAsTest": False,
    "triggers": [],
    "reporters": [],
    "params": {},
}
BUILD = {
    "id": "build",
    "type": "build_flowitem",
    "name": "Build",
    "params": {"builds": [{"type": "DATASET", "itemId": "counted"}], "jobType": "RECURSIVE_FORCED_BUILD"},
}


@pytest.fixture
def project_of(design: dataikuapi.DSSClient, design_node: Node, new_key: str) -> Callable[..., DSSProject]:
    """A project with these scenarios; text is the script of a custom one."""

    def make(**scenarios: Any) -> DSSProject:
        files = flow_files()
        for name, what in scenarios.items():
            files[f"project_config/scenarios/{name}.json"] = CUSTOM if isinstance(what, str) else what
            if isinstance(what, str):
                files[f"project_config/scenarios/{name}.py"] = what
        make_project(design_node, new_key, files)
        return design.get_project(new_key)

    return make


def run(project: DSSProject, identity: str = "S", **params: Any) -> DSSScenarioRun:
    return project.get_scenario(identity).run_and_wait(params=params, no_fail=True)


def outcomes(ended: DSSScenarioRun) -> list[tuple[str, str]]:
    return [(step["step"]["id"], step.outcome) for step in ended.get_details().steps]


# ---- definitions


def test_scenarios_are_listed_as_others_read_them(project_of: Callable[..., DSSProject]) -> None:
    project = project_of(TEST_SMOKE=scenario(name="Smoke"), NIGHTLY="print('hello')\n")
    items = {item["id"]: item for item in project.list_scenarios()}

    assert sorted(items) == ["NIGHTLY", "TEST_SMOKE"]
    smoke = items["TEST_SMOKE"]
    assert (smoke["name"], smoke["type"], smoke["active"], smoke["running"]) == ("Smoke", "step_based", False, False)
    assert (smoke["markedAsTest"], items["NIGHTLY"]["markedAsTest"]) == (True, False)
    assert [one.id for one in project.list_test_scenarios()] == ["TEST_SMOKE"]
    assert smoke.start_time is None


def test_a_step_based_scenario_is_created_changed_and_deleted(project_of: Callable[..., DSSProject]) -> None:
    project = project_of()
    created = project.create_scenario("Smoke test!", "step_based")
    assert created.id == "SMOKEtest".upper()
    settings = created.get_settings()
    settings.raw_steps.append(python_step("print('x')"))
    settings.active = True
    settings.add_daily_trigger(hour=3)
    settings.save()

    again = project.get_scenario(created.id).get_settings()
    assert again.raw_steps[0]["id"] == "code"
    assert again.active is True
    assert again.raw_triggers[0]["type"] == "temporal"
    assert again.effective_run_as == "admin"
    assert project.create_scenario("Smoke test!", "step_based").id == f"{created.id}_1"
    created.delete()
    with pytest.raises(DataikuException, match=f"scenario {created.id} does not exist"):
        created.get_settings()


def test_a_custom_scenario_has_a_script(project_of: Callable[..., DSSProject]) -> None:
    project = project_of()
    settings = project.create_scenario("custom", "custom_python").get_settings()
    assert settings.code == ""
    settings.code = "print('from the script')\n"
    settings.save()

    ended = run(project, "CUSTOM")
    assert (ended.outcome, "from the script" in ended.get_log()) == ("SUCCESS", True)


def test_the_light_form_changes_what_it_may(project_of: Callable[..., DSSProject]) -> None:
    scenario_ = project_of(S=scenario(python_step("x = 1"))).get_scenario("S")
    with pytest.warns(DeprecationWarning, match="get_definition"):
        definition = scenario_.get_definition()
    definition.update(active=True, shortDesc="short")
    with pytest.warns(DeprecationWarning, match="set_definition"):
        scenario_.set_definition(definition)

    assert scenario_.get_status().get_raw()["active"] is True
    assert scenario_.get_settings().get_raw()["shortDesc"] == "short"
    assert len(scenario_.get_settings().raw_steps) == 1


# ---- runs of steps


def test_a_run_builds_and_checks_step_by_step(project_of: Callable[..., DSSProject]) -> None:
    look = python_step(
        "import dataiku\nassert list(dataiku.Dataset('counted').iter_tuples()) == [(2,)]\nprint('seen')\n"
    )
    project = project_of(S=scenario(BUILD, look))
    ended = run(project)

    assert outcomes(ended) == [("build", "SUCCESS"), ("code", "SUCCESS")]
    assert ended.outcome == "SUCCESS"
    assert ended.trigger["type"] == "manual"
    assert ended.get_end_time() >= ended.get_start_time()
    [job] = ended.get_details().steps[0].job_ids
    assert project.get_job(job).get_status()["baseStatus"]["state"] == "DONE"
    assert "adults written" in ended.get_log()
    assert "seen" in ended.get_log("code")
    assert "adults written" not in ended.get_log("code")
    built = [item["target"]["name"] for item in ended.get_details().steps[0]["additionalReportItems"][1:]]
    assert built == ["adults", "counted"]


def test_a_failed_step_fails_the_run_with_its_error(project_of: Callable[..., DSSProject]) -> None:
    project = project_of(
        S=scenario(python_step("x = 1\nraise ValueError('not good enough')\n"), python_step("", "after"))
    )
    ended = run(project)

    assert ended.outcome == "FAILED"
    assert outcomes(ended) == [("code", "FAILED")]
    error = ended.get_details().first_error_details
    assert (error["clazz"], error["message"]) == ("ValueError", "not good enough")
    assert 'File "step Run code", line 2' in error["stack"]
    with pytest.raises(DataikuException, match="Scenario run returned status FAILED"):
        project.get_scenario("S").run_and_wait()


def test_a_build_that_fails_names_the_recipe(project_of: Callable[..., DSSProject]) -> None:
    project = project_of(S=scenario(BUILD))
    settings = project.get_recipe("compute_adults").get_settings()
    settings.set_code("raise RuntimeError('no adults today')")
    settings.save()
    ended = run(project)

    assert ended.get_details().first_error_details["message"] == "recipe compute_adults: no adults today"
    assert ended.get_details().last_step["additionalReportItems"][0]["outcome"] == "FAILED"


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ({}, ["bad"]),
        ({"runConditionType": "RUN_ALWAYS"}, ["bad", "after"]),
        ({"runConditionType": "RUN_IF_STATUS_MATCH", "runConditionStatuses": ["FAILED"]}, ["bad", "after"]),
        ({"runConditionType": "RUN_IF_STATUS_MATCH", "runConditionStatuses": ["SUCCESS", "WARNING"]}, ["bad"]),
        ({"runConditionType": "DISABLED"}, ["bad"]),
        ({"runConditionType": "RUN_ALWAYS", "enabled": False}, ["bad"]),
    ],
)
def test_a_step_after_a_failure_runs_when_it_is_told_to(
    project_of: Callable[..., DSSProject], condition: dict[str, Any], expected: list[str]
) -> None:
    project = project_of(S=scenario(clear("people", "bad"), variables(id="after", **condition)))
    ended = run(project)

    assert [identity for identity, _ in outcomes(ended)] == expected
    assert ended.outcome == "FAILED"


def clear(dataset: str, identity: str) -> dict[str, Any]:
    """A step that fails for an uploaded dataset, without a process."""
    return {"id": identity, "type": "clear_items", "params": {"clears": [{"type": "DATASET", "itemId": dataset}]}}


def variables(**more: Any) -> dict[str, Any]:
    """A step that is over at once."""
    return {"id": "vars", "type": "set_project_vars", "params": {"variables": {"done": 1}}, **more}


def test_the_failure_can_be_reset(project_of: Callable[..., DSSProject]) -> None:
    after = variables(runConditionType="RUN_ALWAYS", resetScenarioStatus=True)
    assert run(project_of(S=scenario(clear("people", "bad"), after))).outcome == "SUCCESS"


def test_a_step_that_may_fail_gives_a_warning(project_of: Callable[..., DSSProject]) -> None:
    step = clear("people", "bad")
    step["params"]["proceedOnFailure"] = True
    ended = run(project_of(S=scenario(step, variables())))

    assert (ended.outcome, outcomes(ended)) == ("WARNING", [("bad", "WARNING"), ("vars", "SUCCESS")])


def test_a_failed_step_is_tried_again(project_of: Callable[..., DSSProject]) -> None:
    code = """
        import dataiku
        project = dataiku.api_client().get_default_project()
        tries = project.get_variables()["standard"].get("tries", 0) + 1
        project.update_variables({"tries": tries})
        assert tries == 2, tries
    """
    ended = run(project_of(S=scenario(python_step(code, maxRetriesOnFail=3, delayBetweenRetries=0))))

    assert [outcome for _, outcome in outcomes(ended)] == ["FAILED", "SUCCESS"]
    assert ended.outcome == "SUCCESS"


def test_an_unknown_step_fails_the_run_by_name(project_of: Callable[..., DSSProject]) -> None:
    ended = run(project_of(S=scenario({"id": "sql", "type": "exec_sql", "name": "Query", "params": {}})))

    assert ended.outcome == "FAILED"
    message = ended.get_details().first_error_details["message"]
    assert message == "not supported by the sandbox: scenario step 'Query' of type 'exec_sql'"


def test_an_unknown_condition_fails_the_run_by_name(project_of: Callable[..., DSSProject]) -> None:
    ended = run(project_of(S=scenario(variables(runConditionType="RUN_CONDITIONALLY", name="Maybe"))))

    assert ended.outcome == "FAILED"
    assert "run condition 'RUN_CONDITIONALLY' of step 'Maybe'" in ended.get_info()["result"]["thrown"]["message"]


def test_metrics_and_checks_are_steps(project_of: Callable[..., DSSProject]) -> None:
    on_people = {"type": "DATASET", "itemId": "people"}
    project = project_of(
        S=scenario(
            {"id": "metrics", "type": "compute_metrics", "params": {"computes": [on_people]}},
            {"id": "checks", "type": "check_dataset", "params": {"checks": [on_people]}},
        )
    )
    settings = project.get_dataset("people").get_settings()
    range_ = {"type": "numericRange", "meta": {"label": "rows"}, "metricId": "records:COUNT_RECORDS"}
    settings.get_raw()["metricsChecks"] = {"checks": [{**range_, "softMinimum": 5, "softMinimumEnabled": True}]}
    settings.save()
    assert run(project).outcome == "WARNING"
    assert project.get_dataset("people").get_last_metric_values().get_global_value("records:COUNT_RECORDS") == 3

    settings.get_raw()["metricsChecks"] = {"checks": [{**range_, "minimum": 9, "minimumEnabled": True}]}
    settings.save()
    ended = run(project)
    assert ended.outcome == "FAILED"
    message = ended.get_details().first_error_details["message"]
    assert message == "dataset people: check rows ERROR: records:COUNT_RECORDS = 3: less than 9"


def test_a_scenario_runs_another_one(project_of: Callable[..., DSSProject]) -> None:
    step = {"id": "other", "type": "run_scenario", "params": {"scenarioId": "INNER"}}
    project = project_of(S=scenario(step), INNER=scenario(clear("people", "bad")))
    ended = run(project)

    assert ended.outcome == "FAILED"
    assert "scenario INNER of" in ended.get_details().first_error_details["message"]
    assert project.get_scenario("INNER").get_last_finished_run().outcome == "FAILED"


# ---- custom Python scenarios


def test_a_custom_scenario_runs_steps_and_reads_its_trigger(project_of: Callable[..., DSSProject]) -> None:
    project = project_of(
        S="""
        from dataiku.scenario import Scenario, BuildFlowItemsStepDefHelper

        scenario = Scenario()
        assert scenario.get_trigger_type() == "manual"
        assert scenario.get_trigger_params() == {"who": "me"}
        scenario.set_scenario_variables(colour="red")
        assert scenario.get_all_variables()["colour"] == "red"
        result = scenario.build_dataset("counted", build_mode="RECURSIVE_FORCED_BUILD")
        assert result.get_outcome() == "SUCCESS"
        assert result.get_job_report_item()["jobId"]
        step = BuildFlowItemsStepDefHelper(scenario, "both")
        step.add_dataset("adults")
        handle = scenario.run_step(step.get_step(), asynchronous=True)
        assert handle.wait_for_completion().get_built_datasets() == []
        failed = scenario.clear_dataset("people", fail_fatal=False)
        assert "cannot be cleared" in failed.get_error_message()
        assert [step["stepName"] for step in scenario.get_previous_steps_outputs()][0] == "build counted"
        scenario.set_project_variables(finished=True)
        scenario.compute_dataset_metrics("people")
        scenario.run_dataset_checks("people")
        scenario.run_scenario("INNER")
        try:
            scenario.get_message_sender("mail")
        except NotImplementedError as error:
            assert "dataiku.scenario.Scenario.get_message_sender is not supported by the sandbox" in str(error)
        else:
            raise AssertionError("a message was sent")
        """,
        INNER=scenario(variables()),
    )
    ended = run(project, who="me")

    assert ended.outcome == "WARNING", ended.get_log()
    assert [outcome for _, outcome in outcomes(ended)] == ["SUCCESS", "SUCCESS", "FAILED", *["SUCCESS"] * 4]
    assert project.get_scenario("INNER").get_last_finished_run().outcome == "SUCCESS"
    assert project.get_variables()["standard"]["finished"] is True


def test_a_fatal_step_ends_a_custom_scenario(project_of: Callable[..., DSSProject]) -> None:
    project = project_of(
        S="""
        from dataiku.scenario import Scenario
        Scenario().clear_dataset("people")
        print("never")
        """
    )
    ended = run(project)

    assert ended.outcome == "FAILED"
    assert ended.get_info()["result"]["thrown"]["clazz"] == "StepFailedException"
    assert "never" not in ended.get_log().splitlines()


def test_variables_of_a_run_reach_the_recipes_it_builds(project_of: Callable[..., DSSProject]) -> None:
    project = project_of(
        S="""
        from dataiku.scenario import Scenario
        scenario = Scenario()
        scenario.set_scenario_variables(colour="blue")
        scenario.build_dataset("adults", build_mode="NON_RECURSIVE_FORCED_BUILD")
        """
    )
    settings = project.get_recipe("compute_adults").get_settings()
    settings.set_code(
        textwrap.dedent(
            """
            import dataiku
            assert dataiku.get_custom_variables()["colour"] == "blue"
            with dataiku.Dataset("adults").get_writer() as writer:
                writer.write_row_dict({"name": "x"})
            """
        )
    )
    settings.save()

    ended = run(project)
    assert ended.outcome == "SUCCESS", ended.get_log()
    assert "colour" not in project.get_variables()["standard"]


# ---- what is known of runs


def test_runs_are_found_again(project_of: Callable[..., DSSProject]) -> None:
    project = project_of(S=scenario(variables()))
    handle = project.get_scenario("S")
    runs = [run(project) for _ in range(3)]

    assert [one.id for one in handle.get_last_runs()] == [one.id for one in reversed(runs)]
    assert [one.id for one in handle.get_last_runs(limit=1)] == [runs[-1].id]
    assert handle.get_last_successful_run().id == runs[-1].id
    assert handle.get_run(runs[0].id).outcome == "SUCCESS"
    assert handle.get_current_run() is None
    assert handle.get_average_duration(limit=3) == pytest.approx(sum(one.duration for one in runs) / 3, abs=0.01)
    today = datetime.now()
    assert len(handle.get_runs_by_date(today - timedelta(days=1), today + timedelta(days=2))) == 3
    assert handle.get_runs_by_date(today - timedelta(days=3), today - timedelta(days=1)) == []
    with pytest.raises(DataikuException, match="has no run 2020-01-01"):
        handle.get_run("2020-01-01")


def test_a_run_keeps_the_definition_it_ran_with(project_of: Callable[..., DSSProject]) -> None:
    project = project_of(S=scenario(variables(), markedAsTest=False))
    ended = run(project)
    settings = project.get_scenario("S").get_settings()
    settings.get_raw()["markedAsTest"] = True
    settings.save()

    with pytest.raises(DataikuException, match="was not marked as a test scenario"):
        ended.get_report()
    assert run(project).get_report().ok
