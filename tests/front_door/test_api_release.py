"""``api-release``, ``api-recover`` and ``api-rollback`` through the front door: what answers is what they say."""

from __future__ import annotations

import json
import signal
import time
from pathlib import Path
from typing import Any

import dataikuapi
import pytest

from mlops_steps.version import __version__
from tests.front_door.api_workspace import ApiWorkspace, api
from tests.records import pending

__all__ = ["api"]

PROD = ("api-prod-1", "api-prod-2")


def on_prod(*versions: str) -> dict[str, list[str]]:
    return {node: list(versions) for node in PROD}


def unit(api: ApiWorkspace) -> dict[str, Any]:
    found: dict[str, Any] = api.record["api_stages"]["prod"]["units"]["api-prod"]
    return found


def released(api: ApiWorkspace, version: str) -> str:
    api.deployed(version)
    api.ok("api-release", "--stage", "prod")
    return version


def deployment(api: ApiWorkspace) -> Any:
    return api.client("design").get_apideployer().get_deployment(f"{api.service}-on-api-prod")


def test_a_version_is_released_and_the_next_one_takes_its_place(api: ApiWorkspace) -> None:
    api.deployed("v1")
    first = api.ok("api-release", "--stage", "prod")
    assert "first release to prod" in first.err
    assert api.serving("api-prod") == on_prod("v1")
    names = [case.get("name") for case in first.report("api-release-prod").iter("testcase")]
    assert names == ["gate", "archive", "deploy", "smoke-test"]
    assert (unit(api)["phase"], unit(api)["kind"], unit(api)["version"]) == ("live", "api service", "v1")
    second = api.deployed("v2") and api.ok("api-release", "--stage", "prod")
    assert "if that fails: back to version v1" in second.err
    assert api.serving("api-prod") == on_prod("v2")
    assert unit(api)["previous"]["version"] == "v1"
    assert "nothing to do" in api.ok("api-release", "--stage", "prod").err


def test_a_policy_holds_for_the_service_too(api: ApiWorkspace) -> None:
    api.deployed("v1")
    always = {"name": "always", "timezone": "UTC", "from": "2020-01-01"}
    api.configure(policy={"freezes": [always]})
    frozen = api.run("api-release", "--stage", "prod")
    assert frozen.code == 1, frozen.err
    assert "no release to prod now: freeze always" in frozen.err
    api.configure(policy={"soak": "1h"})
    soaking = api.run("api-release", "--stage", "prod")
    assert soaking.code == 1, soaking.err
    assert "policy.soak is 1h" in soaking.err
    for given, said in (
        ({}, "api.release.strategy is all, but policy.canary requires a canary ("),
        ({"strategy": "canary", "canary": {"shares": [100]}}, "api.release.canary.shares begins with all calls"),
        ({"strategy": "canary", "canary": {"inconclusive": "continue"}}, "api.release.canary.inconclusive is continue"),
    ):
        api.configure(policy={"canary": True}, api={"release": {"tests": "off", **given}})
        refused = api.run("api-release", "--stage", "prod")
        assert refused.code == 2, refused.err
        assert said in refused.err
    # What the organisation requires cannot be switched off by the project, neither in `api` nor in `policy`.
    least = {"MLOPS_LIBRARY_POLICY": json.dumps({"policy": {"service_tests": True}})}
    for policy, said in (
        ({"soak": 0}, "api.release.tests is off, but policy.service_tests requires that `api-test` has passed ("),
        ({"service_tests": False}, "policy.service_tests: false is less than true, which policy.yml of the Jenkins"),
    ):
        api.configure(policy=policy, api={"release": {"tests": "off"}})
        refused = api.run("api-release", "--stage", "prod", **least)
        assert refused.code == 2, refused.err
        assert said in refused.err
    assert api.serving("api-prod") == on_prod()
    api.configure(policy={"freezes": [always]})
    forced = api.ok("api-release", "--stage", "prod", "--force", "wrong answers")
    assert forced.properties("api-release-prod")["forced_because"] == "wrong answers"
    assert api.record["api_stages"]["prod"]["forced"]["reason"] == "wrong answers"


