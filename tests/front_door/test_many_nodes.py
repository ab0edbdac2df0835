"""A stage of several infrastructures, and an infrastructure of several nodes, seen from outside."""

from __future__ import annotations

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
