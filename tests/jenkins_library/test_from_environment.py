"""The Python side of the Groovy steps: what is asked for, and what is told."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from mlops_steps import __version__
from mlops_steps.commands.groovy import request as requests
from mlops_steps.commands.groovy.outcome import Before, outcome
from mlops_steps.commands.groovy.request import Arguments, Request
from mlops_steps.config import Settings, load
from mlops_steps.delivery.exclusive import stage_lock
from mlops_steps.delivery.phases import Phase
from mlops_steps.delivery.record import Approval, Bundle, ReleaseRecord, build_from
from mlops_steps.delivery.unit import Outcome, Previous
from mlops_steps.errors import ConfigError
from mlops_steps.report import junit
from mlops_steps.report.model import Report
from mlops_steps.steps.registry import STEPS
from mlops_steps.system.console import Console
from tests.support import commands

NODES = {
    "MLOPS_PROJECT": "CHURN",
    "MLOPS_DESIGN_URL": "https://127.0.0.1:1",
    "MLOPS_TEST_URL": "https://127.0.0.1:2",
    "MLOPS_TEST_INFRA": "auto-test",
    "MLOPS_PROD_URL": "https://127.0.0.1:3",
    "MLOPS_PROD_INFRA": "auto-prod",
}
ANSWER = {
    "stage": "prod",
    "by": "jane",
    "at": "1764230400123",
    "asked": "a" * 64,
    "build": "http://jenkins/job/churn/12/",
}
BUILD = {"BUILD_NUMBER": "12", "JOB_NAME": "churn", "BUILD_URL": "http://jenkins/job/churn/12/"}


@dataclass
class Ended:
    """What a call has left."""

    code: int
    told: dict[str, str]
    log: str


def call(
    what: str,
    step: str,
    parameters: dict[str, Any],
    folder: Path,
    command: tuple[str, ...] = (),
    **environment: str,
) -> Ended:
    """Calls the command as the Groovy step does."""
    asked = {"step": step, "library": __version__, "parameters": parameters}
    whole = {**os.environ, **NODES, "MLOPS_STEP": json.dumps(asked), **environment}
    if command:
        process = subprocess.run(
            [sys.executable, *command, "from-environment", what],
            cwd=folder,
            env=whole,
            capture_output=True,
            text=True,
            timeout=60,
        )
    else:
        process = commands.run(["from-environment", what], folder, whole)
    lines = process.stdout.splitlines()
    return Ended(process.returncode, dict(line.split("=", 1) for line in lines), process.stderr)


#: Runs the command, and says at its end how often the configuration was read.
COUNTING = """
import sys
from mlops_steps.config import loading
read, count = loading._build, []
loading._build = lambda *given: count.append(1) or read(*given)
from mlops_steps.cli import main
try:
    main()
finally:
    print(f"configurations read: {len(count)}", file=sys.stderr)
