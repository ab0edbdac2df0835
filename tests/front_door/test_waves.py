"""Releases over six infrastructures in three waves, of which the fourth fails; seen from outside."""

from __future__ import annotations

import signal
import time
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import pytest

from mlops_steps.commands.groovy.before_change import note
from mlops_steps.config import load
from mlops_steps.sandbox.site import Sandbox
from mlops_steps.steps.registry import STEPS
from tests.front_door.conftest import Result
from tests.front_door.many import SIX, WAVES, ManyWorkspace, new_workspace

FOURTH = "sa"


@pytest.fixture
def workspace(many_sandbox: Sandbox, tmp_path: Path) -> ManyWorkspace:
    found = new_workspace(many_sandbox, tmp_path)
    for place in found.places:
        many_sandbox.nodes[f"auto-{place}"].faults.clear()
    return found


def suites(result: Result, report: str) -> dict[str, ElementTree.Element]:
    root = ElementTree.parse(result.reports / f"mlops-{report}.xml").getroot()
    return {suite.get("name", ""): suite for suite in root.iter("testsuite")}


def outcomes(result: Result, report: str = "release-prod") -> dict[str, str]:
    """The test cases of the first suite that are infrastructures."""
    found = {}
    for case in result.report(report).iter("testcase"):
        kinds = [child.tag for child in case if child.tag in ("failure", "error", "skipped")]
        if case.get("name") in SIX:
            found[str(case.get("name"))] = kinds[0] if kinds else "passed"
    return found


def fail(workspace: ManyWorkspace, how: str) -> None:
    """Lets the fourth infrastructure fail: its update, its health, or its smoke test."""
    if how == "smoke test":
        workspace.local(FOURTH, stage="prod")
    elif how == "update":
        workspace.faults(FOURTH).add("update-fails")
    else:
        workspace.faults(FOURTH).add("health", health=["UNHEALTHY"])


class TestAllIsWell:
    def test_each_wave_follows_the_one_before(self, workspace: ManyWorkspace) -> None:
        bundle = workspace.tested(1)
        result = workspace.ok("release", "--stage", "prod")
        assert workspace.all_live() == dict.fromkeys(SIX, bundle)
        assert [line for line in result.err.splitlines() if line.startswith("wave ")][-3:] == [
            "wave 1 of 3: eu",
            "wave 2 of 3: us, ap, sa",
            "wave 3 of 3: af, me",
        ]
        began = {place: last_update(workspace, place) for place in SIX}
        assert began["eu"] <= min(began[place] for place in WAVES[1])
        assert max(began[place] for place in WAVES[1]) <= min(began[place] for place in WAVES[2])

    def test_a_case_and_a_suite_for_each(self, workspace: ManyWorkspace) -> None:
        workspace.tested(1)
        result = workspace.ok("release", "--stage", "prod")
        assert outcomes(result) == dict.fromkeys(SIX, "passed")
        page = (workspace.folder / "reports" / "html" / "index.html").read_text()
        assert "has been live on 6 infrastructures of prod since" in page
        found = suites(result, "release-prod")
        name = f"{workspace.project}.release.prod"
        assert set(found) == {name, *(f"{name}.{place}" for place in SIX)}
        cases = [case.get("name") for case in found[f"{name}.sa"].iter("testcase")]
        assert {"deploy", "smoke-test"} <= set(cases)
        assert {case.get("classname") for case in found[f"{name}.sa"].iter("testcase")} == {f"{name}.sa"}

    def test_a_unit_for_each_in_the_record(self, workspace: ManyWorkspace) -> None:
        bundle = workspace.tested(1)
        workspace.ok("release", "--stage", "prod")
        part = workspace.record["stages"]["prod"]
        assert {infra: unit["phase"] for infra, unit in part["units"].items()} == {f"auto-{p}": "live" for p in SIX}
        assert part["rollout"]["state"] == "live"
        assert set(part["rollout"]["changed"]) == {f"auto-{place}" for place in SIX}
        assert part["rollout"]["version"] == bundle

    def test_released_again_there_is_nothing_to_do(self, workspace: ManyWorkspace) -> None:
        workspace.released(1)
        runs = len(workspace.runs("auto-eu", "TEST_SMOKE"))
        assert "nothing to do" in workspace.ok("release", "--stage", "prod").err
        assert len(workspace.runs("auto-eu", "TEST_SMOKE")) == runs

    def test_a_dry_run_changes_nothing(self, workspace: ManyWorkspace) -> None:
        workspace.tested(1)
        said = workspace.ok("release", "--stage", "prod", "--dry-run").err
        assert "wave 2: bundle" in said
        assert workspace.all_live() == dict.fromkeys(SIX)


