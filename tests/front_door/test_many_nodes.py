"""A stage of several infrastructures, and an infrastructure of several nodes, seen from outside."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from mlops_steps.sandbox.site import Sandbox
from tests.front_door.many import ManyWorkspace, new_workspace


@pytest.fixture
def workspace(many_sandbox: Sandbox, tmp_path: Path) -> ManyWorkspace:
    return new_workspace(many_sandbox, tmp_path)


class TestDoctor:
    def test_it_checks_every_node_of_every_infrastructure(self, workspace: ManyWorkspace) -> None:
        workspace.many([["eu"], ["us", "multi"]], multi=["multi"])
        said = workspace.ok("doctor").err
        for node in ("prod-eu", "prod-us", "prod-multi-n1", "prod-multi-n2", "prod-multi-n3"):
            assert f"{node} reachable" in said
        assert "prod-multi-n1 infrastructure" in said
        assert "auto-multi, may deploy" in said

    def test_one_infrastructure(self, workspace: ManyWorkspace) -> None:
        said = workspace.ok("doctor", "--infra", "us").err
        assert "prod-us reachable" in said
        assert "prod-eu" not in said
        wrong = workspace.run("doctor", "--infra", "uss")
        assert wrong.code == 2
        assert "did you mean us" in wrong.err


class TestConfiguration:
    @pytest.mark.parametrize(
        ("prod", "said"),
        [
            ({"infras": {"eu": {}}, "infra": "auto-prod"}, "nodes.prod: has infras, so infra belongs to each of them"),
            ({"infras": {"eu": {}, "us": {}}, "rollout": {"waves": [["eu"]]}}, "waves: in no wave: us"),
            ({"infras": {"eu": {}}, "rollout": {"waves": [["uk"]]}}, "waves: no infrastructure uk"),
            ({"infras": {"eu": {}}, "rollout": {"waves": [["*"], ["eu"]]}}, "waves: wave 2 has no infrastructure"),
            ({"infras": {"eu": {}}, "rollout": {"approval": [2]}}, "approval: there is no wave 2"),
            ({"infras": {"eu": {}}, "rollout": {"on_failure": "rollback"}}, "must be one of rollback_all, stop"),
            ({"infras": {"eu": {}, "zz": {}}}, "nodes.prod.infras.zz.url: is missing (or set MLOPS_PROD_ZZ_URL)"),
            ({"url": "http://127.0.0.1:9", "infra": "auto-eu", "rollout": {"at_once": 2}}, "needs infras"),
        ],
    )
    def test_what_is_wrong_is_said(self, workspace: ManyWorkspace, prod: dict[str, object], said: str) -> None:
        workspace.configure(nodes={"design": {}, "test": {}, "prod": prod})
        result = workspace.run("doctor")
        assert result.code == 2
        assert said in result.err

    def test_the_environment_alone_names_them(self, workspace: ManyWorkspace) -> None:
        workspace.configure()
        shown = workspace.ok("doctor").err
        assert "prod-multi-n3 reachable" in shown
        assert "auto-me, may deploy" in shown


class TestEachInfrastructure:
    """deploy, test, smoke-test, status, rollback and recover: on all of them, or on one with --infra."""

    def test_on_all_and_on_one(self, workspace: ManyWorkspace) -> None:
        workspace.many([["eu"], ["us", "ap"]])
        old, new = workspace.released(1), workspace.released(2)
        everywhere = dict.fromkeys(("eu", "us", "ap"), new)
        assert workspace.all_live() == everywhere

        rows = json.loads(workspace.ok("status", "--json").out)
        assert {row["infra"]: row["bundle"] for row in rows if row["stage"] == "prod"} == {
            f"auto-{place}": new for place in everywhere
        }
        rows = json.loads(workspace.ok("status", "--json", "--infra", "us").out)
        assert [row["infra"] for row in rows] == ["auto-us"]
        assert workspace.run("status", "--infra", "uss").code == 2

        result = workspace.ok("smoke-test", "--stage", "prod")
        names = {case.get("name") for case in result.report("smoke-test-prod").iter("testcase")}
        assert names == set(everywhere)
        runs = {place: len(workspace.runs(f"auto-{place}", "TEST_SMOKE")) for place in everywhere}
        workspace.ok("smoke-test", "--stage", "prod", "--infra", "ap")
        after = {place: len(workspace.runs(f"auto-{place}", "TEST_SMOKE")) for place in everywhere}
        assert {place for place in everywhere if after[place] != runs[place]} == {"ap"}

        workspace.ok("rollback", "--stage", "prod", "--infra", "us")
        assert workspace.all_live() == {**everywhere, "us": old}
        workspace.ok("deploy", "--stage", "prod", "--infra", "us")
        assert workspace.all_live() == everywhere
        workspace.ok("recover", "--stage", "prod", "--infra", "us")
        assert "3 infrastructures of prod, verified" in workspace.ok("rollback", "--stage", "prod", "--to", old).err
        assert workspace.all_live() == dict.fromkeys(everywhere, old)

    def test_one_that_has_nothing_to_go_back_to_stops_them_all(self, workspace: ManyWorkspace) -> None:
        workspace.many([["eu", "us"]])
        new = workspace.released(1)
        result = workspace.run("rollback", "--stage", "prod")
        assert result.code == 1
        assert "and on 1 more" in result.err
        assert workspace.all_live() == dict.fromkeys(("eu", "us"), new)

    def test_a_test_stage_of_several(self, workspace: ManyWorkspace) -> None:
        """Each is deployed to and tested; one that fails fails the step, and the others are tested all the same."""
        infras = {place: {"infra": f"auto-{place}", **workspace.connection(place)} for place in ("eu", "us")}
        prod = {"infra": "auto-ap", **workspace.connection("ap")}
        workspace.configure(nodes={"design": {}, "test": {"infras": infras}, "production": prod})
        keys = {f"MLOPS_TEST_{place.upper()}_API_KEY": workspace.key(place) for place in ("eu", "us")}
        workspace.environment |= {**keys, "MLOPS_PRODUCTION_API_KEY": workspace.key("ap")}
        workspace.tested(1)
        assert workspace.record["stages"]["test"]["test"]["message"].endswith("on 2 infrastructures")
        workspace.ok("release", "--stage", "production")
        workspace.variables(test="fail")
        workspace.ok("package", BUILD_NUMBER="2")
        workspace.ok("deploy", "--stage", "test")
        result = workspace.run("test", "--stage", "test")
        assert result.code == 1
        assert {case.get("name") for case in result.report("test-test").iter("testcase")} >= {"eu", "us"}
        assert workspace.run("release", "--stage", "production").code == 1


class TestCeiling:
    def test_a_node_gets_no_more_requests_in_a_second_than_is_configured(self, workspace: ManyWorkspace) -> None:
        workspace.many([["eu", "us", "ap", "sa", "af", "me"]], http={"requests_per_second": 2})
        for node in workspace.sandbox.nodes.values():
            node.faults.clear_requests()
        began = time.monotonic()
        workspace.ok("status")
        took = time.monotonic() - began
        asked = len([one for one in workspace.sandbox.nodes["design"].faults.requests() if one.by == "clients"])
        assert asked > 5
        # A fifth of a second's worth may be sent at once.
        assert took >= asked / 2 - 0.25


class TestMultiNode:
    """One infrastructure of three nodes: what is live is what all of them say."""

    NODES = ("auto-multi-n1", "auto-multi-n2", "auto-multi-n3")

    def test_all_must_have_it(self, workspace: ManyWorkspace) -> None:
        workspace.many([["multi"]], multi=["multi"])
        old = workspace.released(1)
        assert {node: workspace.live(node) for node in self.NODES} == dict.fromkeys(self.NODES, old)
        assert {len(workspace.runs(node, "TEST_SMOKE")) for node in self.NODES} == {1}
        new = workspace.tested(2)
        third = workspace.client("auto-multi-n3").get_project(workspace.project)
        workspace.ok("release", "--stage", "prod")
        assert {node: workspace.live(node) for node in self.NODES} == dict.fromkeys(self.NODES, new)
        third.activate_bundle(old)
        rows = json.loads(workspace.ok("status", "--json").out)
        assert [row["bundle"] for row in rows if row["stage"] == "prod"] == [None]
        result = workspace.run("release", "--stage", "prod")
        assert result.code == 3, result.err
        assert f"prod-multi-n3 has {old} active" in result.err

    def test_a_smoke_test_that_fails_on_one_of_them(self, workspace: ManyWorkspace) -> None:
        workspace.many([["eu"], ["multi"]], multi=["multi"])
        old = workspace.released(1)
        workspace.tested(2, smoke="fail")
        project = workspace.client("auto-multi-n2").get_project(workspace.project)
        variables = project.get_variables()
        project.set_variables({**variables, "local": {"stage": "prod"}})
        result = workspace.run("release", "--stage", "prod")
        assert result.code == 4, result.err
        assert "on prod-multi-n2" in result.err
        assert {node: workspace.live(node) for node in (*self.NODES, "auto-eu")} == dict.fromkeys(
            (*self.NODES, "auto-eu"), old
        )


class TestMonitor:
    def test_it_looks_at_each_infrastructure_and_takes_a_release_back_on_all(self, workspace: ManyWorkspace) -> None:
        monitor = {"scenarios": {"names": ["TEST_ONE"], "warn": None, "act": 1}}
        workspace.many([["eu"], ["us", "multi"]], multi=["multi"], monitor=monitor, release={"probation": "2h"})
        one, two = workspace.released(1), workspace.released(2)
        said = workspace.ok("monitor", "--stage", "prod").err
        assert f"deployment, us: bundle {two} on auto-us" in said
        assert f"deployment, multi: bundle {two} on auto-multi" in said
        workspace.local("us", test="fail")
        project = workspace.client("auto-us").get_project(workspace.project)
        project.get_scenario("TEST_ONE").run_and_wait(no_fail=True)
        result = workspace.run("monitor", "--stage", "prod")
        assert result.code == 4, result.err
        assert "scenarios, us: 1 of 1 runs failed" in result.err
        nodes = [node for node in workspace.sandbox.nodes if node.startswith(("auto-eu", "auto-us", "auto-multi"))]
        assert len(nodes) == 5
        assert {workspace.live(node) for node in nodes} == {one}
