"""Dashboards, insights, notebooks and the wiki over HTTP, to read only: what the project's files hold."""

from __future__ import annotations

from typing import Any

from mlops_steps.sandbox.http.routing import Call, Router
from mlops_steps.sandbox.node.errors import not_found, not_supported
from mlops_steps.sandbox.node.store import read_json, safe_name
from mlops_steps.sandbox.services.projects.model import Project
from mlops_steps.sandbox.services.projects.objects import Objects

# Beside ``project_config/``, as in published exports.
NOTEBOOKS = "ipython_notebooks"

router = Router()


def _objects(call: Call, kind: str) -> Objects:
    return Objects(Project.load(call.node, call.path["key"]), f"{kind}s", kind)


def _common(call: Call, identity: str, definition: dict[str, Any]) -> dict[str, Any]:
    owner = definition.get("owner") or call.user
    return {"listed": False, **definition, "projectKey": call.path["key"], "id": identity, "owner": owner}


def _dashboard(call: Call, identity: str, definition: dict[str, Any]) -> dict[str, Any]:
    pages = definition.get("pages") or []
    tiles = sum(len((page.get("grid") or {}).get("tiles") or []) for page in pages)
    return {**_common(call, identity, definition), "numPages": len(pages), "numTiles": tiles}


@router.get("/projects/{key}/dashboards")
def dashboards(call: Call) -> Any:
    objects = _objects(call, "dashboard")
    return [_dashboard(call, identity, objects.get(identity)) for identity in objects.ids()]


@router.get("/projects/{key}/dashboards/{dashboard}")
def dashboard(call: Call) -> Any:
    identity = call.path["dashboard"]
    return _common(call, identity, _objects(call, "dashboard").get(identity))


@router.get("/projects/{key}/insights")
def insights(call: Call) -> Any:
    objects = _objects(call, "insight")
    return [_common(call, identity, objects.get(identity)) for identity in objects.ids()]


@router.get("/projects/{key}/insights/{insight}")
def insight(call: Call) -> Any:
    identity = call.path["insight"]
    return _common(call, identity, _objects(call, "insight").get(identity))


@router.get("/projects/{key}/jupyter-notebooks")
def notebooks(call: Call) -> Any:
    """No notebook ever runs: the list of active ones is empty."""
    project = Project.load(call.node, call.path["key"])
    if call.flag("active"):
        return []
    items = []
    for path in sorted((project.dir / NOTEBOOKS).glob("*.ipynb")):
        kernel = (read_json(path, {}).get("metadata") or {}).get("kernelspec") or {}
        item = {"projectKey": project.key, "name": path.stem, "language": kernel.get("language"), "kernelSpec": kernel}
        items.append(item)
    return items


@router.get("/projects/{key}/jupyter-notebooks/{notebook}")
def notebook(call: Call) -> Any:
    project, name = Project.load(call.node, call.path["key"]), call.path["notebook"]
    known = {path.stem: path for path in (project.dir / NOTEBOOKS).glob("*.ipynb")}
    if name not in known:
        raise not_found(f"notebook {safe_name(name, 'notebook')} of project {project.key} does not exist")
    return read_json(known[name])


@router.get("/projects/{key}/wiki")
def wiki(call: Call) -> Any:
    """The settings of an empty wiki. How exports keep the articles of another one is not known."""
    project = Project.load(call.node, call.path["key"])
    if any((project.config_dir / "wiki").glob("**/*")):
        raise not_supported(f"the wiki of project {project.key}, which holds articles")
    return {"projectKey": project.key, "taxonomy": [], "homeArticleId": None}
