"""What the checks of Project Standards look at. Real nodes get theirs from plugins: these are the sandbox's own."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from mlops_steps.sandbox.services.flow import models
from mlops_steps.sandbox.services.flow.kinds import DATASET, MODEL, recipes_of
from mlops_steps.sandbox.services.flow.plan import Flow
from mlops_steps.sandbox.services.projects.model import Project

#: What a check finds: a severity (0: no issue, 5: critical) and a message; ``None`` when it does not apply.
Finding = tuple[int, str] | None

_PLUGIN = "sandbox-standards"


@dataclass(frozen=True)
class Spec:
    """A kind of check. ``params`` are the parameters that a new check has."""

    name: str
    label: str
    description: str
    params: Mapping[str, Any]
    look: Callable[[Project, Mapping[str, Any]], Finding]

    @property
    def element_type(self) -> str:
        """The identifier of the kind: that of the plugin and that of the component."""
        return f"project-standards-check-spec_{_PLUGIN}_{self.name}"

    def document(self) -> dict[str, Any]:
        """The kind as the client lists it."""
        return {
            "elementType": self.element_type,
            "label": self.label,
            "description": self.description,
            "ownerPluginId": _PLUGIN,
        }


def run(check: Mapping[str, Any], project: Project) -> dict[str, Any]:
    """Runs a check on a project and returns what the report says of it. Never raises."""
    started = time.monotonic()
    params = dict(check.get("checkParams") or {})
    try:
        found = SPECS[str(check.get("checkElementType"))].look(project, params)
    except Exception as error:  # as a check of a plugin may fail, with whatever it raises
        result: dict[str, Any] = {"status": "RUN_ERROR", "message": f"{type(error).__name__}: {error}"}
    else:
        if found is None:
            result = {"status": "NOT_APPLICABLE", "message": "does not apply to this project"}
        else:
            result = {"status": "RUN_SUCCESS", "severity": found[0], "message": found[1]}
    duration = round(1000 * (time.monotonic() - started))
    return {
        "check": dict(check),
        "result": {**result, "details": {}},
        "durationMs": duration,
        "expandedCheckParams": params,
    }


def _severity(params: Mapping[str, Any]) -> int:
    severity = int(params["severity"])
    if not 1 <= severity <= 5:
        raise ValueError(f"the parameter severity is {severity}: it must be between 1 and 5")
    return severity


def _description(project: Project, params: Mapping[str, Any]) -> Finding:
    described = bool(str(project.params.get("description") or project.params.get("shortDesc") or "").strip())
    return (0, "the project has a description") if described else (_severity(params), "the project has no description")


def _recipe_lines(project: Project, params: Mapping[str, Any]) -> Finding:
    most, recipes = int(params["lines"]), recipes_of(project)
    lengths = {
        recipe["name"]: len((recipes.payload(recipe["name"], "python") or "").splitlines())
        for recipe in recipes.all_named()
        if recipe.get("type") == "python"
    }
    if not lengths:
        return None
    longest = max(lengths, key=lambda name: lengths[name])
    said = f"the longest Python recipe is {longest}, {lengths[longest]} lines"
    return (0, said) if lengths[longest] <= most else (_severity(params), f"{said}; at most {most} are allowed")


def _unused_datasets(project: Project, params: Mapping[str, Any]) -> Finding:
    flow = Flow.of(recipes_of(project).all_named(), project.key)
    used = {name for node in flow.recipes.values() for name in (*node.inputs, *node.outputs)}
    unused = sorted(set(DATASET.of(project).ids()) - used)
    if not unused:
        return 0, "every dataset is used by a recipe"
    return _severity(params), f"no recipe uses {', '.join(unused[:5])} ({len(unused)} datasets)"


def _model_metrics(project: Project, params: Mapping[str, Any]) -> Finding:
    found = {name: MODEL.of(project).get(name).get("activeVersion") for name in MODEL.of(project).ids()}
    if not found:
        return None
    bad = [
        name
        for name, version in found.items()
        if not version or not models.version(project, name, version).get("metrics")
    ]
    if bad:
        return _severity(params), f"no active version with metrics: {', '.join(sorted(bad))}"
    return 0, "every saved model has an active version with metrics"


_ALL = (
    Spec("project-description", "Project has a description", "", {"severity": 3}, _description),
    Spec("recipe-lines", "Python recipes are short", "", {"severity": 2, "lines": 100}, _recipe_lines),
    Spec("unused-datasets", "Datasets are used", "", {"severity": 1}, _unused_datasets),
    Spec("model-metrics", "Saved models have metrics", "", {"severity": 4}, _model_metrics),
)
SPECS = {spec.element_type: spec for spec in _ALL}
