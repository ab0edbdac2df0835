"""Scenario definitions."""

from __future__ import annotations

import re
from typing import Any

from mlops_steps.sandbox.node.errors import bad_request
from mlops_steps.sandbox.services.projects.model import Project
from mlops_steps.sandbox.services.projects.objects import Objects, free_id

TYPES = ("step_based", "custom_python")


def scenarios_of(project: Project) -> Objects:
    """The scenarios of a project."""
    return Objects(project, "scenarios", "scenario")


def definition_of(project: Project, scenario_id: str) -> dict[str, Any]:
    """A scenario's definition, with what a file may leave out.

    :raises DssError: 404, there is none.
    """
    stored = scenarios_of(project).get(scenario_id)
    return {
        "name": scenario_id,
        "type": "step_based",
        "active": False,
        "markedAsTest": False,
        "triggers": [],
        "reporters": [],
        "tags": [],
        **stored,
        "id": scenario_id,
        "projectKey": project.key,
        "params": {"steps": [], **(stored.get("params") or {})},
    }


def marked_as_test(project: Project) -> list[dict[str, Any]]:
    """The definitions of the scenarios that are marked as test."""
    definitions = [definition_of(project, identity) for identity in scenarios_of(project).ids()]
    return [definition for definition in definitions if definition["markedAsTest"]]


def create(project: Project, definition: dict[str, Any], user: str) -> str:
    """Creates a scenario and returns its id, which comes from its name.

    :raises DssError: 400, the type is not one or the name is empty.
    """
    name, kind = str(definition.get("name") or ""), definition.get("type")
    if kind not in TYPES:
        raise bad_request(f"scenario type {kind!r} is not one of {', '.join(TYPES)}")
    wanted = str(definition.get("id") or re.sub(r"[^A-Za-z0-9_]", "", name).upper())
    if not wanted:
        raise bad_request(f"{name!r} is not the name of a scenario")
    objects = scenarios_of(project)
    with project.node.lock(project.key):
        identity = free_id(objects, wanted)
        document = {
            "active": False,
            "markedAsTest": False,
            "triggers": [],
            "reporters": [],
            "tags": [],
            **definition,
            "params": {**({"steps": []} if kind == "step_based" else {}), **(definition.get("params") or {})},
        }
        document.pop("id", None)
        objects.create(identity, document, user, "" if kind == "custom_python" else None)
    return identity


def set_active_scenarios(project: Project, active: dict[str, bool], user: str = "admin") -> None:
    """Switches the automatic triggers of scenarios on or off.

    :raises DssError: 404, one of them does not exist; none is changed then.
    """
    objects = scenarios_of(project)
    with project.node.lock(project.key):
        definitions = {identity: objects.get(identity) for identity in active}
        for identity, definition in definitions.items():
            if bool(definition.get("active")) != bool(active[identity]):
                objects.save(identity, {**definition, "active": bool(active[identity])}, user)
