"""The project's Git through the official client: a real repository."""

from __future__ import annotations

import subprocess
from typing import Any

import dataikuapi
import pytest
from dataikuapi.dss.project import DSSProjectGit
from dataikuapi.utils import DataikuException

from mlops_steps.sandbox.node.node import Node
from mlops_steps.sandbox.services.projects.model import Project, create


@pytest.fixture
def git(design: dataikuapi.DSSClient, tiny: Project) -> DSSProjectGit:
    return design.get_project(tiny.key).get_project_git()


def messages(log: dict[str, Any]) -> list[str]:
    return [entry["message"] for entry in log["entries"]]


def test_every_change_is_a_commit_of_its_user(design: dataikuapi.DSSClient, tiny: Project, git: DSSProjectGit) -> None:
    project = design.get_project(tiny.key)
    settings = project.get_recipe("greet").get_settings()
    settings.set_code("print('hello')\n")
    settings.save()
    project.get_library().add_file("python/more.py")

    newest, before = git.log()["entries"][:2]
    assert (newest["message"], before["message"]) == ("Edited library file python/more.py", "Updated recipe greet")
    assert before["author"] == "admin"
    changed = subprocess.run(
        ["git", "show", "--name-only", "--format=", before["commitId"]],
        cwd=tiny.config_dir,
        capture_output=True,
        text=True,
        check=True,
    )
    assert changed.stdout.split() == ["recipes/greet.json", "recipes/greet.py"]


def test_the_log_comes_in_pages(design: dataikuapi.DSSClient, tiny: Project, git: DSSProjectGit) -> None:
    for number in range(4):
        design.get_project(tiny.key).update_variables({"n": number})
    whole = messages(git.log())

    pages, start = [], None
    while True:
        page = git.log(count=2, start_commit=start)
        assert len(page["entries"]) <= 2
        pages += messages(page)
        start = page.get("nextCommit")
        if start is None:
            break
    assert pages == whole


def test_the_log_of_one_path_holds_its_commits_only(
    design: dataikuapi.DSSClient, tiny: Project, git: DSSProjectGit
) -> None:
    design.get_project(tiny.key).update_variables({"n": 1})

    assert messages(git.log(path="variables.json"))[0] == "Updated variables"
    assert "Updated variables" not in messages(git.log(path="recipes"))


def test_an_unknown_commit_is_named(git: DSSProjectGit) -> None:
    with pytest.raises(DataikuException, match="'feedbeef' names no commit"):
        git.log(start_commit="feedbeef")


def test_status_shows_pending_changes_until_they_are_committed(tiny: Project, git: DSSProjectGit) -> None:
    tiny.commit("everything so far")
    assert git.get_status()["clean"] is True
    (tiny.config_dir / "variables.json").write_text('{"by": "hand"}', encoding="utf-8")
    (tiny.config_dir / "new.json").write_text("{}", encoding="utf-8")

    status = git.get_status()
    assert (status["clean"], status["hasUncommittedChanges"]) == (False, True)
    assert (status["modified"], status["untracked"]) == (["variables.json"], ["new.json"])

    git.commit("By hand")
    assert git.get_status()["clean"] is True
    assert messages(git.log(count=1)) == ["By hand"]


def test_a_change_through_the_api_leaves_other_pending_changes_alone(
    design: dataikuapi.DSSClient, tiny: Project, git: DSSProjectGit
) -> None:
    tiny.commit("everything so far")
    (tiny.config_dir / "new.json").write_text("{}", encoding="utf-8")
    (tiny.config_dir / "recipes/greet.py").write_text("# by hand\n", encoding="utf-8")
    design.get_project(tiny.key).update_variables({"n": 1})

    status = git.get_status()
    assert (status["untracked"], status["modified"]) == (["new.json"], ["recipes/greet.py"])