HOW = pytest.mark.parametrize("how", ["update", "health", "smoke test"])


class TestTheFourthFails:
    @HOW
    def test_all_that_were_changed_are_restored(self, workspace: ManyWorkspace, how: str) -> None:
        old = workspace.released(1)
        new = workspace.tested(2, smoke="fail")
        fail(workspace, how)
        result = released_with_a_failure(workspace)
        assert result.code == 4, result.err
        assert outcomes(result) == {
            "eu": "failure", "us": "failure", "ap": "failure", "sa": "failure", "af": "skipped", "me": "skipped",
        }  # fmt: skip
        assert f"{FOURTH}: " in result.err
        assert workspace.all_live() == dict.fromkeys(SIX, old)
        assert new not in [unit["version"] for unit in units(workspace) if unit["phase"] == "live"]
        assert {place: workspace.health(f"auto-{place}") for place in SIX} == dict.fromkeys(SIX, "HEALTHY")
        assert workspace.record["stages"]["prod"]["rollout"]["state"] == "restored"

    @HOW
    def test_it_stops_there(self, workspace: ManyWorkspace, how: str) -> None:
        old = workspace.released(1)
        workspace.many(rollout={"on_failure": "stop"})
        new = workspace.tested(2, smoke="fail")
        fail(workspace, how)
        result = released_with_a_failure(workspace)
        assert result.code == 5, result.err
        live = workspace.all_live()
        assert {place: live[place] for place in ("eu", "us", "ap")} == dict.fromkeys(("eu", "us", "ap"), new)
        assert {place: live[place] for place in ("af", "me")} == dict.fromkeys(("af", "me"), old)
        assert "stopped in wave 2 of 3" in result.err
        page = (workspace.folder / "reports" / "html" / "index.html").read_text()
        assert f"Bundle {new} is live on 3 of 6 infrastructures of prod: it stopped in wave 2" in page
        assert workspace.live("auto-sa") == old
        # What failed is repaired: the release goes on with those that do not have it.
        workspace.local(FOURTH)
        said = workspace.ok("release", "--stage", "prod").err
        assert workspace.all_live() == dict.fromkeys(SIX, new), said

    def test_the_newest_is_restored_first(self, workspace: ManyWorkspace) -> None:
        workspace.released(1)
        workspace.tested(2, smoke="fail")
        workspace.local("me", stage="prod")
        assert workspace.run("release", "--stage", "prod").code == 4
        restores = {place: last_update(workspace, place) for place in SIX}
        assert max(restores[place] for place in WAVES[2]) <= min(restores[place] for place in WAVES[1])
        assert max(restores[place] for place in WAVES[1]) <= restores["eu"]

    def test_a_first_release_takes_everything_back(self, workspace: ManyWorkspace) -> None:
        workspace.tested(1, smoke="fail")
        workspace.faults(FOURTH).add("update-fails")
        assert workspace.run("release", "--stage", "prod").code == 4
        found = [one.get_settings().get_raw() for one in workspace.deployer().list_deployments()]
        mine = [one for one in found if one["publishedProjectKey"] == workspace.project and one["enabled"]]
        assert [one["infraId"] for one in mine] == ["auto-test"]

    def test_what_is_in_the_way_of_the_last_wave_stops_the_first(self, workspace: ManyWorkspace) -> None:
        old = workspace.released(1)
        workspace.tested(2)
        workspace.faults("me").add("expired-key")
        result = workspace.run("release", "--stage", "prod")
        workspace.faults("me").clear()
        assert result.code == 3
        assert "me: " in result.err
        assert workspace.all_live() == dict.fromkeys(SIX, old)


def units(workspace: ManyWorkspace) -> list[dict[str, Any]]:
    return list(workspace.record["stages"]["prod"]["units"].values())


def released_with_a_failure(workspace: ManyWorkspace) -> Result:
    """A release; what fails is repaired when the restore of the fourth infrastructure has begun."""
    running = workspace.start("release", "--stage", "prod")
    while running.poll() is None:
        unit = workspace.record["stages"].get("prod", {}).get("units", {}).get(f"auto-{FOURTH}", {})
        if unit.get("phase") in ("restoring", "restored"):
            workspace.faults(FOURTH).clear()
        time.sleep(0.05)
    workspace.faults(FOURTH).clear()
    return workspace.finish(running)


def last_update(workspace: ManyWorkspace, place: str) -> int:
    """When the last update of the infrastructure began."""
    deployment = workspace.deployer().get_deployment(f"{workspace.project}-on-auto-{place}")
    return max(update.get_raw()["startTimestamp"] for update in deployment.list_updates())


