"""Flow zones over HTTP."""

from __future__ import annotations

from typing import Any

from mlops_steps.sandbox.http.routing import Call, Router
from mlops_steps.sandbox.node.errors import bad_request
from mlops_steps.sandbox.services.flow.zones import Zones
from mlops_steps.sandbox.services.projects.model import Project

router = Router()
BASE = "/projects/{key}/flow/zones"
ONE = BASE + "/{zone}"


def _zones(call: Call) -> Zones:
    return Zones(Project.load(call.node, call.path["key"]), call.user)


@router.get(BASE)
def list_all(call: Call) -> Any:
    return _zones(call).all()


@router.post(BASE)
def create(call: Call) -> Any:
    body = call.json_object()
    return _zones(call).create(body.get("name"), body.get("color"))


@router.get(ONE)
def get(call: Call) -> Any:
    return _zones(call).get(call.path["zone"])


@router.put(ONE)
def save(call: Call) -> Any:
    _zones(call).save(call.path["zone"], call.json_object())


@router.delete(ONE)
def delete(call: Call) -> Any:
    _zones(call).delete(call.path["zone"])


@router.get(ONE + "/graph")
def graph(call: Call) -> Any:
    return _zones(call).graph(call.path["zone"])


@router.post(ONE + "/items")
def add_item(call: Call) -> Any:
    return _zones(call).add(call.path["zone"], [call.json_object()])


@router.post(ONE + "/add-items")
def add_items(call: Call) -> Any:
    items = call.json()
    if not isinstance(items, list) or any(not isinstance(item, dict) for item in items):
        raise bad_request("The body of the request must be a list of objects with objectId and objectType")
    return _zones(call).add(call.path["zone"], items)


@router.post(ONE + "/shared")
def share(call: Call) -> Any:
    return _zones(call).share(call.path["zone"], call.json_object())


@router.delete(ONE + "/shared/{kind}/{name}")
def unshare(call: Call) -> Any:
    return _zones(call).unshare(call.path["zone"], call.path["kind"], call.path["name"])
