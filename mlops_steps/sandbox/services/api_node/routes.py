"""The API of an API node: calls of endpoints for users, and the administration."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Any

from mlops_steps.sandbox.http.routing import Call, Router
from mlops_steps.sandbox.node.errors import not_found, not_supported
from mlops_steps.sandbox.node.node import Node
from mlops_steps.sandbox.node.store import now_ms, read_json, write_json
from mlops_steps.sandbox.services.api_node.calls import answer
from mlops_steps.sandbox.services.api_node.model import NodeServices
from mlops_steps.sandbox.services.api_services.model import FUNCTION, PREDICTION

#: Below ``/public/api``; services have keys of their own.
user = Router(only="API")
#: Below ``/admin/api``, with the key of the node or one that was added.
admin = Router(only="API")
#: Without a key.
open_to_all = Router(only="API")

ENDPOINT = "/v1/{service}/{endpoint}"
SERVICE = "/services/{service}"
GENERATION = SERVICE + "/generations/{generation}"


@open_to_all.get("/isAlive")
def is_alive(call: Call) -> Any:
    return {"alive": True, "nodeId": call.node.id}


# ---- users


@user.post(ENDPOINT + "/predict")
def predict(call: Call) -> Any:
    return answer(call, PREDICTION)


@user.post(ENDPOINT + "/predict-multi")
def predict_multi(call: Call) -> Any:
    return answer(call, PREDICTION, many=True)


@user.post(ENDPOINT + "/run")
def run(call: Call) -> Any:
    return answer(call, FUNCTION)


# ---- administration: services


@admin.get("/services")
def list_services(call: Call) -> Any:
    services = NodeServices(call.node)
    return [{"serviceId": service_id, "enabled": services.get(service_id)["enabled"]} for service_id in services.ids()]


@admin.post("/services")
def create_service(call: Call) -> Any:
    NodeServices(call.node).create(call.json_object().get("serviceId", ""))
    return {"ok": True}


@admin.get(SERVICE)
def get_service(call: Call) -> Any:
    return NodeServices(call.node).get(call.path["service"])


@admin.delete(SERVICE)
def delete_service(call: Call) -> Any:
    NodeServices(call.node).delete(call.path["service"])
    return {"ok": True}


@admin.delete("/services-clean-unused")
def clean_unused(call: Call) -> Any:
    return NodeServices(call.node).clean_unused()


# ---- administration: generations


@admin.get(SERVICE + "/generations")
def list_generations(call: Call) -> Any:
    return {"generations": NodeServices(call.node).generations(call.path["service"])}


@admin.post(SERVICE + "/generations/actions/importFromArchive")
def import_generation(call: Call) -> Any:
    path = Path(call.params.get("filePath", ""))
    return NodeServices(call.node).import_generation(call.path["service"], path)


@admin.post(GENERATION + "/preload")
def preload(call: Call) -> Any:
    NodeServices(call.node).preload(call.path["service"], call.path["generation"])
    return {"ok": True}


@admin.post(SERVICE + "/actions/enable")
def enable(call: Call) -> Any:
    NodeServices(call.node).set_enabled(call.path["service"], True)
    return {"ok": True}


@admin.post(SERVICE + "/actions/disable")
def disable(call: Call) -> Any:
    NodeServices(call.node).set_enabled(call.path["service"], False)
    return {"ok": True}


@admin.post(SERVICE + "/actions/setMapping")
def set_mapping(call: Call) -> Any:
    NodeServices(call.node).set_mapping(call.path["service"], call.json_object())
    return {"ok": True}


@admin.post(SERVICE + "/actions/switchToNewest")
def switch_to_newest(call: Call) -> Any:
    return {"generation": NodeServices(call.node).switch_to_newest(call.path["service"])}


@admin.post(SERVICE + "/actions/switchTo/{generation}")
def switch_to(call: Call) -> Any:
    NodeServices(call.node).switch_to(call.path["service"], call.path["generation"])
    return {"ok": True}


# ---- administration: the node


@admin.get("/metrics")
def metrics(call: Call) -> Any:
    return NodeServices(call.node).state.activity.document()


@admin.delete("/model-cache")
def clear_model_cache(_call: Call) -> Any:
    # Models are kept by the processes of a generation only.
    return {"ok": True}


@admin.post("/model-cache")
def import_model(_call: Call) -> Any:
    raise not_supported("models imported into the model cache")


@admin.delete("/cached-code-envs")
def clean_code_envs(_call: Call) -> Any:
    return {"deleted": []}


@admin.post("/cached-code-envs")
def import_code_env(_call: Call) -> Any:
    raise not_supported("code environments imported into the cache")


@admin.post("/register-global-code-env")
def register_code_env(_call: Call) -> Any:
    raise not_supported("code environments registered in the cache")


# ---- administration: keys


def admin_keys(node: Node) -> list[str]:
    """The keys that open the administration: the node's own, and those that were added and have not expired."""
    now = now_ms()
    return [node.api_key, *(item["key"] for item in _keys(node) if not item.get("expiry") or item["expiry"] > now)]


def _keys(node: Node) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = read_json(node.dir / "admin-keys.json", [])
    return found


@admin.get("/keys")
def list_keys(call: Call) -> Any:
    return [{**item, "key": item["key"][:4] + "…"} for item in _keys(call.node)]


@admin.post("/keys")
def add_key(call: Call) -> Any:
    wanted = call.json_object()
    added = {
        "id": secrets.token_hex(8),
        "key": "dku-sandbox-" + secrets.token_urlsafe(32),
        **{name: wanted.get(name) for name in ("label", "description", "createdBy", "expiry")},
        "createdOn": now_ms(),
    }
    with call.node.lock("~keys"):
        write_json(call.node.dir / "admin-keys.json", [*_keys(call.node), added])
    return added


@admin.delete("/keys/{key}")
def delete_key(call: Call) -> Any:
    _delete_key(call.node, "key", call.path["key"])


@admin.delete("/keys/{id}/key")
def delete_key_by_id(call: Call) -> Any:
    _delete_key(call.node, "id", call.path["id"])


def _delete_key(node: Node, field: str, value: str) -> None:
    with node.lock("~keys"):
        kept = [item for item in _keys(node) if item[field] != value]
        if len(kept) == len(_keys(node)):
            raise not_found("there is no such key")
        write_json(node.dir / "admin-keys.json", kept)