def test_a_function_of_the_teams_own_judges_a_version_before_it_is_released(api: ApiWorkspace) -> None:
    (api.folder / "checks.py").write_text(
        "from mlops_steps import GateResult, GateVerdict\n"
        "def judge(context):\n"
        "    good = context.candidate == 'v1'\n"
        "    verdict = GateVerdict.PASSED if good else GateVerdict.FAILED\n"
        "    return GateResult(verdict, f'{context.candidate} on {context.stage}', 0.5)\n"
        "def read(context):\n"
        "    return context.rows('scored', 'label')\n"
    )

    def gate(function: str) -> dict[str, Any]:
        steps = ["api-test", "api-release"]
        return {"gate": "custom", "name": "ours", "function": f"checks.py:{function}", "steps": steps}

    def configure(*gates: dict[str, Any]) -> None:
        api.configure()
        path = api.folder / "mlops.yml"
        path.write_text(json.dumps({**json.loads(path.read_text()), "gates": list(gates)}))

    configure(gate("judge"))
    api.deployed("v1")
    tested = api.run("api-test", "--stage", "dev")
    assert tested.properties("api-test-dev")["gate.ours.verdict"] == "passed", tested.err
    assert api.record["api_stages"]["dev"]["test"]["gates"]["ours"]["value"] == 0.5
    api.ok("api-release", "--stage", "prod")
    assert api.record["api_stages"]["prod"]["gates"]["ours"]["message"] == "v1 on prod"
    api.deployed("v2")
    dry = api.ok("api-release", "--stage", "prod", "--dry-run")
    assert dry.case("api-release-prod", "gate ours").find("skipped") is not None
    stopped = api.run("api-release", "--stage", "prod")
    assert stopped.code == 1, stopped.err
    assert "1 of 1 gates do not let version v2 go to prod; prod is untouched" in stopped.err
    configure(gate("read"))
    unmeasured = api.run("api-release", "--stage", "prod")
    assert unmeasured.code == 1, unmeasured.err
    assert "of an API service, which has no datasets" in unmeasured.err
    assert api.serving("api-prod") == on_prod("v1")


def test_what_was_not_tried_on_the_stage_before_is_refused(api: ApiWorkspace) -> None:
    missing = api.run("api-release", "--stage", "prod")
    assert missing.code == 1
    assert "run `mlops-steps api-package` first" in missing.err
    api.packaged("v1")
    early = api.run("api-release", "--stage", "prod")
    assert early.code == 1
    assert "on stage dev it was not deployed there; prod is untouched" in early.err
    api.ok("api-deploy", "--stage", "dev")
    first = api.run("api-release", "--stage", "dev")
    assert first.code == 2
    assert "dev is the first stage of the API service" in first.err
    dry = api.ok("api-release", "--stage", "prod", "--dry-run")
    assert "will be live: version v1" in dry.err
    assert api.serving("api-prod") == on_prod()


@pytest.mark.parametrize(
    ("node", "kind", "settings", "words"),
    [
        ("api-prod-2", "update-fails", {"message": "no room"}, "no room"),
        ("api-prod-1", "update-lies", {"count": 1}, "does not answer everywhere"),
        ("design", "health", {"health": "UNHEALTHY", "after": 1, "count": 12}, "UNHEALTHY"),
    ],
)
def test_a_release_that_fails_is_rolled_back(
    api: ApiWorkspace, node: str, kind: str, settings: dict[str, Any], words: str
) -> None:
    released(api, "v1")
    api.deployed("v2")
    api.configure(api={"health_timeout": "2s"})
    with api.fault(kind, node=node, **settings):
        result = api.run("api-release", "--stage", "prod")
    assert result.code == 4, result.err
    assert words in result.err
    assert "live now: version v1 on api-prod (HEALTHY), verified" in result.err
    assert api.serving("api-prod") == on_prod("v1")
    assert unit(api)["phase"] == "restored"
    assert "smoke-test after rollback" in [
        case.get("name") for case in result.report("api-release-prod").iter("testcase")
    ]


