"""What the code of a scenario run asks of its own node. The sandbox's own; the public API of DSS has none of it."""

from __future__ import annotations

from typing import Any

from mlops_steps.sandbox.http.routing import Call, Router
from mlops_steps.sandbox.node.errors import bad_request, not_found
from mlops_steps.sandbox.services.scenarios.run import ScenarioRun, run_step
from mlops_steps.sandbox.services.scenarios.service import scenarios_at_work

router = Router()
BASE = "/sandbox/scenario-runs/{run}"


def _run(call: Call) -> ScenarioRun:
    return scenarios_at_work(call.node).by_key(call.path["run"])


@router.post(BASE + "/steps")
def start_step(call: Call) -> Any:
    run, step = _run(call), call.json_object()
    if not step.get("type"):
        raise bad_request("A step needs a type")
    # Aborting the future of a step aborts the whole run, which is what its code can do itself in DSS.
    future = call.node.futures.start(
        run_step, run, step, label=f"Step {step.get('name')}", project_key=run.project.key, on_abort=run.abort
    )
    return {"jobId": future.job_id}


@router.get(BASE + "/steps/{future}")
def step_result(call: Call) -> Any:
    _run(call)
    future = call.node.futures.get(call.path["future"])
    if not future.done.is_set():
        raise not_found("the step has not ended")
    return future.state()["result"]


@router.get(BASE + "/steps")
def step_outputs(call: Call) -> Any:
    return [
        {"stepName": step["step"]["name"], **step} for step in _run(call).document()["stepRuns"] if "result" in step
    ]


@router.get(BASE + "/variables")
def get_variables(call: Call) -> Any:
    run = _run(call)
    return run.project.resolved_variables(run.variables)


@router.post(BASE + "/variables")
def set_variables(call: Call) -> Any:
    _run(call).set_variables(call.json_object())
    return {}


@router.post(BASE + "/report-items")
def add_report_item(call: Call) -> Any:
    _run(call).add_report_item(call.json_object())
    return {}
