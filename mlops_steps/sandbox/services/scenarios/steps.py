"""The types of steps that the sandbox can run. A step ends well by returning."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mlops_steps.sandbox.node.errors import bad_request, not_supported
from mlops_steps.sandbox.services.flow import data_quality, datasets, folders, metrics, rules
from mlops_steps.sandbox.services.flow.children import thrown
from mlops_steps.sandbox.services.flow.job_service import jobs_of
from mlops_steps.sandbox.services.flow.jobs import ABORTED as JOB_ABORTED
from mlops_steps.sandbox.services.flow.jobs import DONE as JOB_DONE
from mlops_steps.sandbox.services.flow.jobs import outputs_of
from mlops_steps.sandbox.services.projects.model import Project
from mlops_steps.sandbox.services.scenarios.pytest_step import run_pytest
from mlops_steps.sandbox.services.scenarios.step_context import (
    ABORTED,
    FAILED,
    SUCCESS,
    WARNING,
    StepAborted,
    StepContext,
    StepFailed,
    StepWarned,
)


def build(context: StepContext) -> None:
    """Builds datasets, managed folders and saved models, in one job."""
    builds = context.params.get("builds") or []
    definition = {"type": context.params.get("jobType") or "RECURSIVE_BUILD", "outputs": outputs_of(builds)}
    service = jobs_of(context.project.node)
    job = service.start(context.project, definition, context.run.user, context.run.variables, "SCHEDULER")
    context.log(f"Job {job.id} starts")
    with context.run.cancels(job.abort):
        job.finished.wait()
    with context.log_path.open("a", encoding="utf-8") as log:
        log.write(service.log(context.project, job.id, None))
    outcome = {JOB_DONE: SUCCESS, JOB_ABORTED: ABORTED}.get(job.state, FAILED)
    item: dict[str, Any] = {
        "type": "JOB_EXECUTED",
        "jobId": job.id,
        "jobProjectKey": context.project.key,
        "target": {"type": "JOB", "projectKey": context.project.key, "name": job.id},
        "outcome": outcome,
        "start": job.start,
        "end": job.end,
    }
    if job.error:
        item["thrown"] = job.error
    context.items.extend([item, *job.built])
    if outcome == ABORTED:
        raise StepAborted
    if outcome == FAILED:
        raise StepFailed(job.error or thrown({"clazz": "JobFailed", "message": f"job {job.id} failed"}))


def custom_python(context: StepContext) -> None:
    """Runs a script."""
    context.run_code(f"step {context.step['name']}", str(context.params.get("script") or ""))


def compute_metrics(context: StepContext) -> None:
    """Computes the metrics of datasets."""
    for name in _datasets(context, "computes"):
        values = metrics.compute(context.project, name)
        for identity, value in values.items():
            context.log(f"dataset {name}: {identity} = {value:g}")
        computed = [{"metricId": identity, "value": str(value)} for identity, value in values.items()]
        context.items.append({"type": "COMPUTED_METRICS", "target": _target(context, name), "computed": computed})


def check_datasets(context: StepContext) -> None:
    """Runs the checks of datasets: the step fails when one fails."""
    failed, warned = [], []
    for name in _datasets(context, "checks"):
        results = data_quality.run_checks(context.project, name)
        for result in results:
            line = f"dataset {name}: check {result['name']} {result['outcome']}: {result['message']}"
            context.log(line)
            if result["outcome"] == rules.ERROR:
                failed.append(line)
            elif result["outcome"] == rules.WARNING:
                warned.append(line)
        context.items.append({"type": "CHECKED_DATASET", "target": _target(context, name), "results": results})
    if failed:
        raise StepFailed(thrown({"clazz": "ChecksFailed", "message": "; ".join(failed)}))
    if warned:
        raise StepWarned("; ".join(warned))


def clear_items(context: StepContext) -> None:
    """Deletes the data of datasets and managed folders."""
    for item in context.params.get("clears") or []:
        _own(context, item)
        if item.get("type") == "MANAGED_FOLDER":
            for found in folders.contents(context.project, item["itemId"])["items"]:
                folders.file_of(context.project, item["itemId"], found["path"]).unlink()
        elif item.get("type") == "DATASET":
            datasets.clear(context.project, item["itemId"])
        else:
            raise not_supported(f"clearing of {item.get('type')} {item.get('itemId')}")
        context.log(f"Cleared {item['itemId']}")


def set_project_variables(context: StepContext) -> None:
    """Sets variables of the project."""
    given = context.params.get("variables") or {}
    if not isinstance(given, dict):
        given = {str(entry.get("key")): entry.get("value") for entry in given}
    project = context.project
    if context.params.get("projectKey") not in (None, "", project.key):
        project = Project.load(project.node, context.params["projectKey"])
    with project.node.lock(project.key):
        variables = project.variables
        project.save_variables({**variables, "standard": {**variables["standard"], **given}}, context.run.user)
    context.log(f"Set {', '.join(given)}")


def run_scenario(context: StepContext) -> None:
    """Runs another scenario of this node and takes over its outcome."""
    project = context.project
    if context.params.get("projectKey") not in (None, "", project.key):
        project = Project.load(project.node, context.params["projectKey"])
    identity = str(context.params.get("scenarioId") or "")
    run = context.run.run_nested(project, identity)
    context.log(f"Run {run.run_id} of {run.label} starts")
    with context.run.cancels(run.abort):
        run.finished.wait()
    assert run.result is not None
    outcome = run.result["outcome"]
    target = {"type": "SCENARIO", "projectKey": project.key, "scenarioId": identity}
    item = {"type": "RUN_SCENARIO", "target": target, "runId": run.run_id, "outcome": outcome}
    context.items.append({**item, **({"thrown": run.result["thrown"]} if "thrown" in run.result else {})})
    message = f"{run.label} ended as {outcome}"
    if outcome == WARNING:
        raise StepWarned(message)
    if outcome != SUCCESS:
        reason = (run.result.get("thrown") or {}).get("message")
        raise StepFailed(thrown({"clazz": "ScenarioFailed", "message": f"{message}: {reason}" if reason else message}))


def _datasets(context: StepContext, role: str) -> list[str]:
    names = []
    for item in context.params.get(role) or []:
        _own(context, item)
        if item.get("type", "DATASET") != "DATASET":
            raise not_supported(f"step type {context.step['type']} on {item['type']} {item.get('itemId')}")
        names.append(str(item.get("itemId")))
    return names


def _own(context: StepContext, item: dict[str, Any]) -> None:
    if item.get("projectKey") not in (None, "", context.project.key):
        raise not_supported(f"{item['projectKey']}.{item.get('itemId')}: steps on objects of another project")
    if item.get("partitionsSpec"):
        raise bad_request(f"{item.get('itemId')}: partitions are not supported by the sandbox")


def _target(context: StepContext, name: str) -> dict[str, Any]:
    return {"type": "DATASET", "projectKey": context.project.key, "datasetName": name}


STEPS: dict[str, Callable[[StepContext], None]] = {
    "build_flowitem": build,
    "custom_python": custom_python,
    "python_unit_test": run_pytest,
    "compute_metrics": compute_metrics,
    "check_dataset": check_datasets,
    "clear_items": clear_items,
    "set_project_vars": set_project_variables,
    "run_scenario": run_scenario,
}
