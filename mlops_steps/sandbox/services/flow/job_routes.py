"""Jobs over HTTP."""

from __future__ import annotations

from typing import Any

from starlette.responses import PlainTextResponse

from mlops_steps.sandbox.http.routing import Call, Router
from mlops_steps.sandbox.services.flow.job_service import jobs_of
from mlops_steps.sandbox.services.projects.model import Project

router = Router()
BASE = "/projects/{key}/jobs"
ONE = BASE + "/{job}"


def _project(call: Call) -> Project:
    return Project.load(call.node, call.path["key"])


@router.get(BASE)
def list_all(call: Call) -> Any:
    return jobs_of(call.node).list(_project(call))


@router.get(BASE + "/running")
def list_running(call: Call) -> Any:
    return [job.summary() for job in jobs_of(call.node).running(_project(call).key)]


@router.get("/jobs/running")
def list_all_running(call: Call) -> Any:
    return [job.summary() for job in jobs_of(call.node).running()]


@router.post(BASE)
def start(call: Call) -> Any:
    job = jobs_of(call.node).start(_project(call), call.json_object(), call.user)
    return {"id": job.id, "msg": f"Started job {job.id}"}


@router.get(ONE)
def status(call: Call) -> Any:
    return jobs_of(call.node).status(_project(call), call.path["job"])


@router.get(ONE + "/log")
def log(call: Call) -> Any:
    return PlainTextResponse(jobs_of(call.node).log(_project(call), call.path["job"], call.params.get("activity")))


@router.post(ONE + "/abort")
def abort(call: Call) -> Any:
    jobs_of(call.node).abort(_project(call), call.path["job"])
    return {"aborted": True}
