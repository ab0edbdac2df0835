"""report: the page of the release, for this build and for an old one."""

from __future__ import annotations

import shutil

import pytest
from lxml import html as lxml_html

from tests.front_door.conftest import Workspace, set_stage_variable
from tests.jenkins.fake_controller import TOKEN, USER, FakeBuild, FakeController


def verdict(page: str) -> str:
    found: str = lxml_html.fromstring(page).find(".//p[@class='verdict']").text
    return found


def test_the_page_says_what_is_live_for_this_build_and_for_an_old_one(workspace: Workspace) -> None:
    assert "there is no report to make a page of" in workspace.run("report").err
    bundle = workspace.released(1)
    said = workspace.ok("report", BUILD_URL="https://jenkins.example.com/job/churn/1/").err
    assert "page: https://jenkins.example.com/job/churn/1/artifact/reports/html/index.html" in said
    page = (workspace.folder / "reports/html/index.html").read_text()
    assert verdict(page).startswith(f"Bundle {bundle} has been live on prod since ")
    assert "tests passed), smoke test passed." in verdict(page)

    old = workspace.folder / "old" / "archive"
    shutil.copytree(workspace.folder / "reports", old / "reports")
    shutil.copytree(workspace.folder / ".mlops", old / ".mlops")
    shutil.rmtree(old / "reports" / "html")
    newer = workspace.tested(2)
    assert f"Bundle {newer} has passed" in verdict((workspace.folder / "reports/html/index.html").read_text())
    said = workspace.ok("report", "--from", str(old)).err
    assert "page: old/archive/reports/html/index.html" in said
    assert f"Bundle {bundle} has been live" in verdict((old / "reports/html/index.html").read_text())


def test_the_page_of_an_old_build_is_made_of_what_the_controller_has(workspace: Workspace) -> None:
    bundle = workspace.tested(1)
    names = ("mlops-package.xml", "mlops-deploy-test.xml", "mlops-test-test.xml")
    artifacts = {f"reports/{name}": (workspace.folder / "reports" / name).read_bytes() for name in names}
    artifacts[".mlops/release.json"] = (workspace.folder / ".mlops/release.json").read_bytes()
    artifacts |= {"reports/mlops-../../outside.xml": b"<x/>", "other.txt": b"x"}
    controller = FakeController()
    controller.add_job("churn")
    controller.add_past_build("churn", FakeBuild(artifacts=artifacts))
    controller.add_past_build("churn", FakeBuild())
    shutil.rmtree(workspace.folder / "reports")
    with controller.running():
        access = {"JENKINS_URL": controller.url, "JENKINS_USER": USER, "JENKINS_API_TOKEN": TOKEN}
        said = workspace.ok("report", "--build", "churn#1", **access).err
        without = workspace.run("report", "--build", "churn#2", **access)
        unknown = workspace.run("report", "--build", "churn#9", **access)
    folder = workspace.folder / "reports/builds/churn-1"
    assert "page: reports/builds/churn-1/html/index.html" in said
    assert f"Bundle {bundle} has passed its tests on test" in verdict((folder / "html/index.html").read_text())
    assert sorted(path.name for path in folder.iterdir()) == ["html", *sorted(names), "release.json"]
    assert (without.code, unknown.code) == (1, 3)
    assert "churn#2 has archived no reports" in without.err
    assert workspace.run("report", "--build", "churn").code == 2
    assert workspace.run("report", "--build", "churn#1", "--from", "x").code == 2


def test_the_page_of_a_release_that_was_rolled_back(workspace: Workspace) -> None:
    before = workspace.released(1)
    set_stage_variable(workspace)
    workspace.tested(2, smoke="fail")
    assert workspace.run("release", "--stage", "prod").code == 4
    page = (workspace.folder / "reports/html/index.html").read_text()
    assert "is not live on prod: smoke test" in verdict(page)
    assert f"bundle {before}, verified." in verdict(page)
    assert "look at the failed check" in page


@pytest.mark.parametrize("more", [["--from", "nowhere"], []])
def test_a_folder_without_reports_is_a_clear_error(workspace: Workspace, more: list[str]) -> None:
    result = workspace.run("report", *more)
    assert result.code == 1
    assert "next: run a step first" in result.err
