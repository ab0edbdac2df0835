"""Datasets over HTTP."""

from __future__ import annotations

from typing import Any

from starlette.responses import StreamingResponse

from mlops_steps.sandbox.http.routing import Call, Router
from mlops_steps.sandbox.node.errors import DssError, bad_request, conflict, not_supported
from mlops_steps.sandbox.services.flow import data_quality, dataset_data, dataset_info, datasets, metrics
from mlops_steps.sandbox.services.flow.kinds import DATASET, recipes_of
from mlops_steps.sandbox.services.flow.plan import Flow
from mlops_steps.sandbox.services.projects.model import Project
from mlops_steps.sandbox.services.projects.objects import Objects, list_item, metadata_of, with_metadata

router = Router()
BASE = "/projects/{key}/datasets"
ONE = BASE + "/{name}"


def _project(call: Call) -> Project:
    return Project.load(call.node, call.path["key"])


def _objects(call: Call) -> Objects:
    return DATASET.of(_project(call))


@router.get(BASE)
def list_all(call: Call) -> Any:
    tags = {tag for tag in call.params.get("tags", "").split(",") if tag}
    fields = ("managed", "params", "schema", "formatType", "formatParams", "featureGroup", "metricsChecks")
    items = [list_item(dataset_info.completed(definition), *fields) for definition in _objects(call).all_named()]
    return [item for item in items if not tags or tags & set(item["tags"])]


@router.post(BASE)
def create(call: Call) -> Any:
    body = call.json_object()
    datasets.create(_project(call), body, call.user)
    return {"name": body["name"], "msg": f"Created dataset {body['name']}"}


@router.post(BASE + "/managed")
def create_managed(call: Call) -> Any:
    body = call.json_object()
    name = str(body.get("name", ""))
    datasets.create_managed(_project(call), name, body.get("creationSettings") or {}, call.user)
    return {"name": name}


@router.get(ONE)
def get(call: Call) -> Any:
    return dataset_info.completed({**_objects(call).get(call.path["name"]), "name": call.path["name"]})


@router.put(ONE)
def save(call: Call) -> Any:
    return {"versionTag": _objects(call).save(call.path["name"], call.json_object(), call.user)}


@router.delete(ONE)
def delete(call: Call) -> Any:
    datasets.delete(_project(call), call.path["name"], call.flag("dropData"), call.user)


@router.get(ONE + "/schema")
def get_schema(call: Call) -> Any:
    return _objects(call).get(call.path["name"]).get("schema") or {"columns": []}


@router.put(ONE + "/schema")
def set_schema(call: Call) -> Any:
    objects, schema = _objects(call), call.json_object()
    if not isinstance(schema.get("columns"), list):
        raise bad_request("A schema needs a list 'columns'")
    definition = objects.get(call.path["name"])
    return {"versionTag": objects.save(call.path["name"], {**definition, "schema": schema}, call.user)}


@router.get(ONE + "/metadata")
def get_metadata(call: Call) -> Any:
    return metadata_of(_objects(call).get(call.path["name"]))


@router.put(ONE + "/metadata")
def set_metadata(call: Call) -> Any:
    objects = _objects(call)
    definition = with_metadata(objects.get(call.path["name"]), call.json_object())
    objects.save(call.path["name"], definition, call.user)
    return {}


@router.get(ONE + "/info")
def info(call: Call) -> Any:
    return dataset_info.information(_project(call), call.path["name"])


@router.get(ONE + "/usages")
def usages(call: Call) -> Any:
    project, name = _project(call), call.path["name"]
    _objects(call).get(name)
    flow = Flow.of(recipes_of(project).all_named(), project.key)
    used = [("RECIPE_INPUT", node.name) for node in flow.recipes.values() if name in node.inputs]
    used += [("RECIPE_OUTPUT", node.name) for node in flow.recipes.values() if name in node.outputs]
    return [{"type": kind, "objectId": recipe, "objectProjectKey": project.key} for kind, recipe in used]


# ---- data


