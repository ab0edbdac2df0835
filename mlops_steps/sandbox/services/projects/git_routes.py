"""The project's Git over HTTP. Automation nodes have none."""

from __future__ import annotations

from typing import Any

from mlops_steps.sandbox.http.routing import Call, Router
from mlops_steps.sandbox.node.errors import bad_request, not_supported
from mlops_steps.sandbox.services.projects import git_remotes
from mlops_steps.sandbox.services.projects.git import ProjectGit
from mlops_steps.sandbox.services.projects.model import Project

router = Router(only="DESIGN")


def _git(call: Call) -> ProjectGit:
    git = Project.load(call.node, call.path["key"]).git
    git.ensure()
    return git


def _name(call: Call) -> str:
    name = call.json_object().get("name")
    if not isinstance(name, str) or not name:
        raise bad_request("A name is needed")
    return name


@router.get("/projects/{key}/git/status")
def status(call: Call) -> Any:
    return _git(call).status()


@router.get("/projects/{key}/git/actions/log")
def log(call: Call) -> Any:
    count = call.params.get("count", "20")
    if not count.isdigit():
        raise bad_request(f"count must be a number, not {count!r}")
    return _git(call).log(call.params.get("path"), call.params.get("startCommit"), int(count))


@router.get("/projects/{key}/git/actions/diff")
def diff(call: Call) -> Any:
    return _git(call).diff(call.params.get("commitFrom"), call.params.get("commitTo"))


@router.post("/projects/{key}/git/actions/commit")
def commit(call: Call) -> Any:
    project = Project.load(call.node, call.path["key"])
    project.commit(call.json_object().get("message", ""), call.user)
    return {"success": True}


@router.get("/projects/{key}/git/current-branch")
def current_branch(call: Call) -> Any:
    return {"name": _git(call).current_branch()}


@router.get("/projects/{key}/git/branches")
def branches(call: Call) -> Any:
    return _git(call).branches(call.flag("remote"))


@router.post("/projects/{key}/git/branches")
def create_branch(call: Call) -> Any:
    body = call.json_object()
    if body.get("duplicateProject"):
        raise not_supported("POST /projects/{key}/git/branches with duplicateProject")
    name = _name(call)
    with call.node.lock(call.path["key"]):
        _git(call).create_branch(name, body.get("commit"))
    return {"success": True, "output": f"Switched to a new branch '{name}'"}


@router.post("/projects/{key}/git/actions/deleteBranch")
def delete_branch(call: Call) -> Any:
    body = call.json_object()
    git, name = _git(call), _name(call)
    if body.get("remote") or body.get("deleteRemotely"):
        git_remotes.delete_remote_branch(git, name)
    if not body.get("remote"):
        git.delete_branch(name, bool(body.get("forceDelete")))
    return {}


@router.post("/projects/{key}/git/actions/switchBranch")
def switch(call: Call) -> Any:
    with call.node.lock(call.path["key"]):
        _git(call).switch(call.params.get("branchName", ""))
    return {"success": True, "messages": [], "output": ""}


@router.get("/projects/{key}/git/tags")
def tags(call: Call) -> Any:
    return _git(call).tags()


@router.post("/projects/{key}/git/tags")
def create_tag(call: Call) -> Any:
    body = call.json_object()
    _git(call).create_tag(_name(call), body.get("reference") or "HEAD", body.get("message") or "")
    return {}


@router.post("/projects/{key}/git/actions/deleteTag")
def delete_tag(call: Call) -> Any:
    _git(call).delete_tag(_name(call))
    return {}


@router.post("/projects/{key}/git/actions/revertToRevision")
def revert_to_revision(call: Call) -> Any:
    with call.node.lock(call.path["key"]):
        return _git(call).restore(call.params.get("commit", ""), call.user)


@router.post("/projects/{key}/git/actions/revertCommit")
def revert_commit(call: Call) -> Any:
    with call.node.lock(call.path["key"]):
        return _git(call).revert(call.params.get("commit", ""))


@router.post("/projects/{key}/git/actions/resetToLocalHeadState")
def reset_to_head(call: Call) -> Any:
    with call.node.lock(call.path["key"]):
        _git(call).reset_to_head()
    return {}


@router.get("/projects/{key}/git/remotes/{name}")
def get_remote(call: Call) -> Any:
    url = git_remotes.remotes(_git(call)).get(call.path["name"])
    return {"url": url} if url else {}


@router.post("/projects/{key}/git/remotes/{name}")
def set_remote(call: Call) -> Any:
    git_remotes.set_remote(_git(call), call.path["name"], call.json_object().get("url"))
    return {}


@router.delete("/projects/{key}/git/remotes/{name}")
def remove_remote(call: Call) -> Any:
    git_remotes.remove_remote(_git(call), call.path["name"])
    return {}


@router.post("/projects/{key}/git/actions/fetch")
def fetch(call: Call) -> Any:
    return git_remotes.fetch(_git(call))


@router.post("/projects/{key}/git/actions/pullRebase")
def pull(call: Call) -> Any:
    with call.node.lock(call.path["key"]):
        return git_remotes.pull(_git(call), call.params.get("branchName"))


@router.post("/projects/{key}/git/actions/push")
def push(call: Call) -> Any:
    return git_remotes.push(_git(call), call.params.get("branchName"))


@router.post("/projects/{key}/git/actions/resetToRemoteHeadState")
def reset_to_upstream(call: Call) -> Any:
    with call.node.lock(call.path["key"]):
        git_remotes.reset_to_upstream(_git(call))
    return {}


@router.get("/projects/{key}/git/lib-git-refs")
def list_libraries(call: Call) -> Any:
    _git(call)
    return []
