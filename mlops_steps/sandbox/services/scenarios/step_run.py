"""One step of a scenario: whether it runs, how often it is tried, how it ends."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from mlops_steps.sandbox.node.errors import not_supported
from mlops_steps.sandbox.services.flow.children import thrown
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

if TYPE_CHECKING:
    from mlops_steps.sandbox.services.scenarios.run import ScenarioRun


def wanted(step: Mapping[str, Any], outcome: str) -> bool:
    """Whether a step runs when the scenario is at ``outcome``.

    :raises DssError: 501, a condition that the sandbox cannot evaluate.
    """
    condition = step.get("runConditionType") or "RUN_IF_STATUS_MATCH"
    if step.get("enabled") is False or condition == "DISABLED":
        return False
    if condition == "RUN_ALWAYS":
        return True
    if condition != "RUN_IF_STATUS_MATCH":
        raise not_supported(f"run condition {condition!r} of step {step.get('name')!r}")
    return outcome in (step.get("runConditionStatuses") or (SUCCESS, WARNING))


def run_step(run: ScenarioRun, step: dict[str, Any]) -> dict[str, Any]:
    """Runs one step, again when it may be retried, and returns its run."""
    tries = 1 + max(0, int(step.get("maxRetriesOnFail") or 0))
    for attempt in range(1, tries + 1):
        step_run = _try_step(run, step)
        if step_run["result"]["outcome"] != FAILED or attempt == tries:
            break
        pause = float(step.get("delayBetweenRetries") or 0)
        run.log(f"Step {step_run['step']['name']} is tried again in {pause:g} s")
        if run.wait_aborted(pause):
            break
    return step_run


def _try_step(run: ScenarioRun, step: dict[str, Any]) -> dict[str, Any]:
    step_run = run.begin_step(step)
    context = StepContext(run, step_run)
    outcome, error = _work(context)
    if run.aborted:
        outcome = ABORTED
    if outcome == FAILED and context.params.get("proceedOnFailure"):
        outcome = WARNING
    run.end_step(context, outcome, error)
    return step_run


def _work(context: StepContext) -> tuple[str, dict[str, Any] | None]:
    """The outcome, and the error of a step that did not succeed."""
    kind = context.step.get("type")
    try:
        work = context.run.step_types.get(str(kind))
        if work is None:
            raise not_supported(f"scenario step {context.step['name']!r} of type {kind!r}")
        work(context)
    except StepFailed as failure:
        return FAILED, failure.error
    except StepWarned as warning:
        return WARNING, thrown({"clazz": "Warning", "message": str(warning)})
    except StepAborted:
        return ABORTED, None
    except Exception as failure:
        # The run goes on to its end, with this step as what failed.
        return FAILED, thrown(failure)
    return SUCCESS, None