def phase_of(place: str, workspace: ManyWorkspace) -> str | None:
    """Its phase in the record, once the record is of this release."""
    record = workspace.record
    unit = record["stages"].get("prod", {}).get("units", {}).get(f"auto-{place}", {})
    return unit.get("phase") if unit.get("version") == record["bundle"]["id"] else None


def phase_of_the_fourth(workspace: ManyWorkspace) -> str | None:
    return phase_of(FOURTH, workspace)


def killed(workspace: ManyWorkspace, phase: str, *arguments: str) -> None:
    """A release that is killed when the fourth infrastructure is in this phase."""
    running = workspace.start(*(arguments or ("release", "--stage", "prod")))
    while running.poll() is None:
        if phase_of_the_fourth(workspace) == phase:
            running.send_signal(signal.SIGKILL)
            running.communicate()
            return
        time.sleep(0.02)
    pytest.fail(f"never {phase}: {workspace.finish(running).err}")


class TestInterrupted:
    def test_killed_in_the_second_wave_and_run_again(self, workspace: ManyWorkspace) -> None:
        workspace.released(1)
        new = workspace.tested(2)
        killed(workspace, "deploying")
        assert workspace.live("auto-eu") == new
        assert workspace.live("auto-me") != new
        said = workspace.ok("release", "--stage", "prod").err
        assert "going on from its record" in said
        assert workspace.all_live() == dict.fromkeys(SIX, new)
        assert workspace.record["stages"]["prod"]["rollout"]["state"] == "live"

    @pytest.mark.parametrize("record", ["with its record", "without its record"])
    def test_killed_in_the_second_wave_and_recovered(self, workspace: ManyWorkspace, record: str) -> None:
        old = workspace.released(1)
        workspace.tested(2)
        killed(workspace, "verifying")
        if record == "without its record":
            (workspace.folder / ".mlops" / "release.json").unlink()
        said = workspace.ok("recover", "--stage", "prod").err
        assert workspace.all_live() == dict.fromkeys(SIX, old), said
        assert "nothing is pending" in workspace.ok("recover", "--stage", "prod").err

    def test_the_record_that_jenkins_has_archived_before_is_enough(self, workspace: ManyWorkspace) -> None:
        old = workspace.released(1)
        new = workspace.tested(2)
        settings = load(workspace.folder / "mlops.yml", workspace.environment)
        said = note(settings, STEPS["release"], "prod", None)
        assert said == f"Live on prod before the release: bundle {old} on {', '.join(SIX)}"
        path = workspace.folder / ".mlops" / "release.json"
        archived = path.read_bytes()
        noted = {one["infra"]: (one["version"], one["previous"]["version"], one["phase"]) for one in units(workspace)}
        assert noted == {f"auto-{place}": (new, old, "noted") for place in SIX}
        killed(workspace, "deploying")
        path.write_bytes(archived)
        workspace.ok("recover", "--stage", "prod")
        assert workspace.all_live() == dict.fromkeys(SIX, old)

    def test_killed_while_it_restores_and_recovered(self, workspace: ManyWorkspace) -> None:
        old = workspace.released(1)
        workspace.tested(2, smoke="fail")
        workspace.local(FOURTH, stage="prod")
        killed(workspace, "restoring")
        workspace.ok("recover", "--stage", "prod")
        assert workspace.all_live() == dict.fromkeys(SIX, old)

    def test_killed_while_it_restores_and_run_again(self, workspace: ManyWorkspace) -> None:
        old = workspace.released(1)
        workspace.tested(2, smoke="fail")
        workspace.local(FOURTH, stage="prod")
        killed(workspace, "restoring")
        result = workspace.run("release", "--stage", "prod")
        assert result.code == 4, result.err
        assert workspace.all_live() == dict.fromkeys(SIX, old)

    def test_aborted_in_the_second_wave(self, workspace: ManyWorkspace) -> None:
        old = workspace.released(1)
        workspace.tested(2)
        running = workspace.start("release", "--stage", "prod")
        while phase_of_the_fourth(workspace) != "deploying":
            assert running.poll() is None
            time.sleep(0.02)
        running.send_signal(signal.SIGTERM)
        result = workspace.finish(running)
        assert result.code == 143, result.err
        assert "what was live before is live again on all that were changed" in result.err
        assert workspace.all_live() == dict.fromkeys(SIX, old)

    def test_an_abort_does_not_wait_for_a_node_that_hangs(self, workspace: ManyWorkspace) -> None:
        old = workspace.released(1)
        workspace.many(http={"read_timeout": "300s"}, release={"timeout": "300s", "rollback_timeout": "300s"})
        workspace.tested(2)
        smoke = "POST /projects/*/scenarios/*/run"
        held = workspace.faults(FOURTH).add("never", operation=smoke, by="clients", act="before")
        running = workspace.start("release", "--stage", "prod")
        while not held.fired:
            assert running.poll() is None
            time.sleep(0.02)
        running.send_signal(signal.SIGTERM)
        result = workspace.finish(running, timeout=90)
        assert result.code == 143, result.err
        assert workspace.all_live() == dict.fromkeys(SIX, old)

    def test_two_at_once(self, workspace: ManyWorkspace, tmp_path_factory: pytest.TempPathFactory) -> None:
        """The second one names them in another order, and works on another agent: one of them is told so."""
        workspace.released(1)
        new = workspace.tested(2)
        other = ManyWorkspace(tmp_path_factory.mktemp("other"), workspace.sandbox, workspace.project)
        other.many(list(reversed(WAVES)))
        (other.folder / ".mlops").mkdir()
        (other.folder / ".mlops" / "release.json").write_bytes(
            (workspace.folder / ".mlops" / "release.json").read_bytes()
        )
        temp = str(tmp_path_factory.mktemp("tmp"))
        both = [workspace.start("release", "--stage", "prod"), other.start("release", "--stage", "prod", TMPDIR=temp)]
        results = [workspace.finish(both[0]), other.finish(both[1])]
        codes = sorted(result.code for result in results)
        assert codes in ([0, 3], [3, 3]), [result.err for result in results]
        if codes == [3, 3]:
            workspace.ok("release", "--stage", "prod")
        assert workspace.all_live() == dict.fromkeys(SIX, new)


