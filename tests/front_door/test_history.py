"""history: releases, rollbacks, a click in the Deployer, as the nodes and the records tell them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from typing import Any

import pytest

from mlops_steps.sandbox.site import Sandbox
from tests.front_door.api_workspace import ApiWorkspace, api
from tests.front_door.conftest import Workspace, create_project, set_stage_variable
from tests.jenkins.fake_controller import TOKEN, USER, FakeBuild, FakeController

__all__ = ["api"]

JOB = "churn"
Story = tuple[Workspace, list[str], FakeController]


@pytest.fixture(scope="module")
def story(steps_sandbox: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    """Two releases, one that is rolled back, and a click that goes back to the first."""
    create_project(steps_sandbox, "HISTORY")
    workspace = Workspace(tmp_path_factory.mktemp("history"), steps_sandbox, "HISTORY")
    controller = FakeController()
    controller.add_job(JOB)
    records = workspace.folder / "records"
    records.mkdir()
    bundles = []
    for build, smoke in ((1, "pass"), (2, "pass"), (3, "fail")):
        bundles.append(workspace.tested(build, smoke=smoke))
        if build == 2:
            set_stage_variable(workspace)
        assert workspace.run("release", "--stage", "prod").code == (4 if smoke == "fail" else 0)
        kept = records / f"{build}.json"
        shutil.copy(workspace.folder / ".mlops/release.json", kept)
        began = 4_000_000_000_000  # later than any --since
        controller.add_past_build(JOB, FakeBuild(artifacts={".mlops/release.json": kept.read_bytes()}, began=began))
    deployer = workspace.client("design").get_projectdeployer()
    settings = deployer.get_deployment("HISTORY-on-auto-prod").get_settings()
    settings.get_raw()["bundleId"] = bundles[0]
    settings.save()
    deployer.get_deployment("HISTORY-on-auto-prod").start_update().wait_for_result()
    with controller.running() as running:
        yield workspace, bundles, running


def whole(document: dict[str, Any]) -> list[tuple[str, str, str]]:
    return [(change["version"], change["what"], change["source"]) for change in document["changes"]]


def test_the_history_names_releases_rollbacks_and_clicks(story: Story) -> None:
    workspace, (one, two, three), _ = story
    result = workspace.ok("history", "--records", "records", "--json")
    document = json.loads(result.out)
    assert whole(document) == [
        (one, "released", "pipeline"),
        (two, "released", "pipeline"),
        (three, "released", "pipeline"),
        (two, "rolled back", "pipeline"),
        (one, "rolled back", "by hand"),
    ]
    assert "smoke test" in document["changes"][3]["why"]
    figures = document["figures"]["HISTORY"]
    assert (figures["deployments"], figures["failed"], figures["attempts"]) == (3, 1, 3)
    assert figures["time_to_restore"] > 0
    assert figures["lead_time_commits"] >= 1
    assert document["all"] == figures


def test_the_table_says_what_rests_on_too_little_and_the_page_has_a_strip(story: Story) -> None:
    workspace, (one, _, three), _ = story
    out = workspace.ok("history", "--records", "records").out
    rows = [line.split("  ") for line in out.splitlines()]
    assert out.splitlines()[0].split() == ["when", "bundle", "what", "took", "by", "who", "build", "why"]
    assert rows[1][1:3] == [one, "rolled back"]
    assert "change failure rate    33 % (1 of 3)" in out
    assert "too little to go by: deployment frequency rests on 3" in out
    page = (workspace.folder / "reports/html/index.html").read_text()
    assert f'<span class="version">{three}</span>' in page


def test_the_records_of_a_jobs_builds_are_read_from_the_controller(story: Story) -> None:
    workspace, _, controller = story
    shutil.move(workspace.folder / ".mlops/release.json", workspace.folder / "release.json")
    try:
        access = {"JENKINS_URL": controller.url, "JENKINS_USER": USER, "JENKINS_API_TOKEN": TOKEN}
        told = json.loads(workspace.ok("history", "--json", "--job", JOB, **access).out)
        alone = json.loads(workspace.ok("history", "--json").out)
        missing = workspace.run("history", "--job", "no-such-job", **access)
    finally:
        shutil.move(workspace.folder / "release.json", workspace.folder / ".mlops/release.json")
    assert [source for _, _, source in whole(told)] == ["pipeline"] * 4 + ["by hand"]
    assert told["changes"][0]["build"].endswith("/job/churn/1/")
    assert [what for _, what, _ in whole(alone)] == ["released"] * 3 + ["rolled back"] * 2
    assert {source for _, _, source in whole(alone)} == {"not known"}
    assert missing.code == 3
    assert "job no-such-job" in missing.err


def test_all_projects_are_counted_together(story: Story) -> None:
    workspace, _, _ = story
    document = json.loads(workspace.ok("history", "--all", "--json").out)
    assert "HISTORY" in document["figures"]
    assert document["all"]["deployments"] >= document["figures"]["HISTORY"]["deployments"]


@pytest.mark.parametrize("since", ["yesterday", "2026-13-01", "9y"])
def test_a_time_that_is_none_is_refused(story: Story, since: str) -> None:
    assert story[0].run("history", "--since", since).code == 2


def test_nothing_in_the_time_is_said(story: Story) -> None:
    out = story[0].ok("history", "--since", "0d").out
    assert out.startswith("no change in this time")
    assert "lead time for changes  not known" in out


def test_an_api_service_has_a_history_of_its_own(api: ApiWorkspace) -> None:
    api.deployed("v1")
    api.ok("api-release", "--stage", "prod")
    api.deployed("v2")
    records = {"endpoint": "score", "queries": [{"features": {"age": age, "calls": 1}} for age in range(40)]}
    (api.folder / "records.yml").write_text(json.dumps(records))
    shares = {"shares": [5, 50, 100], "calls": 80, "records": "records.yml", "mode": "MULTI_GENERATION"}
    canary = {"tests": "off", "strategy": "canary", "canary": {**shares, "slower": 100}}
    api.configure(api={"release": canary})
    api.ok("api-release", "--stage", "prod")
    api.model("m3", weight=4)
    api.deployed("v3")
    assert api.run("api-release", "--stage", "prod").code == 4
    document = json.loads(api.ok("history", "--json").out)
    name = f"API service {api.service}"
    assert {change["project"] for change in document["changes"]} == {name}
    said = [(change["version"], change["before"], change["what"]) for change in document["changes"]]
    assert said == [
        ("v1", None, "released"),
        ("v2", "v1", "canary"),
        ("v2", "v1", "released"),
        ("v3", "v2", "canary"),
        ("v2", "v2", "rolled back"),
    ]
    last = document["changes"][-1]
    assert last["source"] == "pipeline"
    assert "the canary failed at 5 %" in last["why"]
    assert document["changes"][0]["commit"]
    figures = document["figures"][name]
    assert (figures["deployments"], figures["failed"], figures["attempts"]) == (2, 1, 3)
    out = api.ok("history").out
    assert out.splitlines()[0].split()[:3] == ["when", "version", "what"]
    assert "change failure rate    33 % (1 of 3)" in out
    page = (api.folder / "reports/html/index.html").read_text()
    assert "prod, API service" in page