def test_a_first_release_that_fails_leaves_the_deployment_disabled(api: ApiWorkspace) -> None:
    api.deployed("v1")
    api.configure(api={"health_timeout": "1s"})
    with api.fault("health", health="UNHEALTHY", count=12):
        result = api.run("api-release", "--stage", "prod")
    assert result.code == 4, result.err
    assert deployment(api).get_settings().get_raw()["enabled"] is False
    for node in PROD:
        with pytest.raises(Exception, match="is not enabled"):
            dataikuapi.APINodeClient(api.sandbox.nodes[node].url, api.service).predict_record("score", {"age": 1})


def test_a_version_whose_test_query_fails_is_rolled_back(api: ApiWorkspace) -> None:
    released(api, "v1")
    api.model("m2", broken=True)
    api.packaged("v2")
    # `api-deploy` would see it on dev; only production shows what is broken here.
    record = api.record
    there = {"kind": "api service", "infra": "api-dev", "deployment": "d", "phase": "live", "version": "v2"}
    record.setdefault("api_stages", {})["dev"] = {"units": {"api-dev": there}}
    (api.folder / ".mlops" / "release.json").write_text(json.dumps(record))
    result = api.run("api-release", "--stage", "prod")
    assert result.code == 4, result.err
    assert api.serving("api-prod") == on_prod("v1")


@pytest.mark.parametrize("then", ["api-release", "api-recover"])
@pytest.mark.parametrize("record", ["kept", "lost"])
def test_a_release_that_is_killed_is_finished_or_restored(api: ApiWorkspace, then: str, record: str) -> None:
    released(api, "v1")
    api.deployed("v2")
    kept = api.record
    with api.fault("health", health="UNHEALTHY", count="for ever"):
        process = api.start("api-release", "--stage", "prod")
        limit = time.monotonic() + 60
        while api.serving("api-prod") != on_prod("v2"):
            assert time.monotonic() < limit
            time.sleep(0.05)
        process.send_signal(signal.SIGKILL)
        api.finish(process)
    if record == "lost":
        # The package and what was tried are known from the archived record; nothing is known of the release.
        kept["api_stages"].pop("prod", None)
        (api.folder / ".mlops" / "release.json").write_text(json.dumps(kept))
    api.ok(then, "--stage", "prod")
    wanted = "v1" if (then, record) == ("api-recover", "kept") else "v2"
    assert api.serving("api-prod") == on_prod(wanted)
    assert not any(found.get("pending") for found in api.record["api_stages"].values())
    tags = api.client("design").get_apideployer().get_service(api.service).get_settings().get_raw()["tags"]
    assert tags == [], "the note of who is at work is left behind"


def test_sigterm_in_a_release_restores_before_it_ends(api: ApiWorkspace) -> None:
    released(api, "v1")
    api.deployed("v2")
    with api.fault("health", health="UNHEALTHY", after=1, count=20):
        process = api.start("api-release", "--stage", "prod")
        limit = time.monotonic() + 60
        while api.serving("api-prod") != on_prod("v2"):
            assert time.monotonic() < limit
            time.sleep(0.05)
        process.send_signal(signal.SIGTERM)
        result = api.finish(process)
    assert result.code == 143, result.err
    assert api.serving("api-prod") == on_prod("v1")
    assert "live again, verified" in result.err


def test_a_rollback_goes_to_the_version_before_and_to_a_chosen_one(api: ApiWorkspace) -> None:
    released(api, "v1")
    released(api, "v2")
    back = api.ok("api-rollback", "--stage", "prod")
    assert api.serving("api-prod") == on_prod("v1")
    assert "rolled back: version v1 on api-prod (HEALTHY), verified" in back.err
    api.ok("api-rollback", "--stage", "prod", "--to", "v2")
    assert api.serving("api-prod") == on_prod("v2")
    unknown = api.run("api-rollback", "--stage", "prod", "--to", "v9")
    assert unknown.code == 1
    assert "version v9 is not on the API Deployer; nothing was changed" in unknown.err


