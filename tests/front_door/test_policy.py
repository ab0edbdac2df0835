"""The policy through the commands: what is refused, what is forced, and what report and record say of it."""

from __future__ import annotations

import functools
import hashlib
import http.server
import json
import os
import pwd
import threading
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from mlops_steps import __version__
from mlops_steps.sandbox.site import Sandbox
from tests.front_door.conftest import Result, Workspace, create_project

ME = pwd.getpwuid(os.getuid()).pw_name
ALWAYS = {"name": "always", "timezone": "Europe/Paris", "from": "2020-01-01"}
LEAST = "criticality: medium\npolicy:\n  min_scenarios: 2\n  required_gates: []\n  soak: 1h\n"


@pytest.fixture(scope="module")
def tested(steps_sandbox: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """Bundle one has passed its tests; production has nothing yet."""
    create_project(steps_sandbox, "POLICY")
    workspace = Workspace(tmp_path_factory.mktemp("policy"), steps_sandbox, "POLICY")
    workspace.ok("package", BUILD_NUMBER="1", MLOPS_STARTED_BY=json.dumps({"causes": [user(ME)]}))
    workspace.ok("deploy", "--stage", "test")
    workspace.ok("test", "--stage", "test")
    return workspace


@pytest.fixture
def untouched(tested: Workspace) -> Iterator[Workspace]:
    """Whatever the test does, nothing is released, and the record is put back."""
    path = tested.folder / ".mlops" / "release.json"
    before = path.read_text()
    yield tested
    assert tested.live() is None
    path.write_text(before)


def configure(workspace: Workspace, policy: dict[str, Any] | None = None, name: str = "mlops.yml", **top: Any) -> None:
    workspace.configure()
    document = json.loads((workspace.folder / "mlops.yml").read_text())
    (workspace.folder / name).write_text(json.dumps({**document, "policy": policy or {}, **top}, indent=1))


def release(workspace: Workspace, *arguments: str, **environment: str) -> Result:
    result = workspace.run("release", "--stage", "prod", *arguments, **environment)
    assert "Traceback" not in result.err
    return result


def approve(workspace: Workspace, by: str, **environment: str) -> Result:
    return workspace.run("approve", "--stage", "prod", "--by", by, **environment)


def jenkins(causes: list[dict[str, str]], **more: str) -> dict[str, str]:
    """The environment of a build in the library."""
    build = {"BUILD_NUMBER": "1", "BUILD_URL": "http://jenkins/1/", "MLOPS_STARTED_BY": json.dumps({"causes": causes})}
    return {**build, **more}


def user(name: str) -> dict[str, str]:
    return {"kind": "hudson.model.Cause$UserIdCause", "user": name}


def test_it_prints_what_applies_and_why(untouched: Workspace) -> None:
    configure(untouched, {"freezes": [ALWAYS], "min_scenarios": 1}, criticality="medium")
    result = untouched.run("policy", MLOPS_LIBRARY_POLICY="policy: {soak: 1h}\n")
    assert result.code == 2, result.err
    assert "gates: no gate metric, which policy.required_gates requires (criticality medium, mlops.yml:" in result.err
    lines = {line.split()[0]: line for line in result.out.splitlines()}
    assert lines["policy.soak"].split()[1:] == ["1h", "policy.yml", "of", "the", "Jenkins", "library:1"]
    assert lines["policy.min_scenarios"].split()[1] == "1"
    assert "mlops.yml:" in lines["policy.min_scenarios"]
    assert lines["automation"].split()[1:4] == ["approval", "criticality", "medium,"]
    assert lines["now"].endswith("freeze always, without an end in sight")
    assert result.properties("policy")["policy.soak"] == "1h"
    found = json.loads(untouched.run("policy", "--json").out)
    assert [line["key"] for line in found["policy"]][:2] == ["criticality", "automation"]


@pytest.mark.parametrize("by", ["file", "flag", "environment", "Jenkins parameter", "another policy"])
def test_a_minimum_cannot_be_loosened(untouched: Workspace, by: str) -> None:
    """Each of the ways in which a value may come to a step; the step ends before it asks a node."""
    configure(untouched, {"soak": "2h"})
    loose = {"soak": "1m"}
    configure(untouched, loose, name="loose.yml")
    least = {"MLOPS_LIBRARY_POLICY": LEAST}
    if by == "file":
        configure(untouched, loose)
        result = release(untouched, **least)
    elif by == "flag":
        result = release(untouched, "--config", "loose.yml", **least)
    elif by == "environment":
        result = release(untouched, **least, MLOPS_CONFIG="loose.yml")
    elif by == "another policy":
        (untouched.folder / "other.yml").write_text("policy: {soak: 0}\n")
        result = release(untouched, "--config", "loose.yml", **least, MLOPS_POLICY="other.yml")
    else:
        asked = {"step": "release", "library": __version__, "parameters": {"stage": "prod", "config": "loose.yml"}}
        given = jenkins([user("dev")], MLOPS_STEP=json.dumps(asked), **least)
        result = untouched.run("from-environment", "run", **given)
    assert result.code == 2, result.err
    assert "policy.soak: 1m is less than 1h, which policy.yml of the Jenkins library:5 requires" in result.err
    assert ("mlops.yml:" if by == "file" else "loose.yml:") in result.err


@pytest.mark.parametrize("parameter", ["soak", "policy", "automation"])
def test_a_parameter_of_the_library_is_no_way_around(untouched: Workspace, parameter: str) -> None:
    asked = {"step": "release", "library": __version__, "parameters": {"stage": "prod", parameter: "1m"}}
    configure(untouched)
    result = untouched.run("from-environment", "run", **jenkins([user("dev")], MLOPS_STEP=json.dumps(asked)))
    assert result.code == 2, result.err
    assert f"unknown parameter '{parameter}'" in result.err


def test_a_freeze_stops_a_release(untouched: Workspace) -> None:
    configure(untouched, {"freezes": [ALWAYS]})
    result = release(untouched)
    assert result.code == 1, result.err
    assert "no release to prod now: freeze always, without an end in sight (" in result.err
    assert "prod is untouched" in result.err
    assert result.properties("release-prod")["freeze"] == "freeze always, without an end in sight"
    assert release(untouched, "--dry-run").code == 1
    # Neither is a freeze forced without a reason, nor by one who may not.
    assert release(untouched, "--force", " ").code == 2
    configure(untouched, {"freezes": [ALWAYS], "may_force": ["somebody-else"]})
    result = release(untouched, "--force", "a fix")
    assert result.code == 1, result.err
    assert f"{ME} may not force it: somebody-else may (" in result.err
    # In a build of Jenkins it is the user who has started it, and a timer is nobody.
    timer = jenkins([{"kind": "hudson.triggers.TimerTrigger$TimerTriggerCause", "user": ""}])
    configure(untouched, {"freezes": [ALWAYS]})
    assert "it is not known who has started this build" in release(untouched, "--force", "a fix", **timer).err


def test_whoever_approves_has_not_started_the_build(untouched: Workspace) -> None:
    configure(untouched, {"separation_of_duties": True})
    assert "nobody has approved this release" in release(untouched).err
    result = approve(untouched, ME)
    assert result.code == 1, result.err
    assert f"{ME} has started the build, so somebody else must approve (separation of duties: " in result.err
    restarted = jenkins([user("jane"), {"kind": "org.x.RestartDeclarativePipelineCause", "user": ""}])
    assert "Jane has started the build" in approve(untouched, "Jane", **restarted).err
    upstream = jenkins([{"kind": "hudson.model.Cause$UpstreamCause", "user": ""}])
    assert "it is not known who has started the build" in approve(untouched, "jane", **upstream).err
    assert approve(untouched, "jane").code == 0
    assert untouched.record["stages"]["prod"]["approval"]["by"] == "jane"
    assert untouched.record["build"]["started_by"] == [ME]
    # Who may release must not be told by another file than the one that was approved under.
    configure(untouched, {"approvers": ["joe"]})
    result = release(untouched)
    assert result.code == 1, result.err
    assert "jane is not among the approvers: joe (" in result.err


def test_approvers_are_users_and_groups(untouched: Workspace) -> None:
    configure(untouched, {"approvers": ["joe", "group:managers"]})
    assert approve(untouched, "jane").code == 1
    assert approve(untouched, "JOE").code == 0
    asked = ["--among", "managers"]
    assert untouched.run("approve", "--stage", "prod", "--by", "jane", *asked).code == 0
    assert untouched.run("approve", "--stage", "prod", "--by", "jane", "--among", "managers,others").code == 1


def test_an_administrator_who_answers_a_question_to_users_is_no_approver(untouched: Workspace) -> None:
    configure(untouched, {"approvers": ["joe", "jane"]})
    result = untouched.run("approve", "--stage", "prod", "--by", "admin", "--among", "joe,jane")
    assert result.code == 1, result.err
    assert "admin is not among the approvers: joe, jane (" in result.err
    assert untouched.run("approve", "--stage", "prod", "--by", "jane", "--among", "joe,jane").code == 0


def test_soak_time_is_counted_from_the_tests(untouched: Workspace) -> None:
    configure(untouched, {"soak": "1h"})
    ended = untouched.record["stages"]["test"]["test"]["ended"]
    soaked = datetime.strptime(ended, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=timezone.utc) + timedelta(hours=1)
    result = release(untouched)
    assert result.code == 1, result.err
    assert f"no release to prod before {soaked:%Y-%m-%dT%H:%M:%SZ}: policy.soak is 1h (" in result.err


def test_tests_that_are_too_few_and_gates_that_are_missing(untouched: Workspace) -> None:
    configure(untouched, {"required_gates": ["metric", "governance"]})
    for step in (("test", "--stage", "test"), ("release", "--stage", "prod")):
        result = untouched.run(*step)
        assert result.code == 2, result.err
        assert "gates: no gate metric, which policy.required_gates requires (" in result.err
        assert "gates: no gate governance, which" in result.err
    metric = {"gate": "metric", "model": "m", "metric": "auc", "at_least": 0.5, "inconclusive": "skip"}
    configure(untouched, {"required_gates": ["metric"]}, gates=[metric])
    result = untouched.run("test", "--stage", "test")
    assert result.code == 2, result.err
    assert "inconclusive: skip of gate metric switches off what policy.required_gates requires (" in result.err
    configure(untouched, {"min_scenarios": 9})
    result = untouched.run("test", "--stage", "test")
    assert result.code == 1, result.err
    assert "test: 2 test scenarios, but policy.min_scenarios is 9 (" in result.err


def test_production_is_released_to_and_not_deployed_to(untouched: Workspace) -> None:
    configure(untouched, criticality="low")
    result = untouched.run("deploy", "--stage", "prod")
    assert result.code == 1, result.err
    assert "prod is the release stage, and a policy applies to it (criticality: low (mlops.yml:" in result.err


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture
def web(tmp_path: Path) -> Iterator[str]:
    """A web server with the folder ``tmp_path``; its address."""
    handler = functools.partial(_Quiet, directory=str(tmp_path))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_minimums_behind_a_url_count_if_they_are_the_ones_that_were_meant(
    untouched: Workspace, tmp_path: Path, web: str
) -> None:
    configure(untouched)
    (tmp_path / "policy.yml").write_text("policy:\n  soak: 3h\n")
    digest = hashlib.sha256((tmp_path / "policy.yml").read_bytes()).hexdigest()
    library = f"url: {web}/policy.yml\nsha256: {digest}\n"
    result = untouched.ok("policy", MLOPS_LIBRARY_POLICY=library)
    assert f"{web}/policy.yml:2" in result.out
    assert f"{web}/policy.yml:2" in untouched.ok("policy", MLOPS_POLICY=f"{web}/policy.yml#sha256={digest}").out
    (tmp_path / "policy.yml").write_text("policy:\n  soak: 1m\n")
    for place in (library, f"url: {web}/none.yml\nsha256: {digest}\n", library.replace(web, "http://127.0.0.1:1")):
        result = release(untouched, MLOPS_LIBRARY_POLICY=place)
        assert result.code == 2, result.err
        assert "the policy http://127.0.0.1:" in result.err


def test_a_forced_release_stands_in_record_and_report(tested: Workspace) -> None:
    """The last one: it does release."""
    everything = {"freezes": [ALWAYS], "separation_of_duties": True, "approvers": ["jane"], "may_force": [ME]}
    configure(tested, everything)
    assert approve(tested, "jane").code == 0
    result = release(tested, "--force", "the model refuses every customer")
    assert result.code == 0, result.err
    forced = tested.record["stages"]["prod"]["forced"]
    assert (forced["by"], forced["reason"], forced["freeze"]) == (ME, "the model refuses every customer", "always")
    said = result.properties("release-prod")
    assert (said["forced_by"], said["forced_because"]) == (ME, "the model refuses every customer")
    assert (said["approved_by"], said["started_by"]) == ("jane", ME)
    page = (tested.folder / "reports" / "html" / "index.html").read_text()
    assert "the model refuses every customer" in page
    # An emergency is no release: to go back is never frozen.
    assert tested.run("recover", "--stage", "prod").code == 0