def test_local_variables_are_not_in_git(design: dataikuapi.DSSClient, tiny: Project, git: DSSProjectGit) -> None:
    tiny.commit("everything so far")
    design.get_project(tiny.key).update_variables({"secret": "of this node"}, type="local")

    assert git.get_status()["clean"] is True
    assert not git.log(path="localvariables.json")["entries"]


def test_tags_are_created_listed_and_deleted(git: DSSProjectGit) -> None:
    head = git.log(count=1)["entries"][0]["commitId"]
    git.create_tag("v1")
    git.create_tag("v2", reference=head, message="the second")

    tags = {tag["shortName"]: tag for tag in git.list_tags()}
    assert {tag["commit"] for tag in tags.values()} == {head}
    assert tags["v2"]["annotations"] == [{"message": "the second"}]
    assert git.log(count=1)["entries"][0]["tags"] == ["v1", "v2"]

    git.delete_tag("v1")
    assert [tag["shortName"] for tag in git.list_tags()] == ["v2"]


@pytest.mark.parametrize("name", ["--force", "a b", "..", "x~1"])
def test_a_tag_name_that_git_would_misread_is_refused(git: DSSProjectGit, name: str) -> None:
    with pytest.raises(DataikuException, match="is not the name of a tag or branch"):
        git.create_tag(name)


def test_branches_are_created_switched_and_deleted(tiny: Project, git: DSSProjectGit) -> None:
    tiny.commit("everything so far")
    main = git.get_current_branch()
    git.create_branch("other")
    assert (git.get_current_branch(), sorted(git.list_branches())) == ("other", sorted([main, "other"]))

    git.switch(main)
    git.delete_branch("other")
    assert git.list_branches() == [main]


def test_a_diff_counts_lines_and_shows_files(tiny: Project, git: DSSProjectGit) -> None:
    tiny.commit("everything so far")
    before = git.log(count=1)["entries"][0]["commitId"]
    (tiny.config_dir / "lib/python/greetings.py").write_text("GREETING = 'hi'\nMORE = 1\n", encoding="utf-8")
    pending = git.diff()
    git.commit("Changed")
    after = git.log(count=1)["entries"][0]["commitId"]

    for diff in (pending, git.diff(after), git.diff(before, after)):
        assert (diff["addedLines"], diff["removedLines"], diff["changedFiles"]) == (2, 1, 1)
        assert diff["entries"][0]["newPath"] == "lib/python/greetings.py"


def test_a_project_returns_to_an_older_revision(tiny: Project, git: DSSProjectGit) -> None:
    tiny.commit("everything so far")
    before = git.log(count=1)["entries"][0]["commitId"]
    (tiny.config_dir / "variables.json").write_text('{"changed": 1}', encoding="utf-8")
    git.commit("Changed")

    assert git.revert_to_revision(before)["success"] is True
    assert tiny.variables["standard"] == {"greeting": "hello"}
    assert messages(git.log(count=1)) == [f"Reverted to {before}"]


def test_pending_changes_can_be_dropped(tiny: Project, git: DSSProjectGit) -> None:
    tiny.commit("everything so far")
    (tiny.config_dir / "variables.json").write_text("{}", encoding="utf-8")
    git.reset_to_head()

    assert tiny.variables["standard"] == {"greeting": "hello"}


def test_an_automation_node_has_no_git(auto_test: dataikuapi.DSSClient, test_node: Node, new_key: str) -> None:
    create(test_node, new_key, "Deployed")

    with pytest.raises(DataikuException, match="exists on a Design node only"):
        auto_test.get_project(new_key).get_project_git().log()


def test_git_settings_of_the_machine_do_not_matter(
    tiny: Project, git: DSSProjectGit, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_DIR", "/nowhere")
    monkeypatch.setenv("GIT_AUTHOR_NAME", "somebody else")
    (tiny.config_dir / "new.json").write_text("{}", encoding="utf-8")
    git.commit("Still works")

    assert git.log(count=1)["entries"][0]["author"] == "admin"
