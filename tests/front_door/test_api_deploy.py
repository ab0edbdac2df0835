"""``api-deploy`` through the front door: believed only when each API node answers with the version."""

from __future__ import annotations

import json
import signal
import time

import dataikuapi
import pytest

from tests.front_door.api_workspace import ApiWorkspace, api

__all__ = ["api"]

BOTH = ("api-dev-1", "api-dev-2")


def on_both(*versions: str) -> dict[str, list[str]]:
    return {node: list(versions) for node in BOTH}


def test_the_first_deployment_is_created_and_the_next_version_takes_its_place(api: ApiWorkspace) -> None:
    api.packaged("v1")
    result = api.ok("api-deploy", "--stage", "dev")
    assert api.serving() == on_both("v1")
    assert [case.get("name") for case in result.report("api-deploy-dev").iter("testcase")] == ["archive", "deploy"]
    said = result.case("api-deploy-dev", "deploy").findtext("system-out") or ""
    for node in BOTH:
        assert f"{node}, endpoint score: version v1" in said
        assert f"{node}, endpoint greet: version v1" not in said, "greet has no test query, so it is not called"
    assert result.properties("api-deploy-dev")["version"] == "v1"
    outcome = api.record["api_stages"]["dev"]["units"]["api-dev"]["deploy"]
    assert (outcome["result"], outcome["bundle"]) == ("passed", "v1")
    settings = api.deployment.get_settings()
    settings.get_raw()["tags"] = ["kept"]
    settings.save()
    api.deployed("v2")
    assert api.serving() == on_both("v2")
    raw = api.deployment.get_settings().get_raw()
    assert raw["generationsMapping"] == {"mode": "SINGLE_GENERATION", "generation": "v2"}
    assert raw["tags"] == ["kept"]
    client = dataikuapi.APINodeClient(api.sandbox.nodes["api-dev-1"].url, api.service)
    assert client.predict_record("score", {"age": 1, "calls": 1})["apiContext"]["serviceGeneration"] == "v2"


def test_what_answers_everywhere_already_is_left_alone(api: ApiWorkspace) -> None:
    api.deployed("v1")
    result = api.ok("api-deploy", "--stage", "dev")
    assert "nothing to do" in result.err
    assert api.updates == 1
    assert api.record["api_stages"]["dev"]["units"]["api-dev"]["deploy"]["result"] == "passed"


def test_several_generations_and_a_disabled_deployment_become_one_that_answers(api: ApiWorkspace) -> None:
    api.deployed("v1")
    api.packaged("v2")
    settings = api.deployment.get_settings()
    entries = [{"generation": "v1", "proba": 0.5}, {"generation": "v2", "proba": 0.5}]
    settings.get_raw()["generationsMapping"] = {"mode": "MULTI_GENERATION", "entries": entries}
    settings.set_enabled(False)
    settings.save()
    api.ok("api-deploy", "--stage", "dev", "--version", "v2")
    assert api.serving() == on_both("v2")


def test_the_release_stage_is_refused_and_untouched(api: ApiWorkspace) -> None:
    api.packaged("v1")
    result = api.run("api-deploy", "--stage", "prod")
    assert result.code == 2
    assert "is the release stage" in result.err
    assert "api-release" in result.err
    assert api.serving("api-prod") == {"api-prod-1": [], "api-prod-2": []}
    assert f"{api.service}-on-api-prod" not in [
        item["deploymentBasicInfo"]["id"]
        for item in api.client("design").get_apideployer().list_deployments(as_objects=False)
    ]
    api.configure(api={"release_stage": "dev"})
    assert api.run("api-deploy", "--stage", "dev").code == 2


def test_wrong_stages_and_missing_versions_are_one_clear_line(api: ApiWorkspace) -> None:
    result = api.run("api-deploy", "--stage", "dve")
    assert result.code == 2
    assert "did you mean dev?" in result.err
    result = api.run("api-deploy", "--stage", "dev")
    assert result.code == 1
    assert "run `mlops-steps api-package` first" in result.err
    result = api.run("api-deploy", "--stage", "dev", "--version", "v9")
    assert result.code == 1
    assert f"version v9 of API service {api.service} is not published" in result.err


@pytest.mark.parametrize("operation", ["create api deployment", "start api update", "save api settings"])
@pytest.mark.parametrize("kind", ["drop", "html", "empty"])
def test_a_lost_answer_is_made_up_for_by_looking(api: ApiWorkspace, operation: str, kind: str) -> None:
    updates = 1
    if operation == "save api settings":
        api.deployed("v1")
        updates = 2
    api.packaged("v2")
    with api.fault(kind, operation=operation, act="after"):
        api.ok("api-deploy", "--stage", "dev")
    assert api.serving() == on_both("v2")
    assert api.updates == updates, "an update was started twice"


