"""Steps that a scenario's code runs."""

from __future__ import annotations

import time
from typing import Any

from .._http import call

# Seconds between two looks at a running step.
_FIRST_WAIT, _LONGEST_WAIT, _GROWTH = 0.05, 1.0, 1.3


class StepFailedException(Exception):
    """A step failed."""


class StepHandle:
    """One step of the scenario that runs."""

    def __init__(self, run_path: str, step: dict[str, Any], fail_fatal: bool):
        self._run_path = run_path
        self.step = step
        self.fail_fatal = fail_fatal
        self.future_id: str | None = None
        self.result: dict[str, Any] | None = None

    def start(self) -> None:
        """Starts the step on the node."""
        self.future_id = call("POST", f"{self._run_path}/steps", self.step)["jobId"]

    def run(self) -> StepResult:
        """Starts the step and waits for its end.

        :raises StepFailedException: it failed or was aborted, unless ``fail_fatal`` is False.
        """
        self.start()
        return self.wait_for_completion()

    def is_done(self) -> bool:
        """Whether the step has ended."""
        if self.future_id is None:
            raise RuntimeError("the step was not started")
        if self.result is None:
            state = call("GET", f"/futures/{self.future_id}?peek=true")
            if state.get("hasResult"):
                self.result = call("GET", f"{self._run_path}/steps/{self.future_id}")
        return self.result is not None

    def wait_for_completion(self) -> StepResult:
        """Waits for the end of the step; the time limit is that of the scenario's process."""
        wait = _FIRST_WAIT
        while not self.is_done():
            time.sleep(wait)
            wait = min(wait * _GROWTH, _LONGEST_WAIT)
        result = self.get_result()
        if self.fail_fatal and result.get_outcome() == "ABORTED":
            raise StepFailedException(f"step {self.step.get('name')} was aborted")
        if self.fail_fatal and result.get_outcome() == "FAILED":
            raise StepFailedException(f"step {self.step.get('name')} failed: {result.get_error_message()}")
        return result

    def get_result(self) -> StepResult:
        """The result of a step that has ended."""
        assert self.result is not None
        if self.step["type"] == "build_flowitem":
            return BuildFlowItemsStepResult(self.result)
        return StepResult(self.result)


class StepResult:
    """What a step gave."""

    def __init__(self, data: dict[str, Any]):
        self.data = data

    def _items(self, kind: str) -> list[dict[str, Any]]:
        return [item for item in self.data.get("additionalReportItems", []) if item["type"] == kind]

    def get_outcome(self) -> str:
        """SUCCESS, WARNING, FAILED or ABORTED."""
        return str(self.data["result"]["outcome"])

    def get_error_message(self) -> str:
        """Why the step failed."""
        if self.get_outcome() in ("SUCCESS", "WARNING"):
            return "No error"
        return str((self.data["result"].get("thrown") or {}).get("message", "unknown error, see the log"))

    def get_data(self) -> dict[str, Any]:
        """The raw step run."""
        return self.data

    def count_warnings(self) -> int:
        """The number of warnings."""
        return int((self.data["result"].get("warnings") or {}).get("totalCount", 0))


class TrainedModelHandle:
    """A version of a saved model that a step trained."""

    def __init__(self, item: dict[str, Any]):
        self.report_item = item

    def get_new_version(self) -> str:
        """The id of the version."""
        return str(self.report_item["versionId"])

    def get_model(self) -> Any:
        """The saved model."""
        from ..model import Model

        return Model(self.report_item["target"]["modelId"])

    def activate_new_version(self) -> None:
        """Makes the version the active one."""
        self.get_model().activate_version(self.get_new_version())

    def get_new_version_metrics(self) -> Any:
        """The metrics of the version."""
        return self.get_model().get_version_metrics(self.get_new_version())


class BuildFlowItemsStepResult(StepResult):
    """What a build step gave."""

    def get_trained_models(self) -> list[TrainedModelHandle]:
        """The versions of saved models that were trained."""
        return [TrainedModelHandle(item) for item in self._items("BUILT_MODEL")]

    def get_trained_model(self) -> TrainedModelHandle:
        """The one version that was trained."""
        models = self.get_trained_models()
        if len(models) != 1:
            raise ValueError(f"this step trained {len(models)} models, not one")
        return models[0]

    def get_built_datasets(self) -> list[dict[str, Any]]:
        """The datasets that were built, as report items."""
        return self._items("BUILT_DATASET")

    def get_job_report_item(self) -> dict[str, Any]:
        """The job of the step."""
        return self._items("JOB_EXECUTED")[0]