"""


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    environ = {**NODES, "MLOPS_CONFIG": str(tmp_path_factory.mktemp("settings") / "mlops.yml")}
    Path(environ["MLOPS_CONFIG"]).write_text("automation: approval\n")
    return load(None, environ, {})


def record(folder: Path, environ: dict[str, str]) -> ReleaseRecord:
    """A record of a bundle that was tested."""
    made = ReleaseRecord(project="CHURN", build=build_from(environ))
    made.begin(Bundle(id="b1", sha256="a" * 64, size=1))
    made.stage("test").test = Outcome(bundle="b1").end("passed")
    unit = made.unit("test", "auto-test", "CHURN-on-auto-test")
    unit.version, unit.phase, unit.deploy = "b1", Phase.LIVE, Outcome(bundle="b1").end("passed")
    made.save(folder / ".mlops/release.json")
    return made


@pytest.mark.parametrize(
    ("step", "stage", "nodes"),
    [
        ("doctor", None, ["design", "test", "prod"]),
        ("validate", None, ["design"]),
        ("package", None, ["design"]),
        ("deploy", "test", ["design", "test"]),
        ("test", "test", ["design", "test"]),
        ("release", "prod", ["design", "prod"]),
        ("smoke-test", "prod", ["design", "prod"]),
        ("recover", "prod", ["design", "prod"]),
        ("rollback", "prod", ["design", "prod"]),
        ("status", None, ["design", "test", "prod"]),
    ],
)
def test_a_step_gets_the_keys_of_the_nodes_that_it_asks(
    settings: Settings, step: str, stage: str | None, nodes: list[str]
) -> None:
    assert [node.name for node in STEPS[step].nodes(settings, stage)] == nodes


def test_where_there_is_a_deployer_of_its_own_its_key_is_needed(tmp_path: Path) -> None:
    settings = load(None, {**NODES, "MLOPS_DEPLOYER_URL": "https://127.0.0.1:4"}, {})
    assert {node.name for node in STEPS["package"].nodes(settings, None)} == {"design", "deployer"}
    assert {node.name for node in STEPS["status"].nodes(settings, None)} >= {"design", "deployer", "prod"}
    assert {node.name for node in STEPS["release"].nodes(settings, "prod")} == {"deployer", "prod"}


def test_a_gate_that_compares_with_the_champion_needs_the_key_of_its_node(tmp_path: Path) -> None:
    file = tmp_path / "mlops.yml"
    file.write_text("gates: [{gate: champion, dataset: d, key: k, label: l, metric: mae, prediction: p}]")
    settings = load(file, NODES, {})
    assert [node.name for node in STEPS["test"].nodes(settings, "test")] == ["design", "test", "prod"]
    assert [node.name for node in STEPS["deploy"].nodes(settings, "test")] == ["design", "test"]


def test_a_gate_that_asks_govern_needs_the_key_of_that_node(tmp_path: Path) -> None:
    file = tmp_path / "mlops.yml"
    file.write_text("gates: [{gate: governance, govern: govern}]")
    settings = load(file, {**NODES, "MLOPS_GOVERN_URL": "https://govern.example.com"}, {})
    assert {node.name for node in STEPS["test"].nodes(settings, "test")} == {"design", "test", "govern"}
    assert {node.name for node in STEPS["deploy"].nodes(settings, "test")} == {"design", "test"}


@pytest.mark.parametrize(
    ("step", "stage", "options", "leaves"),
    [
        ("release", "prod", {}, True),
        ("release", "prod", {"dry_run": True}, False),
        ("rollback", "prod", {}, True),
        ("recover", "prod", {}, True),
        ("deploy", "prod", {}, True),
        ("deploy", "test", {}, False),
        ("test", "prod", {}, False),
        ("monitor", "prod", {}, False),
    ],
)
def test_only_what_changes_production_is_recovered(
    settings: Settings, step: str, stage: str, options: dict[str, Any], leaves: bool
) -> None:
    assert STEPS[step].changes_production(settings, stage, options) is leaves


def test_a_look_may_leave_a_restore_pending_where_releases_are_on_probation(settings: Settings) -> None:
    release = settings.release.model_copy(update={"probation": 3600.0})
    probing = settings.model_copy(update={"release": release})
    assert STEPS["monitor"].recoveries(settings, "prod") == ()
    assert STEPS["monitor"].recoveries(probing, "prod") == ("recover",)
    assert STEPS["monitor"].changes_production(probing, "prod", {})


def arguments(step: str, parameters: dict[str, Any]) -> Arguments:
    return requests.arguments(Request(STEPS[step], parameters), {"design": 1, "prod": 2})


def test_parameters_become_options_whatever_they_hold() -> None:
    hostile = "--help; $(id)\n'\""
    parameters = {"stage": hostile, "dryRun": True, "verbose": 2, "project": "", "config": None, "quiet": False}
    assert arguments("release", parameters) == Arguments({"dry_run": True}, verbose=2)
    assert arguments("rollback", {"stage": "prod", "to": hostile}) == Arguments({"to": hostile})
    assert arguments("package", {"bundleId": 7, "verbose": True}) == Arguments({"bundle_id": "7"}, verbose=1)


def test_parameters_of_the_groovy_step_are_checked_and_not_passed_on() -> None:
    own = {"credentials": {"prod": "my-key"}, "failing": "unstable"}
    assert arguments("status", own) == Arguments()
    assert arguments("status", {"credentials": False, "failing": None}) == Arguments()


@pytest.mark.parametrize(
    ("parameters", "problem"),
    [
        ({"stgae": "test"}, "unknown parameter 'stgae'; did you mean stage?"),
        ({"dry-run": True}, "unknown parameter 'dry-run'; did you mean dryRun?"),
        ({"faling": "unstable"}, "unknown parameter 'faling'; did you mean failing?"),
        ({"dryRun": "yes"}, "dryRun must be true or false"),
        ({"stage": ["test"]}, "stage must be text"),
        ({"stage": True}, "stage must be text"),
        ({"failing": "unstabel"}, "failing must be one of stop, unstable; did you mean unstable?"),
        ({"credentials": "my-key"}, "credentials must be a map of node names to ids"),
        ({"credentials": {"prod": 7}}, "credentials must be a map of node names to ids"),
        ({"credentials": {"prdo": "my-key"}}, "credentials: unknown node 'prdo'; did you mean prod?"),
    ],
)
def test_a_wrong_parameter_is_named_with_the_nearest_spelling(parameters: dict[str, Any], problem: str) -> None:
    with pytest.raises(ConfigError) as error:
        arguments("release", parameters)
    assert str(error.value).startswith(f"release: {problem}")


@pytest.mark.parametrize(
    "text", ["", "no json", "[]", "{}", '{"step": "sandbox"}', '{"step": "status", "parameters": [1]}']
)
def test_what_is_no_step_of_the_library_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="no step of the Jenkins library"):
        requests.read({"MLOPS_STEP": text})


def test_wrong_usage_ends_with_2_and_has_a_report(tmp_path: Path) -> None:
    ended = call("run", "deploy", {"stage": "tset"}, tmp_path)
    assert ended.code == 2
    assert ended.told["verdict"].startswith("wrong usage or configuration: unknown stage 'tset'; did you mean test?")
    assert ended.told["report"] == "reports/mlops-deploy-tset.xml"
    assert (tmp_path / ended.told["report"]).is_file()
    assert "unknown stage 'tset'" in ended.log


def test_a_missing_stage_is_wrong_usage(tmp_path: Path) -> None:
    ended = call("run", "deploy", {}, tmp_path)
    assert ended.code == 2
    assert "deploy: the parameter stage is missing" in ended.told["verdict"]
    assert (tmp_path / ended.told["report"]).is_file()


def test_a_library_of_another_version_is_one_clear_line(tmp_path: Path) -> None:
    step = json.dumps({"step": "doctor", "library": "9.9", "parameters": {}})
    ended = call("run", "doctor", {}, tmp_path, MLOPS_STEP=step)
    assert ended.code == 2
    assert f"the Jenkins library is 9.9, but mlops-steps on this agent is {__version__}" in ended.told["verdict"]


def test_what_jenkins_cannot_publish_is_refused_before_anything_is_done(tmp_path: Path) -> None:
    (tmp_path / "inner").mkdir()
    (tmp_path / "mlops.yml").write_text("automation: full\n")
    ended = call("run", "doctor", {"config": "../mlops.yml"}, tmp_path / "inner")
    assert ended.code == 2
    assert "Jenkins can only publish what lies in" in ended.told["verdict"]


def test_a_plan_names_keys_and_removes_reports_of_earlier_builds(tmp_path: Path) -> None:
    old = [tmp_path / "reports" / f"mlops-{name}-prod.xml" for name in ("release", "recover", "approve")]
    kept = tmp_path / "reports" / "mlops-test-test.xml"
    kept.parent.mkdir()
    for path in (*old, kept):
        path.write_text("<testsuite/>")
    ended = call("plan", "release", {"stage": "prod"}, tmp_path)
    assert ended.code == 0
    assert ended.told == {"note": "true", "unstash": "", "keys": "design MLOPS_DESIGN_API_KEY,prod MLOPS_PROD_API_KEY"}
    assert not any(path.exists() for path in old)
    assert kept.exists()


@pytest.mark.parametrize("what", ["plan", "run", "recover"])
def test_the_configuration_is_loaded_once_in_a_process(tmp_path: Path, what: str) -> None:
    record(tmp_path, BUILD)
    approval = json.dumps(ANSWER)
    command = ("-c", COUNTING)
    ended = call(what, "release", {"stage": "prod"}, tmp_path, command, MLOPS_APPROVAL=approval, **BUILD)
    assert what != "run" or "no API key for node" in ended.told["verdict"]  # approve and release have run
    assert "configurations read: 1" in ended.log


@pytest.mark.parametrize(
    ("step", "parameters"),
    [("release", {"stage": "prod", "dryRun": True}), ("deploy", {"stage": "test"}), ("recover", {"stage": "prod"})],
)
def test_nothing_is_noted_where_production_is_not_about_to_change(
    tmp_path: Path, step: str, parameters: dict[str, Any]
) -> None:
    assert "note" not in call("plan", step, parameters, tmp_path).told


def test_a_look_that_fails_is_left_to_the_step(tmp_path: Path) -> None:
    record(tmp_path, BUILD)
    ended = call("note", "release", {"stage": "prod"}, tmp_path, **BUILD)
    assert (ended.code, ended.told) == (0, {})


def test_a_plan_says_nothing_of_a_mistake(tmp_path: Path) -> None:
    ended = call("plan", "release", {"stage": "nope"}, tmp_path)
    assert (ended.code, ended.told.get("keys")) == (0, None)


def test_automation_stages_and_the_record_of_this_build_are_told(tmp_path: Path) -> None:
    record(tmp_path, BUILD)
    statement = tmp_path / ".mlops/statements/CHURN/package.intoto.json"
    statement.parent.mkdir(parents=True)
    statement.write_text("{}")
    ended = call("recover", "validate", {}, tmp_path, MLOPS_REPORTS="reports/gone.xml", **BUILD)
    assert ended.told["automation"] == "approval"
    assert (ended.told["releaseStage"], ended.told["testStages"]) == ("prod", "test")
    assert ended.told["bundle"] == "b1"
    assert ended.told["description"] == "INTERRUPTED | CHURN, bundle b1 | test: live, tests passed"
    assert ended.told["record"] == ".mlops/release.json"
    assert ended.told["stash"] == f".mlops/stashed/{ended.told['stashName']}.json"
    assert ended.told["archive"] == (
        ".mlops/release.json,.mlops/statements/CHURN/package.intoto.json,.mlops/bundle.sha256"
    )
    assert (tmp_path / ".mlops/bundle.sha256").read_text() == f"{'a' * 64}  b1.zip\n"


def test_a_rollback_of_the_service_in_a_build_of_its_own_says_what_is_live(tmp_path: Path) -> None:
    made = ReleaseRecord(project="CHURN", build=build_from(BUILD))
    unit = made.unit("prod", "api-prod", "churn-on-api-prod", "api service")
    unit.version, unit.phase, unit.previous = "v2", Phase.RESTORED, Previous(version="v1")
    made.save(tmp_path / ".mlops/release.json")
    api = {"service": "churn", "stages": {"dev": {"infra": "api-dev"}, "prod": {"infra": "api-prod"}}}
    (tmp_path / "mlops.yml").write_text(json.dumps({"api": api}))
    ended = call("recover", "validate", {}, tmp_path, **BUILD)
    assert ended.told["description"] == "INTERRUPTED | CHURN | API service churn | prod: v1 (restored)"


def test_the_record_of_another_build_is_not_taken_for_this_ones(tmp_path: Path) -> None:
    record(tmp_path, {**BUILD, "BUILD_NUMBER": "11"})
    ended = call("recover", "validate", {}, tmp_path, **BUILD)
    assert "record" not in ended.told
    assert ended.told["description"] == "INTERRUPTED | CHURN"


@pytest.mark.parametrize(
    ("automation", "problem"),
    [
        ("approval", "nobody has approved the release of bundle b1 to prod"),
        ("manual", "automation is manual: project CHURN is not released by a pipeline"),
    ],
)
def test_a_release_without_what_automation_demands_is_a_failed_check(
    tmp_path: Path, automation: str, problem: str
) -> None:
    record(tmp_path, BUILD)
    (tmp_path / "mlops.yml").write_text(f"automation: {automation}\n")
    ended = call("run", "release", {"stage": "prod"}, tmp_path, **BUILD)
    assert ended.code == 1
    assert problem in ended.told["verdict"]
    assert ended.told["report"] == "reports/mlops-approve-prod.xml"


def test_an_approval_is_written_into_the_record_before_the_release(tmp_path: Path) -> None:
    record(tmp_path, BUILD)
    approval = json.dumps({**ANSWER, "by": "jané"})
    ended = call("run", "release", {"stage": "prod"}, tmp_path, MLOPS_APPROVAL=approval, **BUILD)
    assert "no API key for node" in ended.told["verdict"]  # the release itself has begun
    found = ReleaseRecord.load(tmp_path / ".mlops/release.json")
    assert found is not None
    approved = found.stages["prod"].approval
    assert approved is not None
    assert (approved.by, approved.bundle, approved.build) == ("jané", "b1", BUILD["BUILD_URL"])
    assert (approved.sha256, approved.at) == ("a" * 64, "2025-11-27T08:00:00Z")


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"asked": "b" * 64}, "what jane approved was another archive"),
        ({"build": "http://jenkins/job/churn/11/"}, "nobody has approved the release of bundle b1 to prod"),
    ],
)
def test_an_approval_of_another_archive_or_build_does_not_count(
    tmp_path: Path, change: dict[str, str], problem: str
) -> None:
    record(tmp_path, BUILD)
    approval = json.dumps({**ANSWER, **change})
    ended = call("run", "release", {"stage": "prod"}, tmp_path, MLOPS_APPROVAL=approval, **BUILD)
    assert ended.code == 1
    assert problem in ended.told["verdict"]


@pytest.mark.parametrize(
    "text", ["[]", "x", "7", '{"by": "jane"}', json.dumps({**ANSWER, "by": 7}), json.dumps(ANSWER) + "\nx"]
)
def test_what_is_no_approval_is_refused(tmp_path: Path, text: str) -> None:
    record(tmp_path, BUILD)
    ended = call("run", "release", {"stage": "prod"}, tmp_path, MLOPS_APPROVAL=text, **BUILD)
    assert (ended.code, ended.told["verdict"].partition(": ")[2]) == (
        2,
        "MLOPS_APPROVAL holds no approval of the Jenkins library",
    )


def test_an_approval_for_another_stage_does_not_count(tmp_path: Path) -> None:
    record(tmp_path, BUILD)
    approval = json.dumps({**ANSWER, "stage": "test"})
    ended = call("run", "release", {"stage": "prod"}, tmp_path, MLOPS_APPROVAL=approval, **BUILD)
    assert "nobody has approved" in ended.told["verdict"]


def test_an_approval_of_another_bundle_does_not_count(tmp_path: Path) -> None:
    made = record(tmp_path, BUILD)
    made.stage("prod").approval = Approval(by="jane", bundle="b0")
    made.save(tmp_path / ".mlops/release.json")
    ended = call("run", "release", {"stage": "prod"}, tmp_path, **BUILD)
    assert "nobody has approved the release of bundle b1" in ended.told["verdict"]


def test_a_dry_run_asks_for_no_approval(tmp_path: Path) -> None:
    record(tmp_path, BUILD)
    ended = call("run", "release", {"stage": "prod", "dryRun": True}, tmp_path, **BUILD)
    assert "no API key for node" in ended.told["verdict"]


def test_the_key_of_the_service_is_bound_where_a_credential_is_named(tmp_path: Path) -> None:
    config = {"project": "P", "nodes": {"design": {"url": "https://d.example.com"}}}
    api = {"service": "s", "stages": {"dev": {"infra": "api-dev"}, "prod": {"infra": "api-prod"}}}
    (tmp_path / "mlops.yml").write_text(json.dumps({**config, "api": api}))

    def keys(step: str, **credentials: str) -> str:
        return call("plan", step, {"stage": "dev", "credentials": credentials}, tmp_path).told["keys"]

    assert keys("api-test").endswith("MLOPS_DESIGN_API_KEY")
    assert keys("api-test", service="churn-key").endswith("MLOPS_DESIGN_API_KEY,service MLOPS_API_SERVICE_KEY")
    assert "SERVICE" not in keys("doctor", service="churn-key")
    assert (
        "unknown node" not in call("run", "api-test", {"stage": "dev", "credentials": {"service": "x"}}, tmp_path).log
    )


def test_a_pipeline_is_told_what_there_is_to_release(tmp_path: Path) -> None:
    nodes = {"design": {"url": "https://d.example.com"}, "test": {"url": "https://t.example.com", "infra": "auto-test"}}
    stages = {"dev": {"infra": "a"}, "uat": {"infra": "b"}, "prod": {"infra": "c"}}

    def told(**sections: object) -> dict[str, str]:
        (tmp_path / "mlops.yml").write_text(json.dumps({"project": "P", "nodes": nodes, **sections}))
        return call("look", "doctor", {}, tmp_path).told

    assert told()["units"] == "bundle"
    assert told(api={"service": "s"})["units"] == "bundle"
    both = told(api={"service": "s", "stages": stages})
    assert (both["units"], both["apiTestStages"], both["apiReleaseStage"]) == ("bundle service", "dev uat", "prod")
    assert both["automation"] == "approval"
    assert told(api={"service": "s", "stages": stages}, nodes={"design": nodes["design"]})["units"] == "service"
    assert told(api={"servise": "s"}) == {}


def test_one_answer_is_for_a_bundle_and_a_service_of_other_stage_names(tmp_path: Path) -> None:
    from mlops_steps.commands.groovy import approval
    from mlops_steps.config import load
    from mlops_steps.steps.registry import STEPS

    nodes = {"design": {"url": "https://d.example.com"}, "prod": {"url": "https://t.example.com", "infra": "auto"}}
    stages = {"dev": {"infra": "a"}, "live": {"infra": "c"}}
    (tmp_path / "mlops.yml").write_text(
        json.dumps({"project": "P", "nodes": nodes, "api": {"service": "s", "stages": stages}})
    )
    settings = load(tmp_path / "mlops.yml", {})
    assert approval.stages_of(settings, STEPS["api-release"], "live") == {"live", "prod"}
    # An approval for production is none for another stage, and the other way round.
    assert approval.stages_of(settings, STEPS["api-release"], "dev") == {"dev"}
    assert approval.stages_of(settings, STEPS["release"], "prod") == {"prod"}


def test_standard_output_is_for_the_library_alone(tmp_path: Path) -> None:
    keys = {f"MLOPS_{node}_API_KEY": f"key-of-{node}" for node in ("DESIGN", "TEST", "PROD")}
    ended = call("run", "status", {}, tmp_path, **keys)
    assert ended.code == 3
    assert set(ended.told) <= {
        *("verdict", "report", "reports", "automation", "approvers", "releaseStage", "testStages", "units", "archive"),
        *("description", "stash", "options", "stashName", "stashReplaces"),
    }
    assert "stage  infrastructure" in ended.log


@pytest.mark.parametrize("step", ["deploy", "test", "release", "rollback"])
def test_two_builds_on_one_agent_do_not_work_on_one_stage_at_once(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    shared = tmp_path / "tmp"
    shared.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(shared))
    record(tmp_path, BUILD)
    stage = "prod" if step in ("release", "rollback") else "test"
    approval = json.dumps(ANSWER)
    keys = {f"MLOPS_{node}_API_KEY": f"key-of-{node}" for node in ("DESIGN", "TEST", "PROD")}
    monkeypatch.setenv("JOB_NAME", "other")
    monkeypatch.setenv("BUILD_NUMBER", "7")
    with stage_lock(settings, stage, Console(quiet=True)):
        ended = call(
            "run", step, {"stage": stage}, tmp_path, TMPDIR=str(shared), MLOPS_APPROVAL=approval, **keys, **BUILD
        )
    assert ended.code == 3
    assert f"stage {stage}: other #7 (process {os.getpid()} on " in ended.told["verdict"]
    assert "is at work on it" in ended.told["verdict"]
    assert "waiting" not in ended.log
    assert (tmp_path / ended.told["report"].split(",")[-1]).is_file()


@pytest.mark.parametrize(("code", "begins"), [(4, "ROLLED BACK | "), (5, "PRODUCTION IN DOUBT, a person must act | ")])
def test_what_became_of_production_leaps_to_the_eye(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, begins: str
) -> None:
    monkeypatch.chdir(tmp_path)
    report = Report("CHURN", "release", "prod")
    report.set(live="bundle b0 on auto-prod (HEALTHY)", error="the smoke test failed")
    with report.case("deploy"):
        pass
    there = load(None, NODES, {})
    junit.write(report, there.reports / report.file_name)
    told = outcome(code, Request(STEPS["release"], {"stage": "prod"}), there, ("release",), Before(there))
    assert told["description"] == f"{begins}CHURN | live now: bundle b0 on auto-prod (HEALTHY)"
    assert told["verdict"] == f"{begins.removesuffix(' | ')}: the smoke test failed"