@pytest.mark.parametrize("node", BOTH)
def test_a_node_that_goes_on_with_the_old_version_is_noticed_whatever_the_deployer_says(
    api: ApiWorkspace, node: str
) -> None:
    api.deployed("v1")
    api.packaged("v2")
    api.configure(api={"health_timeout": "2s"})
    api.sandbox.nodes["design"].faults.add("health", health="HEALTHY", count="for ever")
    with api.fault("update-lies", node=node, count=1):
        result = api.run("api-deploy", "--stage", "dev")
    api.sandbox.nodes["design"].faults.clear()
    assert result.code == 1, result.err
    assert f"{node}, endpoint score: version v1" in result.err
    assert api.serving()[node] == ["v1"]
    outcome = api.record["api_stages"]["dev"]["units"]["api-dev"]["deploy"]
    assert (outcome["result"], outcome["bundle"]) == ("failed", "v2")
    assert "live now: " in result.err


def test_a_deployment_that_is_not_healthy_is_not_believed(api: ApiWorkspace) -> None:
    api.packaged("v1")
    api.configure(api={"health_timeout": "1s"})
    with api.fault("health", health="UNHEALTHY", count="for ever"):
        result = api.run("api-deploy", "--stage", "dev")
    assert result.code == 1, result.err
    assert "UNHEALTHY" in result.err


def test_a_version_that_cannot_answer_fails_with_what_the_node_says(api: ApiWorkspace) -> None:
    api.deployed("v1")
    api.model("m2", broken=True)
    api.packaged("v2")
    api.configure(api={"health_timeout": "1s"})
    result = api.run("api-deploy", "--stage", "dev")
    assert result.code == 1, result.err
    assert "broken" in result.err
    assert result.case("api-deploy-dev", "deploy").find("failure") is not None


def test_an_update_that_fails_ends_with_the_deployers_message_and_what_is_live(api: ApiWorkspace) -> None:
    api.deployed("v1")
    api.packaged("v2")
    with api.fault("update-fails", node="api-dev-2", message="no room for the model"):
        result = api.run("api-deploy", "--stage", "dev")
    assert result.code == 1, result.err
    assert "no room for the model" in result.err
    assert "live now: version v1 on api-dev" in result.err
    assert api.serving() == on_both("v1")


def test_a_replaced_archive_is_not_deployed(api: ApiWorkspace) -> None:
    api.packaged("v1")
    record = api.record
    record["package"]["sha256"] = "0" * 64
    (api.folder / ".mlops" / "release.json").write_text(json.dumps(record))
    result = api.run("api-deploy", "--stage", "dev")
    assert result.code == 1
    assert "is not the one that was packaged; dev is untouched" in result.err
    assert api.serving() == on_both()


def test_nodes_that_mlops_yml_leaves_out_are_an_error_and_none_means_those_of_the_deployer(api: ApiWorkspace) -> None:
    api.packaged("v1")
    one = api.sandbox.nodes["api-dev-1"].url
    api.configure(api={"nodes": {"first": {"url": one, "infra": "api-dev"}}})
    result = api.run("api-deploy", "--stage", "dev")
    assert result.code == 2
    assert "infrastructure api-dev has 2 API nodes, and 1 are configured: first" in result.err
    api.configure(api={"nodes": {"elsewhere": {"url": one, "infra": "api-other"}}})
    said = api.ok("api-deploy", "--stage", "dev").case("api-deploy-dev", "deploy").findtext("system-out") or ""
    assert f"{one.removeprefix('http://')}, endpoint score: version v1" in said
    assert len(said.strip().splitlines()) == 2


def test_two_at_once_keep_apart_and_the_second_one_changes_nothing(api: ApiWorkspace) -> None:
    api.packaged("v1")
    api.configure(http={"read_timeout": "120s"}, api={"deploy_timeout": "120s", "health_timeout": "60s"})
    faults = api.sandbox.nodes["design"].faults
    faults.clear_requests()  # those of the tests before
    with api.fault("late", operation="start api update", seconds=100, act="before"):
        first = api.start("api-deploy", "--stage", "dev")
        limit = time.monotonic() + 30
        while not any("actions/update" in request.path for request in faults.requests()):
            assert time.monotonic() < limit
            time.sleep(0.05)
        second = api.run("api-deploy", "--stage", "dev")
        faults.clear()  # the update goes on
        assert api.finish(first).code == 0
    assert second.code == 3, second.err
    assert "is at work on it" in second.err
    assert api.updates == 1


def test_sigterm_ends_it_with_what_is_live_and_a_rerun_finishes_it(api: ApiWorkspace) -> None:
    api.deployed("v1")
    api.packaged("v2")
    with api.fault("health", health="UNHEALTHY", count="for ever"):
        process = api.start("api-deploy", "--stage", "dev")
        limit = time.monotonic() + 30
        while api.updates < 2:
            assert time.monotonic() < limit
            time.sleep(0.05)
        process.send_signal(signal.SIGTERM)
        result = api.finish(process)
    assert result.code == 143, result.err
    assert "live now: " in result.err
    assert api.record["api_stages"]["dev"]["units"]["api-dev"]["deploy"]["result"] == "failed"
    api.ok("api-deploy", "--stage", "dev")
    assert api.serving() == on_both("v2")
    tags = api.client("design").get_apideployer().get_service(api.service).get_settings().get_raw()["tags"]
    assert tags == [], "the note of who is at work is left behind"