@router.get(ONE + "/data")
def data(call: Call) -> Any:
    wanted = dataset_data.Wanted.of(call.params, call.repeated.get("columns", []))
    rows = dataset_data.stream(datasets.data_of(_project(call), call.path["name"]), wanted)
    return StreamingResponse(rows, media_type=dataset_data.MEDIA_TYPES[wanted.format])


@router.get(ONE + "/finish-streaming")
def finish_streaming(_call: Call) -> Any:
    return None


@router.delete(ONE + "/data")
def clear(call: Call) -> Any:
    datasets.clear(_project(call), call.path["name"])
    return {}


@router.get(ONE + "/partitions")
def partitions(call: Call) -> Any:
    _objects(call).get(call.path["name"])
    return ["NP"]


@router.post(ONE + "/uploaded/files")
def add_file(call: Call) -> Any:
    datasets.add_file(_project(call), call.path["name"], call.file(), call.user)


@router.get(ONE + "/uploaded/files")
def uploaded_files(call: Call) -> Any:
    return datasets.uploaded_files(_project(call), call.path["name"])


@router.post(ONE + "/actions/testAndDetectSettings/fsLike")
def detect(call: Call) -> Any:
    project, name = _project(call), call.path["name"]
    definition = DATASET.of(project).get(name)
    schema = {"columns": datasets.detect(project, name), "userModified": False}
    result = {
        "format": {
            "ok": True,
            "type": definition.get("formatType", "csv"),
            "params": definition.get("formatParams", {}),
            "schemaDetection": {"newSchema": schema},
        }
    }
    return {"hasResult": True, "alive": False, "aborted": False, "result": result}


# ---- metrics and checks


@router.post(ONE + "/actions/computeMetrics")
def compute_metrics(call: Call) -> Any:
    if call.body:
        raise not_supported("computing metrics with probes of the request")
    return _computed(metrics.compute(_project(call), call.path["name"]))


@router.post(ONE + "/actions/computeMetricsFromIds")
def compute_metrics_from_ids(call: Call) -> Any:
    wanted = call.json_object().get("metricIds") or []
    return _computed(metrics.compute(_project(call), call.path["name"], wanted))


def _computed(values: dict[str, float]) -> dict[str, Any]:
    return {"computed": [{"metricId": name, "value": str(value)} for name, value in values.items()], "runs": []}


@router.post(ONE + "/actions/runChecks")
def run_checks(call: Call) -> Any:
    if call.body:
        raise not_supported("running checks of the request")
    results = data_quality.run_checks(_project(call), call.path["name"])
    return {"results": [{"check": one["check"], "value": _value(one)} for one in results]}


def _value(result: dict[str, Any]) -> dict[str, Any]:
    return {"outcome": result["outcome"], "message": result["message"]}


@router.get(ONE + "/metrics/last/{partition}")
def last_metrics(call: Call) -> Any:
    return metrics.last_values(_project(call), call.path["name"])


@router.get(ONE + "/metrics/history/{partition}")
def metric_history(call: Call) -> Any:
    identity = call.params.get("metricLookup", "")
    values = metrics.history_of(_project(call), call.path["name"]).get(identity, [])
    return {"metricId": identity, "values": values}


@router.post("/projects/{key}/actions/renameDataset")
def rename(call: Call) -> Any:
    project, body = _project(call), call.json_object()
    old, new = str(body.get("oldName", "")), str(body.get("newName", ""))
    objects = DATASET.of(project)
    with call.node.lock(project.key):
        definition = objects.get(old)
        flow = Flow.of(recipes_of(project).all_named(), project.key)
        users = [node.name for node in flow.recipes.values() if old in (*node.inputs, *node.outputs)]
        if users:
            raise conflict(f"dataset {old} cannot be renamed in the sandbox: recipes {', '.join(users)} use it")
        if definition.get("managed"):
            _refuse_data(project, old)
        objects.create(new, {**definition, "name": new}, call.user)
        objects.delete(old, call.user)


def _refuse_data(project: Project, name: str) -> None:
    try:
        files = datasets.data_of(project, name).files()
    except DssError:
        files = []
    if files:
        raise conflict(f"dataset {name} cannot be renamed in the sandbox: it has data; clear it first")
