"""The remotes of a project's Git repository. Only repositories on this machine are reached."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from mlops_steps.sandbox.node.errors import DssError, bad_request, not_found
from mlops_steps.sandbox.services.projects.git import ProjectGit, checked_name

ORIGIN = "origin"
_REMOTE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.\-]*")


def remotes(git: ProjectGit) -> dict[str, str]:
    """Remote → its URL."""
    pairs = (line.split(maxsplit=1) for line in git.run("remote", "--verbose").splitlines() if line.endswith("(fetch)"))
    return {name: url.removesuffix("(fetch)").strip() for name, url in pairs}


def set_remote(git: ProjectGit, name: str, url: Any) -> None:
    """Adds a remote, or gives a known one another URL. Raises 400."""
    if not isinstance(url, str) or not url or url.startswith("-") or "\n" in url:
        raise bad_request(f"Git: {url!r} is not the URL of a repository")
    if not _REMOTE_NAME.fullmatch(name):
        raise bad_request(f"Git: {name!r} is not the name of a remote")
    git.run("remote", *(("set-url",) if name in remotes(git) else ("add",)), name, url)


def remove_remote(git: ProjectGit, name: str) -> None:
    """Removes a remote. Raises 404."""
    if name not in remotes(git):
        raise not_found(f"Git: this project has no remote {name!r}")
    git.run("remote", "remove", name)


def fetch(git: ProjectGit) -> dict[str, Any]:
    """Gets branches and tags of the remote."""
    _refuse_far_away(git)
    return _done(git, "fetch", "--prune", "--tags", ORIGIN)


def pull(git: ProjectGit, branch: str | None) -> dict[str, Any]:
    """Gets a branch of the remote and puts the project's own commits on top of it; all or nothing."""
    wanted = checked_name(branch or git.current_branch())
    fetched = fetch(git)
    if not fetched["success"]:
        return fetched
    if not git.clean():
        return {"success": False, "logs": "the project has changes that are not committed", "output": ""}
    rebased = _done(git, "rebase", f"refs/remotes/{ORIGIN}/{wanted}")
    if not rebased["success"]:
        git.run("rebase", "--abort", check=False)
    return rebased


def push(git: ProjectGit, branch: str | None) -> dict[str, Any]:
    """Sends the commits of a branch to the remote."""
    wanted = checked_name(branch or git.current_branch())
    _refuse_far_away(git)
    return _done(git, "push", "--set-upstream", ORIGIN, f"refs/heads/{wanted}:refs/heads/{wanted}")


def delete_remote_branch(git: ProjectGit, branch: str) -> None:
    """Deletes a branch on the remote. Raises 400."""
    _refuse_far_away(git)
    git.run("push", ORIGIN, "--delete", f"refs/heads/{checked_name(branch.removeprefix(f'{ORIGIN}/'))}")


def reset_to_upstream(git: ProjectGit) -> None:
    """Makes the branch what it is on the remote; local commits and changes are dropped. Raises 400."""
    fetched = fetch(git)
    if not fetched["success"]:
        raise bad_request(f"git fetch failed: {fetched['logs']}")
    git.run("reset", "--hard", "--quiet", f"refs/remotes/{ORIGIN}/{git.current_branch()}")
    git.run("clean", "-d", "--force", "--quiet")


def _refuse_far_away(git: ProjectGit) -> None:
    url = remotes(git).get(ORIGIN)
    if url is None:
        raise bad_request(f"Git: this project has no remote {ORIGIN!r}: set one first")
    if not Path(url.removeprefix("file://")).is_absolute():
        raise bad_request(
            f"not supported by the sandbox: Git remote {url}: it reaches repositories on this machine only"
        )


def _done(git: ProjectGit, *arguments: str) -> dict[str, Any]:
    """``success``, ``logs`` and ``output``, as the client documents them: what Git refuses is not an error of HTTP."""
    try:
        return {"success": True, "logs": "", "output": git.run(*arguments)}
    except DssError as error:
        if error.status != 400:
            raise
        return {"success": False, "logs": error.message, "output": ""}
