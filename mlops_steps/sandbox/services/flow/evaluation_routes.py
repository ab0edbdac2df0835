"""Evaluation stores over HTTP."""

from __future__ import annotations

from typing import Any

from starlette.responses import PlainTextResponse, Response

from mlops_steps.sandbox.http.routing import Call, Router
from mlops_steps.sandbox.node.errors import bad_request, not_supported
from mlops_steps.sandbox.services.flow import evaluations
from mlops_steps.sandbox.services.flow.kinds import STORE, recipes_of
from mlops_steps.sandbox.services.flow.plan import Flow
from mlops_steps.sandbox.services.projects.model import Project
from mlops_steps.sandbox.services.projects.objects import list_item, new_id

router = Router()
BASE = "/projects/{key}/evaluationstores"
ONE = BASE + "/{store}"
EVALUATION = ONE + "/evaluations/{evaluation}"


def _project(call: Call) -> Project:
    return Project.load(call.node, call.path["key"])


def _store(call: Call) -> tuple[Project, str]:
    return _project(call), call.path["store"]


def _evaluation(call: Call) -> tuple[Project, str, str]:
    return _project(call), call.path["store"], call.path["evaluation"]


@router.get(BASE)
def list_all(call: Call) -> Any:
    objects, flavor = STORE.of(_project(call)), call.params.get("flavor")
    items = [list_item({"id": identity, **objects.get(identity)}, "mesFlavor") for identity in objects.ids()]
    return [item for item in items if flavor in (None, "", item.get("mesFlavor"))]


@router.post(BASE)
def create(call: Call) -> Any:
    body, identity, flavor = call.json_object(), new_id(), call.params.get("flavor") or "TABULAR"
    if flavor != "TABULAR":
        raise not_supported(f"evaluation stores of flavor {flavor}")
    definition: dict[str, Any] = {"id": identity, "name": body.get("name") or identity, "mesFlavor": flavor, "tags": []}
    STORE.of(_project(call)).create(identity, definition, call.user)
    return {"id": identity}


@router.get(ONE)
def get(call: Call) -> Any:
    project, store = _store(call)
    return {"id": store, **STORE.of(project).get(store)}


@router.put(ONE)
def save(call: Call) -> Any:
    project, store = _store(call)
    STORE.of(project).save(store, call.json_object(), call.user)


@router.delete(ONE)
def delete(call: Call) -> Any:
    evaluations.delete(*_store(call), call.user)


@router.get(ONE + "/usages")
def usages(call: Call) -> Any:
    project, store = _store(call)
    STORE.of(project).get(store)
    flow = Flow.of(recipes_of(project).all_named(), project.key)
    used = [node.name for node in flow.recipes.values() if store in node.outputs]
    return [{"type": "RECIPE_OUTPUT", "objectId": recipe, "objectProjectKey": project.key} for recipe in used]


# ---- evaluations


@router.get(ONE + "/evaluations")
def list_evaluations(call: Call) -> Any:
    return evaluations.evaluations(*_store(call))


@router.post(ONE + "/evaluations")
def add_custom(call: Call) -> Any:
    return evaluations.add_custom(*_store(call), call.json_object())


@router.delete(ONE + "/evaluations")
def delete_evaluations(call: Call) -> Any:
    wanted = call.json()
    if not isinstance(wanted, list):
        raise bad_request("A list of ids is needed")
    evaluations.delete_evaluations(*_store(call), wanted)
    return {}


@router.get(ONE + "/latestEvaluationId")
def latest(call: Call) -> Any:
    known = evaluations.evaluations(*_store(call))
    return PlainTextResponse(known[-1]["ref"]["evaluationId"] if known else "")


@router.get(EVALUATION)
def evaluation(call: Call) -> Any:
    return evaluations.full_info(*_evaluation(call))


@router.get(EVALUATION + "/metrics")
def metrics(call: Call) -> Any:
    return evaluations.metric_values(*_evaluation(call))


@router.put(EVALUATION + "/user-meta")
def user_meta(call: Call) -> Any:
    evaluations.save_user_meta(*_evaluation(call), call.json_object())


@router.get(EVALUATION + "/sample")
def sample(call: Call) -> Any:
    return Response(evaluations.sample_of(*_evaluation(call))[1], media_type="application/gzip")


@router.get(EVALUATION + "/schema")
def schema(call: Call) -> Any:
    return {"columns": [{"name": name} for name in evaluations.sample_of(*_evaluation(call))[0]]}


@router.post(EVALUATION + "/computeDrift")
def drift(call: Call) -> Any:
    return _drift(call, "driftParams")


@router.post(EVALUATION + "/computeDataDrift")
def data_drift(call: Call) -> Any:
    return _drift(call, "dataDriftParams")


def _drift(call: Call, params: str) -> Any:
    body = call.json_object()
    future = evaluations.start_drift(*_evaluation(call), body.get("referenceId"), body.get(params) or {}, call.user)
    return future.begun()


# ---- metrics


@router.get(ONE + "/metrics/last")
def last_metrics(call: Call) -> Any:
    return evaluations.metric_values(*_store(call), None)


@router.get(ONE + "/metrics/history")
def metric_history(call: Call) -> Any:
    return evaluations.history(*_store(call), call.params.get("metricLookup", ""))
