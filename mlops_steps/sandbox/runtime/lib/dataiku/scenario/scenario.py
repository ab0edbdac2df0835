"""The scenario that runs, for its own code."""

from __future__ import annotations

from typing import Any

from .._context import Unsupported, context
from .._http import call
from .step import StepHandle, StepResult


def _text_or_none(value: Any) -> str | None:
    return None if value is None else str(value)


class StepDefHelper:
    """The definition of a step."""

    def __init__(self, step_type: str, step_name: str | None, params: dict[str, Any]):
        self._step = {"type": step_type, "name": step_name or step_type, "params": params}

    def get_step(self) -> dict[str, Any]:
        """The definition as a dict, for :meth:`Scenario.run_step`."""
        return self._step


class BuildFlowItemsStepDefHelper(StepDefHelper):
    """The definition of a build step with several items.

    The first argument is the scenario; a name in its place is taken as the name of the step.
    """

    def __init__(self, scenario: Any = None, step_name: str | None = None, build_mode: str = "RECURSIVE_BUILD"):
        name = scenario if isinstance(scenario, str) else step_name
        super().__init__("build_flowitem", name, {"builds": [], "jobType": build_mode})

    def _add(self, kind: str, item: str, project_key: str | None, partitions: str | None = None) -> None:
        key = project_key or context().project_key
        self._step["params"]["builds"].append(  # type: ignore[index]
            {"type": kind, "projectKey": key, "itemId": item, "partitionsSpec": partitions}
        )

    def add_dataset(self, dataset_name: str, project_key: str | None = None, partitions: str | None = None) -> None:
        """Adds a dataset."""
        self._add("DATASET", dataset_name, project_key, partitions)

    def add_folder(self, folder_id: str, project_key: str | None = None, partitions: str | None = None) -> None:
        """Adds a managed folder."""
        self._add("MANAGED_FOLDER", folder_id, project_key, partitions)

    def add_model(self, model_id: str, project_key: str | None = None) -> None:
        """Adds a saved model."""
        self._add("SAVED_MODEL", model_id, project_key)