class TestBetweenWaves:
    def test_an_approval_between_two(self, workspace: ManyWorkspace) -> None:
        workspace.many(rollout={"approval": [2]})
        old = workspace.released_by_approval(1)
        new = workspace.tested(2)
        first = workspace.ok("release", "--stage", "prod")
        assert "wave 2 waits for an approval" in first.err
        assert workspace.all_live() == {**dict.fromkeys(SIX, old), "eu": new}
        assert outcomes(first) == {"eu": "passed", **dict.fromkeys(SIX[1:], "skipped")}
        again = workspace.run("release", "--stage", "prod")
        assert (again.code, workspace.live("auto-us")) == (1, old)
        assert "wave 2 of 3 waits for an approval" in again.err
        assert "nothing is pending" in workspace.ok("recover", "--stage", "prod").err
        workspace.ok("approve", "--stage", "prod", "--by", "jane")
        assert "approved by jane" in workspace.ok("release", "--stage", "prod").err
        assert workspace.all_live() == dict.fromkeys(SIX, new)

    def test_what_falls_ill_in_the_pause_is_restored(self, workspace: ManyWorkspace) -> None:
        workspace.many([["eu"], ["us"]])
        old = workspace.released(1)
        workspace.many([["eu"], ["us"]], rollout={"soak": "20s"}, deploy={"health_timeout": "1s"})
        workspace.tested(2)
        running = workspace.start("release", "--stage", "prod")
        while phase_of("eu", workspace) != "live":
            assert running.poll() is None
            time.sleep(0.02)
        workspace.faults("eu").add("health", health=["UNHEALTHY"])
        while phase_of("eu", workspace) != "restoring":
            assert running.poll() is None
            time.sleep(0.02)
        workspace.faults("eu").clear()
        result = workspace.finish(running)
        assert result.code == 4, result.err
        assert workspace.all_live() == dict.fromkeys(("eu", "us"), old)
        assert outcomes(result) == {"eu": "failure", "us": "skipped"}


class TestWithoutADeployer:
    def test_waves_over_nodes_that_get_their_bundle_directly(self, workspace: ManyWorkspace) -> None:
        infras = {place: {"infra": f"auto-{place}", "strategy": "direct"} for place in ("eu", "us")}
        prod = {"infras": infras, "rollout": {"waves": [["eu"], ["us"]]}}
        workspace.configure(nodes={"design": {}, "test": {}, "prod": prod})
        workspace.places = ("eu", "us")
        old = workspace.released(1)
        assert workspace.all_live() == dict.fromkeys(("eu", "us"), old)
        workspace.tested(2, smoke="fail")
        workspace.local("us", stage="prod")
        result = workspace.run("release", "--stage", "prod")
        assert result.code == 4, result.err
        assert workspace.all_live() == dict.fromkeys(("eu", "us"), old)