def test_versions_that_share_the_calls_are_not_guessed_about(api: ApiWorkspace) -> None:
    released(api, "v1")
    api.deployed("v2")
    settings = deployment(api).get_settings()
    entries = [{"generation": "v1", "proba": 0.5}, {"generation": "v2", "proba": 0.5}]
    settings.get_raw()["generationsMapping"] = {"mode": "MULTI_GENERATION", "entries": entries}
    settings.save()
    deployment(api).start_update().wait_for_result()
    result = api.run("api-release", "--stage", "prod")
    assert result.code == 3, result.err
    assert "do not name one version" in result.err
    assert {node: sorted(found) for node, found in api.serving("api-prod").items()} == on_prod("v1", "v2")
    api.ok("api-rollback", "--stage", "prod", "--to", "v1")
    assert api.serving("api-prod") == on_prod("v1")


def test_somebody_else_s_version_is_not_overwritten(api: ApiWorkspace) -> None:
    released(api, "v1")
    api.packaged("v3")
    api.deployed("v2")
    with api.fault("health", health="UNHEALTHY", after=1, count="for ever"):
        process = api.start("api-release", "--stage", "prod")
        limit = time.monotonic() + 60
        while api.serving("api-prod") != on_prod("v2"):
            assert time.monotonic() < limit
            time.sleep(0.05)
        settings = deployment(api).get_settings()
        settings.set_single_version("v3")
        settings.save()
        deployment(api).start_update().wait_for_result()
        process.send_signal(signal.SIGTERM)
        result = api.finish(process)
    assert result.code == 5, result.err
    assert "somebody else has set deployment" in result.err
    assert api.serving("api-prod") == on_prod("v3")


def test_the_record_that_was_archived_before_restores_on_another_agent(api: ApiWorkspace, tmp_path: Path) -> None:
    released(api, "v1")
    api.deployed("v2")
    step = json.dumps({"step": "api-release", "library": __version__, "parameters": {"stage": "prod"}})
    said = api.ok("from-environment", "note", MLOPS_STEP=step).out
    assert "live=Live on prod before the api-release: version v1 on api-prod (HEALTHY)\n" in said
    assert (unit(api)["phase"], unit(api)["version"], unit(api)["previous"]["version"]) == ("noted", "v2", "v1")
    assert not pending(api.record, "prod")
    plan = api.ok("from-environment", "plan", MLOPS_STEP=step).out
    assert "note=true" in plan


def test_status_shows_what_answers_where(api: ApiWorkspace) -> None:
    released(api, "v1")
    api.deployed("v2")
    said = api.ok("status").out
    rows = {line.split()[1]: line for line in said.splitlines() if line.startswith(api.service)}
    assert " v2 " in rows["dev"]
    assert " v1 " in rows["prod"]
    assert "api-prod-1: v1, api-prod-2: v1" in rows["prod"]
    settings = deployment(api).get_settings()
    entries = [{"generation": "v1", "proba": 0.75}, {"generation": "v2", "proba": 0.25}]
    settings.get_raw()["generationsMapping"] = {"mode": "MULTI_GENERATION", "entries": entries}
    settings.save()
    deployment(api).start_update().wait_for_result()
    (row,) = [
        row for row in json.loads(api.ok("status", "--json").out) if row.get("service") and row["stage"] == "prod"
    ]
    assert (row["version"], row["shares"], row["health"]) == (None, {"v1": 0.75, "v2": 0.25}, "HEALTHY")
    assert "v1 75 %, v2 25 %" in api.ok("status").out
    with api.fault("refuse", node="api-prod-2", count="for ever"):
        down = api.ok("status").out
    assert "api-prod-2: no answer" in down
    with api.fault("error", status=403, operation="list api deployments", count="for ever"):
        refused = api.run("status")
    assert refused.code == 3
    assert "could not ask dev (" in refused.err


def test_doctor_says_whether_every_api_node_serves_the_same(api: ApiWorkspace) -> None:
    released(api, "v1")
    well = api.ok("doctor")
    assert "api-prod: v1 on 2 API nodes" in well.err
    api.deployed("v2")
    api.configure(api={"health_timeout": "1s"})
    admin = api.sandbox.nodes["api-prod-2"]
    dataikuapi.APINodeAdminClient(admin.url, admin.api_key).service(api.service).disable()
    differs = api.run("doctor")
    assert differs.code == 1, differs.err
    assert "api-prod: the API nodes differ: api-prod-1: v1, api-prod-2: no answer" in differs.err
    assert "all checks" not in differs.err
