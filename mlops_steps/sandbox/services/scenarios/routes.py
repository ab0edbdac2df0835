"""Scenarios over HTTP."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from starlette.responses import HTMLResponse, PlainTextResponse, Response

from mlops_steps.sandbox.http.routing import Call, Router
from mlops_steps.sandbox.node.errors import DssError, bad_request, conflict, not_found
from mlops_steps.sandbox.services.projects.model import Project, active_bundle_id
from mlops_steps.sandbox.services.projects.objects import with_metadata
from mlops_steps.sandbox.services.scenarios import internal_routes, records, reports
from mlops_steps.sandbox.services.scenarios.model import create, definition_of, scenarios_of
from mlops_steps.sandbox.services.scenarios.service import MANUAL, ScenarioService, scenarios_at_work
from mlops_steps.sandbox.services.scenarios.testing import status_of_tests

router = Router()
router.routes.extend(internal_routes.router.routes)
BASE = "/projects/{key}/scenarios"
ONE = BASE + "/{scenario}"
RUN = ONE + "/{run}"
_LIGHT = ("id", "projectKey", "name", "type", "active", "markedAsTest", "tags", "shortDesc", "description")


def _project(call: Call) -> Project:
    return Project.load(call.node, call.path["key"])


def _service(call: Call) -> ScenarioService:
    return scenarios_at_work(call.node)


def light(project: Project, scenario_id: str) -> dict[str, Any]:
    """A scenario as it stands in a list, with whether it runs."""
    definition = definition_of(project, scenario_id)
    run = scenarios_at_work(project.node).running(project, scenario_id)
    item = {name: definition[name] for name in _LIGHT if name in definition}
    return {
        **item,
        "checklists": definition.get("checklists", {"checklists": []}),
        "customFields": definition.get("customFields", {}),
        "automationLocal": definition.get("automationLocal", False),
        "runAsUser": definition.get("runAsUser"),
        "triggers": definition["triggers"],
        "running": run is not None,
        "start": run.start if run is not None else 0,
        "nextRun": 0,
        "versionTag": definition.get("versionTag", {}),
        "creationTag": definition.get("creationTag", {}),
    }


@router.get(BASE)
def list_all(call: Call) -> Any:
    project = _project(call)
    return [light(project, identity) for identity in scenarios_of(project).ids()]


@router.post(BASE)
def create_one(call: Call) -> Any:
    return {"id": create(_project(call), call.json_object(), call.user)}


@router.get(ONE)
def get(call: Call) -> Any:
    return definition_of(_project(call), call.path["scenario"])


@router.put(ONE)
def save(call: Call) -> Any:
    project, identity, body = _project(call), call.path["scenario"], call.json_object()
    if body.get("type") != definition_of(project, identity)["type"]:
        raise bad_request(f"the type of scenario {identity} cannot be changed")
    body.pop("id", None)
    return {"versionTag": scenarios_of(project).save(identity, body, call.user)}


@router.delete(ONE)
def delete(call: Call) -> Any:
    project, identity = _project(call), call.path["scenario"]
    definition_of(project, identity)
    _service(call).abort(project, identity)
    scenarios_of(project).delete(identity, call.user)
    return {}


@router.get(ONE + "/light")
def get_light(call: Call) -> Any:
    return light(_project(call), call.path["scenario"])


@router.put(ONE + "/light")
def save_light(call: Call) -> Any:
    objects, identity, body = scenarios_of(_project(call)), call.path["scenario"], call.json_object()
    definition = with_metadata(objects.get(identity), body)
    if "active" in body:
        definition["active"] = bool(body["active"])
    return {"versionTag": objects.save(identity, definition, call.user)}


@router.get(ONE + "/payload")
def get_payload(call: Call) -> Any:
    project, identity = _project(call), call.path["scenario"]
    kind = definition_of(project, identity)["type"]
    return {"script": scenarios_of(project).payload(identity, kind) or "", "extension": "py"}


@router.put(ONE + "/payload")
def save_payload(call: Call) -> Any:
    objects, identity = scenarios_of(_project(call)), call.path["scenario"]
    script = call.json_object().get("script")
    if not isinstance(script, str):
        raise bad_request("A payload needs a text 'script'")
    return {"versionTag": objects.save(identity, objects.get(identity), call.user, script)}


# ---- firing


@router.post(ONE + "/run")
def run(call: Call) -> Any:
    return _service(call).fire(_project(call), call.path["scenario"], call.json_object(), call.user).document()


@router.post(ONE + "/abort")
def abort(call: Call) -> Any:
    project = _project(call)
    definition_of(project, call.path["scenario"])
    _service(call).abort(project, call.path["scenario"])
    return {"aborted": True}


@router.get(BASE + "/trigger/{scenario}/{trigger}")
def get_fire(call: Call) -> Any:
    project, identity, fired = _project(call), call.path["scenario"], call.params.get("triggerRunId", "")
    if call.path["trigger"] != MANUAL["id"]:
        raise not_found(f"scenario {identity}: trigger {call.path['trigger']} has never fired")
    fire = _service(call).get_fire(project, identity, fired)
    if fire is not None:
        return fire.document()
    document = _service(call).run_of_trigger(project, identity, fired)
    return (document or {}).get("scenarioRun", {}).get("trigger", {})


@router.get(ONE + "/get-run-for-trigger")
def run_for_trigger(call: Call) -> Any:
    fired = call.params.get("triggerRunId", "")
    document = _service(call).run_of_trigger(_project(call), call.path["scenario"], fired)
    return {"scenarioRun": document["scenarioRun"]} if document else {}


# ---- runs


@router.get(ONE + "/get-last-runs")
def last_runs(call: Call) -> Any:
    project, identity = _project(call), call.path["scenario"]
    definition_of(project, identity)
    _service(call)
    limit = call.params.get("limit", "10")
    if not limit.isdigit():
        raise bad_request(f"limit must be a number, not {limit!r}")
    return records.last_runs(project, identity, int(limit), call.flag("onlyFinishedRuns"))


@router.get(ONE + "/get-runs-by-date")
def runs_by_date(call: Call) -> Any:
    project, identity = _project(call), call.path["scenario"]
    definition_of(project, identity)
    _service(call)
    start, end = _day(call.params.get("fromDate")), _day(call.params.get("toDate"))
    runs = records.last_runs(project, identity, records.KEPT_RUNS, finished_only=False)
    return [one for one in runs if start <= one["start"] < end]


def _day(text: str | None) -> float:
    try:
        return datetime.strptime(text or "", "%Y-%m-%d").astimezone().timestamp() * 1000
    except ValueError:
        raise bad_request(f"{text!r} is not a date such as 2026-11-23") from None


@router.get(RUN)
def get_run(call: Call) -> Any:
    return _document(call)


def _document(call: Call) -> dict[str, Any]:
    _service(call)
    return records.load(_project(call), call.path["scenario"], call.path["run"])


@router.get(RUN + "/log")
def log(call: Call) -> Any:
    _service(call)
    place = (_project(call), call.path["scenario"], call.path["run"])
    return PlainTextResponse(records.log_of(*place, call.params.get("stepId")))


# ---- reports of test scenarios


@router.get(RUN + "/scenario-run-report")
def run_report(call: Call) -> Any:
    return _xml(reports.run_report(_project(call), _finished_test_run(call)))


@router.get(RUN + "/step-run-report")
def step_report(call: Call) -> Any:
    _finished_test_run(call)
    step = call.params.get("stepId")
    if not step:
        raise bad_request("stepId is needed")
    return _xml(records.report_of(_project(call), call.path["scenario"], call.path["run"], step))


def _finished_test_run(call: Call) -> dict[str, Any]:
    document = _document(call)
    scenario_run = document["scenarioRun"]
    if not scenario_run["scenario"].get("markedAsTest"):
        raise DssError(
            400, "java.lang.IllegalArgumentException", f"run {call.path['run']} is not one of a test scenario"
        )
    if "result" not in scenario_run:
        raise conflict(f"run {call.path['run']} has not ended: it has no report yet")
    return document


@router.get(BASE + "/testing-status")
def get_testing_status(call: Call) -> Any:
    return status_of_tests(_project(call), call.params.get("bundleId") or None)


@router.get(BASE + "/last-test-scenario-runs-report")
def last_runs_report(call: Call) -> Any:
    project = _project(call)
    return _xml(reports.last_runs_report(project, _bundle(call, project)))


@router.get(BASE + "/last-test-scenario-runs-html-report")
def last_runs_html(call: Call) -> Any:
    project = _project(call)
    return HTMLResponse(reports.last_runs_html(project, _bundle(call, project)))


def _bundle(call: Call, project: Project) -> str | None:
    given = call.params.get("bundleId") or None
    if given is None and call.node.type == "AUTOMATION":
        return active_bundle_id(call.node, project.key)
    return given


def _xml(text: str) -> Response:
    return Response(text, media_type="application/xml")
