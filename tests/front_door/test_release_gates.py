"""Gates of `release`: measured before anything is changed, and what becomes of them in report, record and exit code.

Bundle one is live in production. Bundle two has passed its tests, which measured no gate; its model is worse.
"""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from mlops_steps.sandbox.site import Sandbox
from tests.front_door.conftest import Result, Workspace, create_project
from tests.front_door.test_gates import champion, rows_of, set_policy, upload

ACCURACY = champion(metric="accuracy", prediction="predicted", margin=0.01)
LENIENT = champion(metric="accuracy", prediction="predicted", margin=0.3)
GOVERNANCE = {"gate": "governance", "steps": ["release"]}


def at_release(gate: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {**gate, "steps": ["release"], **more}


@pytest.fixture(scope="module")
def tested(steps_sandbox: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    create_project(steps_sandbox, "RELEASEGATES")
    workspace = Workspace(tmp_path_factory.mktemp("releasegates"), steps_sandbox, "RELEASEGATES")
    upload(workspace, "scored", rows_of("good", 400))
    workspace.released(1)
    upload(workspace, "scored", rows_of("bad", 400))
    workspace.tested(2)
    return workspace


@pytest.fixture
def untouched(tested: Workspace) -> Iterator[Workspace]:
    """Whatever the test does, bundle one is live after it."""
    live = tested.live()
    assert live is not None
    assert live.startswith("000001")
    yield tested
    assert tested.live() == live


def configure(workspace: Workspace, *gates: dict[str, Any]) -> None:
    workspace.configure()
    path = workspace.folder / "mlops.yml"
    path.write_text(json.dumps({**json.loads(path.read_text()), "gates": list(gates)}))


def release(workspace: Workspace, *gates: dict[str, Any], flags: tuple[str, ...] = ()) -> Result:
    configure(workspace, *gates)
    result = workspace.run("release", "--stage", "prod", *flags)
    assert "Traceback" not in result.err
    return result


def test_a_worse_model_is_stopped_before_anything_is_changed(untouched: Workspace) -> None:
    result = release(untouched, at_release(ACCURACY))
    assert result.code == 1, result.err
    bundle = untouched.record["bundle"]["id"]
    assert f"1 of 1 gates do not let bundle {bundle} go to prod; prod is untouched" in result.err
    failure = result.case("release-prod", "gate champion").find("failure")
    assert failure is not None
    assert "accuracy differs from the champion's by -0." in (failure.get("message") or "")
    stage = untouched.record["stages"]["prod"]
    kept = stage["gates"]["champion"]
    assert stage["units"] == {}
    assert (kept["verdict"], kept["against"], kept["rows"]) == ("failed", untouched.live(), 400)
    assert kept["limit"] == "not worse than the champion by more than 0.01, with 95 %"
    assert result.properties("release-prod")["gate.champion.against"] == untouched.live()
    # The page says it at a glance: verdict first, then what was measured, the limit, the interval, and against what.
    page = (untouched.folder / "reports" / "html" / "index.html").read_text()
    row = next(part for part in page.partition('id="gates"')[2].split("<tr") if "champion" in part)
    shown = html.unescape(re.sub("<[^>]*>", "|", row))
    for said in ("failed", f"{kept['value']:.6g}", kept["limit"], kept["interval"], kept["source"], "400"):
        assert f"|{said}|" in shown, shown
    assert kept["source"] == f"dataset scored: bundle {bundle} on test against bundle {untouched.live()} on prod"


def test_what_the_gates_found_is_stated(untouched: Workspace) -> None:
    path = untouched.folder / ".mlops/statements" / untouched.project / "gates-prod.intoto.json"
    assert release(untouched, at_release(ACCURACY)).code == 1
    said = json.loads(path.read_text())
    assert said["predicate"]["result"] == "FAILED"
    assert "champion" in " ".join(said["predicate"]["failedTests"])
    assert said["predicate"]["configuration"][0]["annotations"]["checked"] == "gates"
    written = path.read_text()
    release(untouched, at_release(ACCURACY), flags=("--dry-run",))
    assert path.read_text() == written
    # It counts for no test: not even under the name of one.
    untouched.run("test", "--stage", "test")
    archive = untouched.folder / "any.zip"
    archive.write_bytes(b"other")
    result = untouched.run("verify", str(archive), str(path))
    assert result.code == 1


def test_too_few_rows_and_what_cannot_be_measured_stop_it_too(untouched: Workspace) -> None:
    result = release(
        untouched,
        at_release(ACCURACY, name="few", rows=5000),
        at_release(ACCURACY, name="lost", dataset="nothing"),
        {"gate": "metric", "model": "churn", "metric": "auc", "at_least": 0.8},
        {"gate": "governance"},
    )
    assert result.code == 3, result.err
    properties = result.properties("release-prod")
    verdicts = {name: properties[f"gate.{name}.verdict"] for name in ("few", "lost", "metric", "governance")}
    assert verdicts == {"few": "inconclusive", "lost": "unmeasured", "metric": "unmeasured", "governance": "unmeasured"}
    assert "4 of 4 gates do not let bundle" in result.err
    assert "prod is untouched" in result.err


def test_the_deployer_must_let_it_through_at_the_time_of_the_release(untouched: Workspace) -> None:
    set_policy(untouched, "PREVENT")
    try:
        result = release(untouched, GOVERNANCE)
    finally:
        set_policy(untouched, "NO_CHECK")
    assert result.code == 1, result.err
    assert untouched.record["stages"]["prod"]["gates"]["governance"]["verdict"] == "failed"


def test_a_dry_run_runs_no_scenario(untouched: Workspace) -> None:
    runs = len(untouched.runs("auto-prod", "TEST_ONE"))
    gates = (at_release(LENIENT, scenario="TEST_ONE"), at_release(LENIENT, name="read"))
    result = release(untouched, *gates, flags=("--dry-run",))
    assert result.code == 0, result.err
    skipped = result.case("release-prod", "gate champion").find("skipped")
    assert skipped is not None
    assert skipped.get("message") == "dry run: scenario TEST_ONE is not run"
    assert result.properties("release-prod")["gate.read.verdict"] == "passed"
    assert len(untouched.runs("auto-prod", "TEST_ONE")) == runs


def test_the_bundle_has_to_be_on_the_stage_before(untouched: Workspace) -> None:
    bundle = untouched.record["bundle"]["id"]
    untouched.ok("deploy", "--stage", "test", "--bundle", str(untouched.live()))
    result = release(untouched, at_release(ACCURACY))
    # Its tests are gone with it; by way of another workspace they may still be in the record.
    assert result.code == 1, result.err
    assert f"bundle {bundle} has not passed its tests on stage test" in result.err
    record = untouched.record
    record["stages"]["test"]["test"] = {"result": "passed", "bundle": bundle}
    (untouched.folder / ".mlops" / "release.json").write_text(json.dumps(record))
    result = release(untouched, at_release(ACCURACY))
    assert result.code == 1, result.err
    assert f"on stage test {untouched.live()} is live, not bundle {bundle}; prod is untouched" in result.err
    untouched.ok("deploy", "--stage", "test")


def test_what_the_tests_have_measured_is_taken_over(tested: Workspace) -> None:
    calls = {"gate": "custom", "name": "team", "function": "checks.py:good", "steps": ["test", "release"]}
    (tested.folder / "checks.py").write_text(
        "from mlops_steps import GateResult, GateVerdict\n"
        "def good(context):\n"
        "    return GateResult(GateVerdict.PASSED, f'{context.candidate} is good', 1.0)\n"
    )
    configure(tested, LENIENT, calls)
    tested.ok("test", "--stage", "test")
    measured = tested.record["stages"]["test"]["test"]["gates"]
    bundle, champion_bundle = tested.record["bundle"]["id"], tested.live()
    # Another limit is another gate, and is measured again: this one fails.
    assert release(tested, ACCURACY, calls).code == 1
    result = release(tested, LENIENT, calls)
    assert result.code == 0, result.err
    said = result.case("release-prod", "gate champion").findtext("system-out") or ""
    assert said.startswith("measured by the tests on test: accuracy differs"), said
    assert f"{bundle} is good" in (result.case("release-prod", "gate team").findtext("system-out") or "")
    kept = tested.record["stages"]["prod"]["gates"]
    assert (kept["champion"]["value"], kept["champion"]["against"]) == (measured["champion"]["value"], champion_bundle)
    assert tested.live() == bundle
    # A second time nothing is left to do, nor to be judged.
    result = release(tested, ACCURACY, calls)
    assert result.code == 0, result.err
    assert "nothing to do" in result.err
