"""The node itself, its users and its futures."""

from __future__ import annotations

import platform
from typing import Any
from urllib.parse import urlsplit

from mlops_steps.sandbox.http.routing import Call, Router
from mlops_steps.sandbox.node.errors import not_found

GROUPS = ["administrators"]

router = Router()


def user_document(login: str) -> dict[str, Any]:
    """The sandbox has one user: the administrator to whom the node's key belongs."""
    return {
        "login": login,
        "displayName": "Sandbox administrator",
        "email": "",
        "sourceType": "LOCAL",
        "userProfile": "FULL_DESIGNER",
        "groups": GROUPS,
        "enabled": True,
    }


@router.get("/instance-info")
def instance_info(call: Call) -> Any:
    node = call.node
    return {
        "nodeId": node.id,
        "nodeName": node.id,
        "nodeType": node.type,
        "rawNodeType": node.type,
        "hostname": urlsplit(node.url).hostname,
        "dssVersion": node.dss_version,
        "installId": node.id,
        "dipInstanceId": node.id,
        # The sandbox has no licence and no Java.
        "licenseInstanceId": "",
        "licenseId": "",
        "javaVendor": "",
        "javaVersion": "",
        "os": platform.system(),
        "osVersion": platform.release(),
        "dataDirPath": str(node.dir),
        "dssStartupTimestamp": node.futures.started_on,
    }


@router.get("/auth/info")
def auth_info(call: Call) -> Any:
    return {
        "authIdentifier": call.user,
        "via": [],
        "groups": GROUPS,
        "associatedDSSUser": call.user,
        "userForImpersonation": call.user,
        "secrets": [],
    }


@router.post("/auth/ticket")
def new_ticket(call: Call) -> Any:
    return {"ticket": call.node.ticket()}


@router.get("/current-user")
def current_user(call: Call) -> Any:
    return {**user_document(call.user), "secrets": [], "credentials": {}, "userProperties": {}}


@router.get("/users")
def users_info(call: Call) -> Any:
    return [user_document(call.user)]


@router.get("/users/{login}")
def user_info(call: Call) -> Any:
    return _existing_user(call)


@router.get("/admin/users")
def users(call: Call) -> Any:
    return [user_document(call.user)]


@router.get("/admin/users/{login}")
def user(call: Call) -> Any:
    return _existing_user(call)


@router.get("/groups")
def groups_info(_call: Call) -> Any:
    return [{"name": name, "description": "Administrators"} for name in GROUPS]


def _existing_user(call: Call) -> Any:
    if call.path["login"] != call.user:
        raise not_found(f"user {call.path['login']} does not exist")
    return user_document(call.user)


@router.get("/futures")
def list_futures(call: Call) -> Any:
    scenarios, others = call.flag("withScenarios"), call.flag("withNotScenarios", True)
    running = call.node.futures.list()
    return [one.state(peek=True) for one in running if (scenarios if one.scenario_id else others)]


@router.get("/futures/{job_id}")
def get_future(call: Call) -> Any:
    return call.node.futures.get(call.path["job_id"]).state(peek=call.flag("peek"))


@router.delete("/futures/{job_id}")
def abort_future(call: Call) -> Any:
    call.node.futures.abort(call.path["job_id"])
