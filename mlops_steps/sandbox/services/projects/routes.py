"""Projects over HTTP."""

from __future__ import annotations

import json
from typing import Any

from mlops_steps.sandbox.http.routing import Call, Router
from mlops_steps.sandbox.node.errors import bad_request
from mlops_steps.sandbox.node.store import milliseconds
from mlops_steps.sandbox.services.projects import git_routes, library_routes
from mlops_steps.sandbox.services.projects.model import Project, active_bundle_id, create, list_projects
from mlops_steps.sandbox.services.projects.objects import metadata_of, with_metadata
from mlops_steps.sandbox.services.scenarios.service import stop_all_runs

router = Router()
router.routes.extend(library_routes.router.routes)
router.routes.extend(git_routes.router.routes)

_DONE = {"hasResult": True, "alive": False, "aborted": False, "result": {"messages": []}}


def project_of(call: Call) -> Project:
    """The project that the request names."""
    return Project.load(call.node, call.path["key"])


def summary(project: Project) -> dict[str, Any]:
    """A project as it stands in a list."""
    params = project.params
    item = {
        "projectKey": project.key,
        "name": params.get("name", project.key),
        "owner": params.get("owner", "admin"),
        "ownerLogin": params.get("owner", "admin"),
        "ownerDisplayName": params.get("owner", "admin"),
        "shortDesc": params.get("shortDesc", ""),
        "description": params.get("description", ""),
        "tags": params.get("tags", []),
        "projectType": params.get("projectType", "REGULAR"),
        "projectStatus": params.get("projectStatus", "Sandbox"),
        "projectAppType": "REGULAR",
        "permissions": params.get("permissions", []),
        "isProjectAdmin": True,
        "canWriteProjectContent": True,
        "disableAutomaticTriggers": params.get("disableAutomaticTriggers", False),
        "creationTag": params.get("creationTag", {}),
        "versionTag": project.version_tag(params),
    }
    if project.node.type == "AUTOMATION":
        state = active_bundle_state(project)
        if state is not None:
            item["activeBundleState"] = state
    return item


def active_bundle_state(project: Project) -> dict[str, Any] | None:
    """Which bundle is active on an Automation node, when one is."""
    bundle = active_bundle_id(project.node, project.key)
    return {"bundleId": bundle, "projectKey": project.key} if bundle else None


@router.get("/projects")
def list_all(call: Call) -> Any:
    items = [summary(project) for project in list_projects(call.node)]
    if call.flag("includeLocation"):
        for item in items:
            item["projectLocation"] = [{"id": "ROOT", "name": "Projects"}]
    return items


@router.post("/projects")
def create_one(call: Call) -> Any:
    body = call.json_object()
    key = body.get("projectKey") or ""
    project = create(
        call.node,
        key,
        body.get("name") or key,
        body.get("owner") or call.user,
        description=body.get("description"),
        tags=body.get("tags"),
        permissions=body.get("permissions"),
        settings=body.get("settings"),
    )
    return {"msg": f"Created project {project.key}"}


@router.get("/projects/{key}")
def get_summary(call: Call) -> Any:
    return summary(project_of(call))


@router.delete("/projects/{key}")
def delete(call: Call) -> Any:
    project = project_of(call)
    stop_all_runs(project)
    project.delete(call.flag("clearManagedDatasets"))
    return _DONE


@router.get("/projects/{key}/metadata")
def get_metadata(call: Call) -> Any:
    return metadata_of(project_of(call).params)


@router.put("/projects/{key}/metadata")
def set_metadata(call: Call) -> Any:
    project, metadata = project_of(call), call.json_object()
    with call.node.lock(project.key):
        params = with_metadata(project.params, metadata)
        if metadata.get("label"):
            params["name"] = metadata["label"]
        project.save_params(params, "Updated metadata", call.user)


@router.get("/projects/{key}/settings")
def get_settings(call: Call) -> Any:
    project = project_of(call)
    return {"projectKey": project.key, **project.settings}


@router.put("/projects/{key}/settings")
def save_settings(call: Call) -> Any:
    project, settings = project_of(call), call.json_object()
    if "settings" not in settings:
        raise bad_request("The settings of a project need an object 'settings': save what get_settings returned")
    settings.pop("projectKey", None)
    with call.node.lock(project.key):
        project.save_params({**project.params, **settings}, "Updated settings", call.user)


@router.get("/projects/{key}/permissions")
def get_permissions(call: Call) -> Any:
    params = project_of(call).params
    return {"owner": params.get("owner", "admin"), "permissions": params.get("permissions", [])}


@router.put("/projects/{key}/permissions")
def set_permissions(call: Call) -> Any:
    project, given = project_of(call), call.json_object()
    changes: dict[str, Any] = {name: given[name] for name in ("owner", "permissions") if name in given}
    with call.node.lock(project.key):
        project.save_params({**project.params, **changes}, "Updated permissions", call.user)


@router.get("/projects/{key}/variables")
def get_variables(call: Call) -> Any:
    return project_of(call).variables


@router.put("/projects/{key}/variables")
def set_variables(call: Call) -> Any:
    project_of(call).save_variables(call.json_object(), call.user)


@router.get("/projects/{key}/variables-resolved")
def resolved_variables(call: Call) -> Any:
    variables = project_of(call).resolved_variables()
    if call.flag("typed"):
        return variables
    return {name: value if isinstance(value, str) else json.dumps(value) for name, value in variables.items()}


@router.get("/projects/{key}/tags")
def get_tags(call: Call) -> Any:
    project = project_of(call)
    stored = project.params.get("tagsDefinition") or {}
    return {"tags": stored or {tag: {"color": "#4b96e6", "usageCount": 1} for tag in project.params.get("tags", [])}}


@router.put("/projects/{key}/tags")
def set_tags(call: Call) -> Any:
    project = project_of(call)
    with call.node.lock(project.key):
        params = {**project.params, "tagsDefinition": call.json_object().get("tags", {})}
        project.save_params(params, "Updated tags", call.user)


@router.get("/projects/{key}/timeline")
def timeline(call: Call) -> Any:
    project = project_of(call)
    count = int(call.params.get("itemCount", "100"))
    commits = project.git.log(None, None, count)["entries"] if call.node.type == "DESIGN" else []
    items = [
        {"time": milliseconds(entry["timestamp"]), "user": entry["author"], "message": entry["message"]}
        for entry in commits
    ]
    tags = project.params
    return {
        "items": items,
        "allContributors": [{"login": login} for login in sorted({item["user"] for item in items})],
        "createdOn": (tags.get("creationTag") or {}).get("lastModifiedOn"),
        "lastModifiedOn": (tags.get("versionTag") or {}).get("lastModifiedOn"),
    }


@router.get("/projects/{key}/interest")
def interest(call: Call) -> Any:
    project_of(call)
    return {"nbStars": 0, "nbWatches": 0, "stars": [], "watches": []}
