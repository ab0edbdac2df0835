"""The control of the faults of a running sandbox, outside of the public API: every node answers for all."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from mlops_steps.sandbox.faults.model import BadFault
from mlops_steps.sandbox.faults.plan import Planned, parse
from mlops_steps.sandbox.http.routing import Call, Router
from mlops_steps.sandbox.node.errors import bad_request, not_found
from mlops_steps.sandbox.node.node import Node

router = Router()


def _nodes(call: Call) -> list[Node]:
    """The node of the parameter ``node``, or all."""
    site = call.node.site
    name = call.params.get("node")
    if name is None:
        return list(site.nodes.values())
    if name not in site.node_names():
        raise bad_request(f"node {name!r} does not exist: {', '.join(site.node_names())}")
    return [site.node(name)]


def _documents(nodes: Iterable[Node]) -> list[dict[str, Any]]:
    return [{"node": node.id, **active.document()} for node in nodes for active in node.faults.in_force()]


@router.get("/faults")
def list_faults(call: Call) -> Any:
    return {"faults": _documents(_nodes(call))}


@router.post("/faults")
def add_faults(call: Call) -> Any:
    """All of the faults in the body, or none when one is wrong."""
    site = call.node.site
    entries = call.json_object().get("faults")
    if not isinstance(entries, list):
        raise bad_request("The body must hold a list of faults: {'faults': [...]}")
    planned: list[Planned] = []
    for entry in entries:
        try:
            planned.append(parse(entry, site.node_names()))
        except BadFault as error:
            raise bad_request(str(error)) from error
    added = []
    for item in planned:
        node = site.node(item.node)
        # An outage of this very node begins when this request was answered.
        active = node.faults.add(item.fault, at_once=node is not call.node)
        added.append({"node": node.id, **active.document()})
    return {"faults": added}


@router.delete("/faults")
def clear_faults(call: Call) -> Any:
    fault_id = call.params.get("id")
    cleared = sum(node.faults.clear(fault_id) for node in _nodes(call))
    if fault_id is not None and not cleared:
        raise not_found(f"fault {fault_id} does not exist")
    return {"cleared": cleared}


@router.get("/requests")
def list_requests(call: Call) -> Any:
    """Oldest first, over all nodes."""
    entries = [entry for node in _nodes(call) for entry in node.faults.requests()]
    return {"requests": [entry.document() for entry in sorted(entries, key=lambda entry: entry.time)]}


@router.delete("/requests")
def clear_requests(call: Call) -> Any:
    for node in _nodes(call):
        node.faults.clear_requests()
