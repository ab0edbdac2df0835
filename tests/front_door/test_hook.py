"""The pre-deployment hook of the Project Deployer: nothing goes live that the pipeline has not sealed."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import pytest

from mlops_steps.config import load
from mlops_steps.dss import seals
from mlops_steps.dss.session import connect
from mlops_steps.provenance.seals import PREFIX
from mlops_steps.sandbox.services.deployer import hooks
from tests.front_door.conftest import Workspace
from tests.front_door.test_provenance import published, sign
from tests.support.keys import KeyFiles, make_key

PROD = "auto-prod"
HOOK = "Pre-deployment hook seal"


@pytest.fixture
def key(tmp_path_factory: pytest.TempPathFactory) -> KeyFiles:
    return make_key(tmp_path_factory.mktemp("keys"))


@pytest.fixture(autouse=True)
def _no_hooks_afterwards(workspace: Workspace) -> Any:
    yield
    install(workspace, [])


def install(workspace: Workspace, installed: list[dict[str, Any]], infra: str = PROD, **more: Any) -> None:
    settings = workspace.client("design").get_projectdeployer().get_infra(infra).get_settings()
    settings.get_raw()[hooks.HOOKS] = installed
    settings.get_raw().update(more)
    settings.save()


def seal_hook(workspace: Workspace, key: KeyFiles) -> None:
    workspace.ok("hook", "--public-key", str(key.public), "--out", "hook.py")
    install(workspace, [{"name": "seal", "code": (workspace.folder / "hook.py").read_text()}])


def click(workspace: Workspace, bundle: str) -> dict[str, Any]:
    """What somebody does in the Project Deployer by hand; returns the result of the update."""
    deployer = workspace.client("design").get_projectdeployer()
    identifier = f"{workspace.project}-on-{PROD}"
    if identifier in [str(one.id) for one in deployer.list_deployments()]:
        settings = deployer.get_deployment(identifier).get_settings()
        settings.bundle_id = bundle
        settings.save()
    else:
        deployer.create_deployment(identifier, workspace.project, PROD, bundle)
    result: dict[str, Any] = deployer.get_deployment(identifier).start_update().wait_for_result()
    return result


def texts(result: dict[str, Any]) -> str:
    return "\n".join(
        f"{item['severity']} {item['title']}: {item['message']}" for item in result["infoMessages"]["messages"]
    )


def test_a_release_passes_and_a_click_does_not(workspace: Workspace, key: KeyFiles) -> None:
    sign(workspace, key)
    seal_hook(workspace, key)
    first = workspace.tested(1)
    result = click(workspace, first)
    assert result["status"] == "ERROR"
    assert f"bundle {first} has no seal for {PROD}" in texts(result)
    assert workspace.live() is None

    released = workspace.ok("release", "--stage", "prod")
    said = released.case("release-prod", HOOK).findtext("system-out") or ""
    assert f"success: bundle {first} was sealed by" in said
    assert workspace.live() == first

    second = workspace.tested(2)
    assert "has no seal" in texts(click(workspace, second))
    assert workspace.live() == first
    # Going back is not refused, whoever does it.
    assert click(workspace, first)["status"] == "SUCCESS"
    workspace.ok("release", "--stage", "prod")
    workspace.ok("rollback", "--stage", "prod")
    assert workspace.live() == first
    assert workspace.health() == "HEALTHY"


def test_a_release_without_a_key_is_refused_and_what_was_live_stays(workspace: Workspace, key: KeyFiles) -> None:
    sign(workspace, key)
    first = workspace.released(1)
    seal_hook(workspace, key)
    del workspace.environment["MLOPS_SIGNING_KEY_FILE"]
    workspace.tested(2)
    result = workspace.run("release", "--stage", "prod")
    assert result.code == 4, result.err
    assert "refused: bundle" in result.err
    failure = result.case("release-prod", HOOK).find("failure")
    assert failure is not None
    assert "has no seal" in (failure.get("message") or "")
    assert (workspace.live(), workspace.health()) == (first, "HEALTHY")


def test_a_seal_of_another_key_archive_or_bundle_is_refused(
    workspace: Workspace, key: KeyFiles, tmp_path: Path
) -> None:
    (tmp_path / "other").mkdir()
    other = make_key(tmp_path / "other")
    sign(workspace, other)
    first = workspace.released(1)
    seal_hook(workspace, key)
    second = workspace.tested(2)
    result = workspace.run("release", "--stage", "prod")
    assert result.code == 4
    assert "it is not signed by the key of this hook" in result.err
    sign(workspace, key)
    workspace.ok("release", "--stage", "prod")
    third = workspace.tested(3)
    published_project = workspace.client("design").get_projectdeployer().get_project(workspace.project)

    def tags() -> list[str]:
        found: list[str] = published_project.get_settings().get_raw()["tags"]
        return found

    def tamper(change: Any) -> None:
        settings = published_project.get_settings()
        settings.get_raw()["tags"] = [change(tag) for tag in settings.get_raw()["tags"]]
        settings.save()

    seal = next(tag for tag in tags() if tag.startswith(f"{PREFIX}{PROD}|{second}|"))
    tamper(lambda tag: tag.replace(f"|{second}|", f"|{third}|"))
    assert "it is about another project, bundle or infrastructure" in texts(click(workspace, third))
    tamper(lambda tag: tag[:-9] + ("A" if tag[-9] != "A" else "B") + tag[-8:] if tag.startswith(PREFIX) else tag)
    assert f"the seal of bundle {third} is not valid" in texts(click(workspace, third))
    assert workspace.live() == second
    # The archive of a sealed bundle is replaced on the deployer, before it was ever live.
    workspace.ok("rollback", "--stage", "prod")
    assert workspace.live() == first
    tamper(lambda tag: seal if tag.startswith(PREFIX) else tag)
    path = published(workspace, second)
    path.write_bytes(path.read_bytes() + b"\0")
    deployer = workspace.client("design").get_projectdeployer()
    update = f"{workspace.project}-on-{PROD}"
    # On a deployment of its own, which has no past.
    deployer.create_deployment(f"{update}-2", workspace.project, PROD, second)
    result = deployer.get_deployment(f"{update}-2").start_update().wait_for_result()
    assert "the archive on the deployer is not the one that was sealed" in texts(result)


def test_a_hook_that_fails_hangs_or_gives_nothing_refuses(workspace: Workspace) -> None:
    bundle = workspace.tested(1)

    def said(code: str, **more: Any) -> str:
        install(workspace, [{"name": "mine", "code": code}], **more)
        result = click(workspace, bundle)
        assert result["status"] == "ERROR"
        assert workspace.live() is None
        return texts(result)

    head = "def execute(requesting_user, deployment_id, **kwargs):\n"
    head = (
        "def execute(requesting_user, deployment_id, deployment_report, deployer_client, automation_client, "
        "deploying_user, deployed_project_key, **kwargs):\n"
    )
    assert "the hook failed: no more" in said(head + "    raise ValueError('no more')\n")
    assert "not a HookResult" in said(head + "    return True\n")
    assert "the hook failed" in said("this is no Python\n")
    assert "time limit of 1 s" in said(head + "    import time\n    time.sleep(600)\n", **{hooks.LIMIT: 1})
    install(workspace, [{"name": "mine", "code": head + "    return HookResult.warning('mind the gap')\n"}])
    result = click(workspace, bundle)
    assert result["status"] == "WARNING"
    assert "mind the gap" in texts(result)
    assert workspace.live() == bundle


def test_the_seals_of_the_newest_bundles_stay_and_no_other_tag_goes(workspace: Workspace) -> None:
    workspace.tested(1)
    client = workspace.client("design")
    project = client.get_projectdeployer().get_project(workspace.project)
    settings = project.get_settings()
    settings.get_raw()["tags"] = ["mine", f"{PREFIX}odd"]
    settings.save()
    configured = load(workspace.folder / "mlops.yml", workspace.environment)
    with connect(configured, configured.deployer()) as deployer:
        for number in range(seals.MOST + 3):
            for infra in ("a", "b"):
                seals.write(deployer, workspace.project, PREFIX, [f"{PREFIX}{infra}|b{number}|old"])
            seals.write(deployer, workspace.project, PREFIX, [f"{PREFIX}{infra}|b{number}|x" for infra in ("a", "b")])
    newest = range(3, seals.MOST + 3)
    assert project.get_settings().get_raw()["tags"] == [
        "mine",
        *(f"{PREFIX}{infra}|b{number}|x" for number in newest for infra in ("a", "b")),
    ]


def test_three_hooks_run_at_once(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of five deployments at once two wait, and give up when their wait is over."""
    monkeypatch.setattr(hooks, "WAIT_SECONDS", 0.5)
    gate = workspace.folder / "gate"
    code = (
        "def execute(requesting_user, deployment_id, deployment_report, deployer_client, automation_client, "
        "deploying_user, deployed_project_key, **kwargs):\n"
        "    import pathlib, time\n"
        f"    while not pathlib.Path({str(gate)!r}).exists():\n"
        "        time.sleep(0.02)\n"
        "    return HookResult.success('through')\n"
    )
    install(workspace, [{"name": "slow", "code": code}])
    bundle = workspace.tested(1)
    deployer = workspace.client("design").get_projectdeployer()
    names = [f"{workspace.project}-{number}" for number in range(5)]
    futures = []
    for name in names:
        deployer.create_deployment(name, workspace.project, PROD, bundle, deployed_project_key=name.replace("-", "_"))
        futures.append(deployer.get_deployment(name).start_update())
    refused = []
    limit = time.monotonic() + 30
    while len(refused) < 2 and time.monotonic() < limit:
        refused = [future for future in futures if future.get_state().get("hasResult")]
    assert len(refused) == 2
    assert all("3 hooks run already" in texts(future.get_result()) for future in refused)
    gate.touch()
    for future in futures:
        future.wait_for_result()
    assert threading.active_count() > 0


def test_wrong_usage(workspace: Workspace, key: KeyFiles) -> None:
    assert workspace.run("hook").code == 2
    result = workspace.run("hook", "--public-key", str(key.private))
    assert result.code == 2
    assert "holds a private key" in result.err
    printed = workspace.ok("hook", "--public-key", str(key.public)).out
    compile(printed, "hook.py", "exec")
    assert "PRIVATE" not in printed
