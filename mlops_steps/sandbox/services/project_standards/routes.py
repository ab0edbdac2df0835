"""Project Standards over HTTP. A node before DSS 14 has none of these requests."""

from __future__ import annotations

from typing import Any

from starlette.responses import PlainTextResponse

from mlops_steps.sandbox.http.routing import Call, Router
from mlops_steps.sandbox.node.errors import bad_request, not_found
from mlops_steps.sandbox.services.project_standards.checks import SPECS
from mlops_steps.sandbox.services.project_standards.model import Standards
from mlops_steps.sandbox.services.projects.model import Project

router = Router()
BASE = "/project-standards"
OF_PROJECT = "/projects/{key}/project-standards"


def _standards(call: Call) -> Standards:
    if not call.node.has_project_standards:
        raise not_found(f"{call.method}: no such request in DSS {call.node.dss_version}")
    return Standards(call.node)


@router.get(BASE + "/check-specs")
def specs(call: Call) -> Any:
    _standards(call)
    return [spec.document() for spec in SPECS.values()]


@router.post(BASE + "/checks/actions/import")
def import_checks(call: Call) -> Any:
    # The client sends what it calls a body in the query.
    wanted = call.repeated.get("checkSpecElementTypes") or call.json_object().get("checkSpecElementTypes")
    return _standards(call).import_checks(wanted or [])


@router.get(BASE + "/checks")
def checks(call: Call) -> Any:
    return _standards(call).checks()


@router.get(BASE + "/checks/{check}")
def check(call: Call) -> Any:
    return _standards(call).check(call.path["check"])


@router.put(BASE + "/checks/{check}")
def save_check(call: Call) -> Any:
    return _standards(call).save_check(call.path["check"], call.json_object())


@router.delete(BASE + "/checks/{check}")
def delete_check(call: Call) -> Any:
    _standards(call).delete_check(call.path["check"])


@router.get(BASE + "/scopes")
def scopes(call: Call) -> Any:
    return _standards(call).scopes()


@router.get(BASE + "/default-scope")
def default_scope(call: Call) -> Any:
    return _standards(call).scopes()[-1]


@router.get(BASE + "/scopes/{scope}")
def scope(call: Call) -> Any:
    return _standards(call).scope(call.path["scope"])


@router.post(BASE + "/scopes/{scope}")
def create_scope(call: Call) -> Any:
    return _standards(call).create_scope(call.path["scope"], call.json_object())


@router.put(BASE + "/scopes/{scope}")
def save_scope(call: Call) -> Any:
    return _standards(call).save_scope(call.path["scope"], call.json_object())


@router.delete(BASE + "/scopes/{scope}")
def delete_scope(call: Call) -> Any:
    _standards(call).delete_scope(call.path["scope"])


@router.post(BASE + "/scopes/{scope}/actions/reorder")
def reorder(call: Call) -> Any:
    index = str(call.params.get("index", call.json_object().get("index")))
    if not index.isdecimal():
        raise bad_request("index is a number")
    _standards(call).reorder_scope(call.path["scope"], int(index))


# ---- projects


@router.post(OF_PROJECT + "/actions/run")
def run(call: Call) -> Any:
    standards, project = _standards(call), Project.load(call.node, call.path["key"])
    wanted = call.repeated.get("checkIds")
    label = f"Run Project Standards on {project.key}"
    future = call.node.futures.start(
        standards.run, project, wanted, call.user, label=label, project_key=project.key, owner=call.user
    )
    return future.begun()


@router.get(OF_PROJECT + "/last-report")
def last_report(call: Call) -> Any:
    return _standards(call).last_report(Project.load(call.node, call.path["key"]))


@router.get(OF_PROJECT + "/scope")
def scope_of_project(call: Call) -> Any:
    return PlainTextResponse(_standards(call).scope_of(Project.load(call.node, call.path["key"]))["name"])