class Scenario:
    """The handle of the scenario that runs."""

    def __init__(self) -> None:
        run = context().scenario
        if run is None:
            raise RuntimeError("dataiku.scenario can be used in the code of a scenario only")
        self._run = run
        self.project_key = context().project_key
        self._path = f"/sandbox/scenario-runs/{run['key']}"

    # ---- what started it

    def get_trigger_type(self) -> str | None:
        """The type of the trigger, for instance ``manual``."""
        return _text_or_none(self._run["trigger"]["trigger"].get("type"))

    def get_trigger_name(self) -> str | None:
        """The name of the trigger."""
        return _text_or_none(self._run["trigger"]["trigger"].get("name"))

    def get_trigger_params(self) -> dict[str, Any]:
        """The parameters that the trigger passed."""
        return dict(self._run["trigger"].get("params") or {})

    # ---- variables and results

    def set_scenario_variables(self, **kwargs: Any) -> None:
        """Defines variables for the rest of the run."""
        call("POST", f"{self._path}/variables", kwargs)

    def get_all_variables(self) -> dict[str, Any]:
        """All variables, with those of this run."""
        return dict(call("GET", f"{self._path}/variables"))

    def get_previous_steps_outputs(self) -> list[dict[str, Any]]:
        """The results of the steps that ran before."""
        return list(call("GET", f"{self._path}/steps"))

    def add_report_item(self, object_ref: Any, partition: Any, report_item: Any) -> None:
        """Adds an item to the report of the current step."""
        item = {"type": "CUSTOM", "objectRef": object_ref, "partition": partition, "reportItem": report_item}
        call("POST", f"{self._path}/report-items", item)

    # ---- steps

    def run_step(
        self, step: Any, asynchronous: bool = False, fail_fatal: bool = True, **_: Any
    ) -> StepHandle | StepResult:
        """Runs a step: its result, or with ``asynchronous`` its handle."""
        definition = step.get_step() if isinstance(step, StepDefHelper) else step
        handle = StepHandle(self._path, definition, fail_fatal)
        if asynchronous:
            handle.start()
            return handle
        return handle.run()

    def _step(self, kind: str, name: str | None, params: dict[str, Any], **options: Any) -> StepHandle | StepResult:
        return self.run_step(StepDefHelper(kind, name, params), **options)

    def new_build_flowitems_step(
        self, step_name: str | None = None, build_mode: str = "RECURSIVE_BUILD"
    ) -> BuildFlowItemsStepDefHelper:
        """A build step to which items are added."""
        return BuildFlowItemsStepDefHelper(self, step_name, build_mode)

    def build_dataset(
        self,
        dataset_name: str,
        project_key: str | None = None,
        build_mode: str = "RECURSIVE_BUILD",
        partitions: str | None = None,
        step_name: str | None = None,
        **options: Any,
    ) -> StepHandle | StepResult:
        """Builds a dataset."""
        step = BuildFlowItemsStepDefHelper(self, step_name or f"build {dataset_name}", build_mode)
        step.add_dataset(dataset_name, project_key, partitions)
        return self.run_step(step, **options)

    def build_folder(
        self,
        folder_id: str,
        project_key: str | None = None,
        build_mode: str = "RECURSIVE_BUILD",
        partitions: str | None = None,
        step_name: str | None = None,
        **options: Any,
    ) -> StepHandle | StepResult:
        """Builds a managed folder."""
        step = BuildFlowItemsStepDefHelper(self, step_name or f"build {folder_id}", build_mode)
        step.add_folder(folder_id, project_key, partitions)
        return self.run_step(step, **options)

    def train_model(
        self,
        model_id: str,
        project_key: str | None = None,
        build_mode: str = "RECURSIVE_BUILD",
        step_name: str | None = None,
        **options: Any,
    ) -> StepHandle | StepResult:
        """Trains a saved model."""
        step = BuildFlowItemsStepDefHelper(self, step_name or f"train {model_id}", build_mode)
        step.add_model(model_id, project_key)
        return self.run_step(step, **options)

    def compute_dataset_metrics(
        self,
        dataset_name: str,
        project_key: str | None = None,
        partitions: str | None = None,
        step_name: str | None = None,
        **options: Any,
    ) -> StepHandle | StepResult:
        """Computes the metrics of a dataset."""
        return self._on_dataset(
            "compute_metrics", "computes", dataset_name, project_key, step_name, {**options, "partitions": partitions}
        )

    def run_dataset_checks(
        self,
        dataset_name: str,
        project_key: str | None = None,
        partitions: str | None = None,
        step_name: str | None = None,
        **options: Any,
    ) -> StepHandle | StepResult:
        """Runs the checks of a dataset."""
        return self._on_dataset(
            "check_dataset", "checks", dataset_name, project_key, step_name, {**options, "partitions": partitions}
        )

    def clear_dataset(
        self,
        dataset_name: str,
        project_key: str | None = None,
        partitions: str | None = None,
        step_name: str | None = None,
        **options: Any,
    ) -> StepHandle | StepResult:
        """Deletes the data of a dataset."""
        return self._on_dataset(
            "clear_items", "clears", dataset_name, project_key, step_name, {**options, "partitions": partitions}
        )

    def _on_dataset(
        self, kind: str, role: str, name: str, key: str | None, step_name: str | None, options: dict[str, Any]
    ) -> StepHandle | StepResult:
        partitions = options.pop("partitions", None)
        key = key or self.project_key
        item = {"type": "DATASET", "projectKey": key, "itemId": name, "partitionsSpec": partitions}
        return self._step(kind, step_name or f"{kind} {name}", {role: [item]}, **options)

    def set_project_variables(
        self, project_key: str | None = None, step_name: str | None = None, **variables: Any
    ) -> StepHandle | StepResult:
        """Sets variables of the project."""
        params = {"variables": variables, "projectKey": project_key or self.project_key}
        return self._step("set_project_vars", step_name, params)

    def run_scenario(
        self, scenario_id: str, project_key: str | None = None, name: str | None = None, **options: Any
    ) -> StepHandle | StepResult:
        """Runs another scenario and waits for it."""
        params = {"scenarioId": scenario_id, "projectKey": project_key or self.project_key}
        return self._step("run_scenario", name or f"run {scenario_id}", params, **options)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        raise Unsupported(f"dataiku.scenario.Scenario.{name} is not supported by the sandbox")
