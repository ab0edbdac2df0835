"""Calls of an endpoint: who may make them, which generation answers, and the answer in the form of an API node."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from typing import Any

from starlette.responses import Response

from mlops_steps.sandbox.http.routing import Call
from mlops_steps.sandbox.node.auth import matches_any, presented_keys
from mlops_steps.sandbox.node.errors import DssError, bad_request, not_found, not_supported, unauthorized
from mlops_steps.sandbox.services.api_node.activity import Answered
from mlops_steps.sandbox.services.api_node.model import NodeServices, Served
from mlops_steps.sandbox.services.api_services.model import FUNCTION, PREDICTION


@dataclass
class Asked:
    """A call under way."""

    service: str
    endpoint: str
    generation: str = ""
    forced: bool = False
    records: int = 0
    ignored: int = 0


def answer(call: Call, kind: str, many: bool = False) -> Response:
    """Answers a call of an endpoint of type ``kind``, and accounts for it.

    :param many: whether the call has many records (``predict-multi``).
    :raises DssError: 404 for what is not there, 401 without a key, 400 for a call that makes no sense, 500 when the
        model or function fails, 504 when it does not answer.
    """
    services = NodeServices(call.node)
    asked = Asked(call.path["service"], call.path["endpoint"])
    started, status = time.perf_counter(), 500
    try:
        response = _answered(services, call, asked, kind, many, started)
        status = 200
    except DssError as error:
        status = error.status
        raise
    finally:
        milliseconds = (time.perf_counter() - started) * 1000
        services.state.activity.add(
            Answered(
                asked.service,
                asked.endpoint,
                asked.generation,
                status,
                milliseconds,
                asked.records,
                asked.ignored,
                asked.forced,
            )
        )
    return response


def _answered(services: NodeServices, call: Call, asked: Asked, kind: str, many: bool, started: float) -> Response:
    served = services.served(asked.service)
    if not served.enabled or served.shares is None:
        raise not_found(f"service {asked.service} is not enabled on API node {services.node.id}")
    body = call.json_object()
    dispatch = _dispatch(body) if kind == PREDICTION else {}
    _check_key(call, served, asked.service)
    asked.generation = served.shares.choose(dispatch, keyed=kind == PREDICTION)
    asked.forced = dispatch.get("forcedGeneration") is not None
    endpoint = served.endpoint(asked.generation, asked.endpoint)
    if endpoint is None:
        raise not_found(f"service {asked.service} has no endpoint {asked.endpoint} in generation {asked.generation}")
    if endpoint["type"] != kind:
        raise bad_request(f"endpoint {asked.endpoint} is of type {endpoint['type']}: it can't be called like this")
    if kind == PREDICTION:
        _check_records(body, many)
    prepared = time.perf_counter()
    header, content = services.ask(
        services.generation_dir(asked.service, asked.generation),
        {"do": "answer", "endpoint": asked.endpoint, "many": many},
        call.body or b"{}",
    )
    if header["status"] != 200:
        raise _failed(header, asked.endpoint)
    asked.records, asked.ignored = header["records"], header["ignored"]
    done = time.perf_counter()
    more = {
        # Microseconds.
        "timing": {
            "preProcessing": int((prepared - started) * 1e6),
            "prediction": int((done - prepared) * 1e6),
        },
        "apiContext": {
            "serviceId": asked.service,
            "endpointId": asked.endpoint,
            "serviceGeneration": asked.generation,
        },
    }
    name = "response" if kind == FUNCTION else "results" if many else "result"
    text = b'{"' + name.encode() + b'":' + content + b"," + json.dumps(more).encode()[1:]
    return Response(text, media_type="application/json")


def _check_key(call: Call, served: Served, service: str) -> None:
    """Raises 401 when the service wants a key and the call has none of its keys."""
    settings = [served.settings[generation] for generation in served.shares.generations] if served.shares else []
    if any(item["authMethod"] == "PUBLIC" for item in settings):
        return
    keys = [str(key["key"]) for item in settings for key in item["apiKeys"] if key.get("key")]
    if not any(matches_any(key, keys) for key in presented_keys(call.headers)):
        raise unauthorized(f"service {service} needs an API key, and the call has none that it knows")


def _dispatch(body: dict[str, Any]) -> dict[str, Any]:
    dispatch = body.get("dispatch") or {}
    if not isinstance(dispatch, dict):
        raise bad_request("dispatch must be an object with forcedGeneration or dispatchKey")
    return dispatch


def _check_records(body: dict[str, Any], many: bool) -> None:
    if many:
        items = body.get("items")
        if not isinstance(items, list):
            raise bad_request("the body needs items: a list of objects with features")
        if not all(isinstance(item, dict) and isinstance(item.get("features"), dict) for item in items):
            raise bad_request("each of the items needs features: an object of names and values")
    elif not isinstance(body.get("features"), dict):
        raise bad_request("the body needs features: an object of names and values")
    explanations = body.get("explanations")
    if isinstance(explanations, dict) and explanations.get("enabled"):
        raise not_supported("explanations of predictions")


def _failed(header: dict[str, Any], endpoint: str) -> DssError:
    status = int(header["status"])
    return DssError(
        status,
        f"com.dataiku.dip.exceptions.PythonException/{header['type']}",
        f"endpoint {endpoint} failed: {header['type']}: {header['message']}"
        if status == 500
        else str(header["message"]),
    )
