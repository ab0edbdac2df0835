"""A project's Git and a bare repository on this machine."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import dataikuapi
import pytest
from dataikuapi.utils import DataikuException

from mlops_steps.sandbox.services.projects.model import Project

IDENTITY = ("-c", "user.name=Colleague", "-c", "user.email=colleague@example.com")


def run(folder: Path, *arguments: str) -> str:
    done = subprocess.run(["git", *IDENTITY, *arguments], cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout.strip()


@pytest.fixture
def bare(tmp_path: Path) -> Path:
    folder = tmp_path / "remote.git"
    run(tmp_path, "init", "--quiet", "--bare", "--initial-branch=master", str(folder))
    return folder


@pytest.fixture
def git(design: dataikuapi.DSSClient, tiny: Project, bare: Path) -> Any:
    git = design.get_project(tiny.key).get_project_git()
    git.set_remote(str(bare))
    git.commit("Everything")
    return git


def colleague(bare: Path, tmp_path: Path, name: str, content: str) -> str:
    """A commit that somebody else pushes; returns its id."""
    clone = tmp_path / "colleague"
    run(tmp_path, "clone", "--quiet", str(bare), str(clone))
    (clone / name).write_text(content, encoding="utf-8")
    run(clone, "add", ".")
    run(clone, "commit", "--quiet", "-m", "From a colleague")
    run(clone, "push", "--quiet")
    return run(clone, "rev-parse", "HEAD")


def test_a_remote_is_set_changed_and_removed(git: Any, bare: Path) -> None:
    assert git.get_remote() == str(bare)
    git.set_remote(f"file://{bare}")
    assert git.get_remote() == f"file://{bare}"
    assert git.get_status()["remotes"] == ["origin"]
    git.remove_remote()
    assert git.get_remote() is None
    with pytest.raises(DataikuException, match="has no remote 'origin'"):
        git.push()


def test_a_push_brings_the_commits_to_the_remote(git: Any, tiny: Project, bare: Path) -> None:
    assert git.push()["success"] is True
    assert run(bare, "rev-parse", "master") == tiny.git.head()
    assert git.get_status()["trackingCount"] == {"ahead": 0, "behind": 0}
    assert git.list_branches(remote=True) == ["master", "origin/master"]


def test_a_pull_brings_what_others_pushed(git: Any, tiny: Project, bare: Path, tmp_path: Path) -> None:
    git.push()
    theirs = colleague(bare, tmp_path, "notes.txt", "hello")
    assert git.fetch()["success"] is True
    assert git.get_status()["trackingCount"] == {"ahead": 0, "behind": 1}
    assert git.pull()["success"] is True
    assert git.log(count=1)["entries"][0]["commit"] == theirs
    assert (tiny.config_dir / "notes.txt").read_text(encoding="utf-8") == "hello"


def test_a_conflict_and_an_old_branch_leave_both_sides_as_they_were(
    git: Any, tiny: Project, bare: Path, tmp_path: Path
) -> None:
    git.push()
    theirs = colleague(bare, tmp_path, "variables.json", '{"greeting": "theirs"}')
    tiny.save_variables({"standard": {"greeting": "mine"}, "local": {}})
    mine = tiny.git.head()
    refused = git.push()
    assert (refused["success"], "rejected" in refused["logs"]) == (False, True)
    assert git.pull()["success"] is False
    assert (tiny.git.head(), git.get_status()["clean"]) == (mine, True)
    assert run(bare, "rev-parse", "master") == theirs
    git.reset_to_upstream()
    assert tiny.git.head() == theirs


@pytest.mark.parametrize("url", ["https://github.com/somebody/project.git", "git@example.com:a/b.git", "ext::sh -c id"])
def test_no_repository_elsewhere_is_reached(git: Any, url: str) -> None:
    git.set_remote(url)
    with pytest.raises(DataikuException, match="it reaches repositories on this machine only"):
        git.fetch()
