"""Govern over HTTP. It is a node of its own in DSS; in the sandbox the Design node speaks for it."""

from __future__ import annotations

from typing import Any

from mlops_steps.sandbox.http.routing import Call, Router
from mlops_steps.sandbox.node.errors import bad_request
from mlops_steps.sandbox.services.govern.model import Govern

router = Router(only="DESIGN")
ONE = "/artifact/{artifact}"
SIGNOFF = ONE + "/workflow/step/{step}/signoff"


def _govern(call: Call) -> Govern:
    return Govern(call.node)


def _step(call: Call) -> tuple[str, str]:
    return call.path["artifact"], call.path["step"]


@router.post("/artifacts")
def create(call: Call) -> Any:
    artifact = _govern(call).create(call.json_object())
    return {"artifactId": artifact["id"], "artifact": artifact}


@router.post("/artifacts/search")
def search(call: Call) -> Any:
    query = call.json_object()
    pages = query.get("artifactSearchPagination") or {}
    found = _govern(call).search(query)
    last, size = pages.get("lastArtifactId"), pages.get("pageSize", 20)
    if not isinstance(size, int) or size < 1:
        raise bad_request("pageSize is a number")
    if last is not None:
        known = [artifact["id"] for artifact in found]
        found = found[known.index(last) + 1 :] if last in known else []
    return {"uiArtifacts": [{"artifact": artifact} for artifact in found[:size]], "hasNextPage": len(found) > size}


@router.get(ONE)
def get(call: Call) -> Any:
    return {"artifact": _govern(call).get(call.path["artifact"])}


@router.put(ONE)
def save(call: Call) -> Any:
    return {"artifact": _govern(call).save(call.path["artifact"], call.json_object())}


@router.delete(ONE)
def delete(call: Call) -> Any:
    _govern(call).delete(call.path["artifact"])


@router.get(ONE + "/signoffs")
def signoffs(call: Call) -> Any:
    return _govern(call).signoffs(call.path["artifact"])


@router.get(SIGNOFF)
def signoff(call: Call) -> Any:
    return _govern(call).signoff(*_step(call))


@router.post(SIGNOFF + "/create")
def create_signoff(call: Call) -> Any:
    _govern(call).create_signoff(*_step(call))
    return {}


@router.post(SIGNOFF + "/update-status")
def update_status(call: Call) -> Any:
    _govern(call).set_status(*_step(call), str(call.json_object().get("targetStatus")))
    return {}


@router.post(SIGNOFF + "/approval")
def approve(call: Call) -> Any:
    return _govern(call).respond(*_step(call), call.json_object(), call.user)


@router.put(SIGNOFF + "/approval")
def change_approval(call: Call) -> Any:
    return _govern(call).respond(*_step(call), call.json_object(), call.user)


@router.delete(SIGNOFF + "/approval")
def withdraw_approval(call: Call) -> Any:
    _govern(call).withdraw(*_step(call))
