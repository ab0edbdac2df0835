from __future__ import annotations

from tests.front_door.conftest import Workspace


def test_a_bundle_becomes_live_and_a_second_deploy_does_nothing(workspace: Workspace) -> None:
    workspace.ok("package", BUILD_NUMBER="1")
    bundle = workspace.record["bundle"]["id"]
    first = workspace.ok("deploy", "--stage", "test")
    assert workspace.live("auto-test") == bundle
    assert workspace.health("auto-test") == "HEALTHY"
    assert first.case("deploy-test", "deploy").find("failure") is None
    properties = first.properties("deploy-test")
    assert properties["bundle"] == bundle
    assert properties["deployment"] == f"{workspace.project}-on-auto-test"
    deployer = workspace.client("design").get_projectdeployer()
    updates = len(deployer.get_deployment(f"{workspace.project}-on-auto-test").list_updates())
    second = workspace.ok("deploy", "--stage", "test")
    assert "nothing to do" in second.err
    assert len(deployer.get_deployment(f"{workspace.project}-on-auto-test").list_updates()) == updates


def test_without_a_package_it_says_what_to_do(workspace: Workspace) -> None:
    result = workspace.run("deploy", "--stage", "test")
    assert result.code == 1
    assert "run `mlops-steps package` first" in result.err


def test_an_unknown_stage_is_a_usage_error_with_the_nearest_name(workspace: Workspace) -> None:
    result = workspace.run("deploy", "--stage", "tst")
    assert result.code == 2
    assert "test" in result.err.splitlines()[0]
    assert (result.reports / "mlops-deploy-tst.xml").exists()


def test_a_bundle_that_is_not_published_is_refused_by_the_deployer_and_changes_nothing(workspace: Workspace) -> None:
    workspace.ok("package", BUILD_NUMBER="1")
    workspace.ok("deploy", "--stage", "test")
    live = workspace.live("auto-test")
    result = workspace.run("deploy", "--stage", "test", "--bundle", "no-such-bundle")
    assert result.code in (1, 3)
    assert "no-such-bundle" in result.err
    assert "Traceback" not in result.err
    assert workspace.live("auto-test") == live


def test_a_deployment_with_another_name_is_found_and_used(workspace: Workspace) -> None:
    workspace.ok("package", BUILD_NUMBER="1")
    bundle = workspace.record["bundle"]["id"]
    deployer = workspace.client("design").get_projectdeployer()
    name = f"{workspace.project}-their-own-name"
    deployer.create_deployment(name, workspace.project, "auto-test", bundle)
    result = workspace.ok("deploy", "--stage", "test")
    assert result.properties("deploy-test")["deployment"] == name
    assert workspace.live("auto-test") == bundle


def test_deploying_to_the_release_stage_warns(workspace: Workspace) -> None:
    workspace.ok("package", BUILD_NUMBER="1")
    result = workspace.ok("deploy", "--stage", "prod")
    assert "warning: prod is the release stage" in result.err
    assert workspace.live() == workspace.record["bundle"]["id"]
