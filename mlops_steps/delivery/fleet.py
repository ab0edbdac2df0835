"""A fleet: several projects that are released together. Which steps are run for each, in which order. Asks no node."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from mlops_steps.config import Settings, load
from mlops_steps.config.fleet import FleetProject, FleetSettings, load_fleet
from mlops_steps.config.policy import GROUP
from mlops_steps.errors import ConfigError, MlopsError
from mlops_steps.policy.effective import resolve

SCHEMA = 1
# Of the environment of a fleet, which belongs to no project.
_OF_ONE_PROJECT = ("MLOPS_PROJECT", "MLOPS_CONFIG")


def fleet_plan(path: Path, environ: Mapping[str, str]) -> dict[str, Any]:
    """What is done, as JSON holds it: projects with their steps, levels with the units of each, questions.

    A unit is a project, or a train of several; ``after`` are the projects without which it is not begun. The units of a
    level do not wait for each other. A project whose
    mlops.yml is wrong has a ``problem``: the others go on. Raises :class:`ConfigError` when the file itself is wrong.
    """
    fleet = load_fleet(path)
    units = _units(fleet)
    levels = _levels(path, fleet, units)
    downstream = {name for members in fleet.trains.values() for name in members[1:]}
    variables = {name: value for name, value in environ.items() if name not in _OF_ONE_PROJECT}
    projects = {
        name: _project(path, name, project, variables, with_plan=name not in downstream)
        for name, project in fleet.projects.items()
    }
    _check_distinct(path, projects)
    questions: dict[str, list[str]] = {}
    for name in (name for level in levels for unit in level for name in unit["projects"]):
        if projects[name]["automation"] == "approval":
            questions.setdefault(",".join(projects[name]["approvers"]), []).append(name)
    return {
        "schema": SCHEMA,
        "at_once": fleet.at_once,
        "on_failure": fleet.on_failure,
        "levels": levels,
        "questions": [
            {"number": number, "approvers": who, "projects": names}
            for number, (who, names) in enumerate(questions.items(), 1)
        ],
        "projects": projects,
    }


def _units(fleet: FleetSettings) -> dict[str, list[str]]:
    """Units by name, with their projects in order."""
    in_trains = {name for members in fleet.trains.values() for name in members}
    return {**fleet.trains, **{name: [name] for name in fleet.projects if name not in in_trains}}


def _levels(path: Path, fleet: FleetSettings, units: Mapping[str, list[str]]) -> list[list[dict[str, Any]]]:
    """The units in the order in which they are begun: those of a level come after some of the level before."""
    of_unit = {name: unit for unit, members in units.items() for name in members}
    waits = {
        unit: {of_unit[other] for name in members for other in fleet.projects[name].after} - {unit}
        for unit, members in units.items()
    }
    done: set[str] = set()
    levels = []
    while len(done) < len(units):
        ready = [unit for unit in units if unit not in done and waits[unit] <= done]
        if not ready:
            circle = ", ".join(unit for unit in units if unit not in done)
            raise ConfigError(f"{path}: these wait for each other: {circle}")
        levels.append(
            [
                {
                    "name": unit,
                    "train": unit in fleet.trains,
                    "projects": units[unit],
                    "after": [name for other in sorted(waits[unit]) for name in units[other]],
                }
                for unit in ready
            ]
        )
        done.update(ready)
    return levels


def _project(
    path: Path, name: str, project: FleetProject, environ: Mapping[str, str], *, with_plan: bool
) -> dict[str, Any]:
    config = path.parent / (project.config or f"{name}/mlops.yml")
    found: dict[str, Any] = {
        "config": str(config),
        "agent": project.agent,
        "key": "",
        "stage": "",
        "automation": "",
        "approvers": [],
        "problem": "",
        "reports": str(config.parent / "reports"),
        "prepare": [],
        "release": [],
        "take_back": [],
    }
    try:
        settings = load(config, environ)
        policy = resolve(settings)
        found["key"] = settings.project
        found["reports"] = os.path.relpath(settings.reports)
        found["automation"] = policy.automation
        found["approvers"] = [one.removeprefix(GROUP) for one in policy.approvers]
        common = {"config": str(config), "project": settings.project}
        release = list(_release_steps(settings, project.stage))
        found["stage"] = release[0][1]
        steps = {
            "prepare": [*_prepare_steps(settings, release, with_plan=with_plan)],
            "release": release if policy.automation != "manual" else [],
            "take_back": [(step.replace("release", "rollback"), stage) for step, stage in reversed(release)],
        }
        for phase, all_of_it in steps.items():
            found[phase] = [
                {"step": step, "parameters": {**common, **({"stage": stage} if stage else {}), **_only(phase)}}
                for step, stage in all_of_it
            ]
    except MlopsError as error:
        found["problem"] = error.message
    return found


def _only(phase: str) -> dict[str, bool]:
    """What is taken back because another project of its train failed is not at fault."""
    return {"allowAgain": True} if phase == "take_back" else {}


def _release_steps(settings: Settings, stage: str | None) -> Iterator[tuple[str, str]]:
    """What makes it live: its bundle, its API service, or both."""
    api = settings.api
    services = [name for name in api.stages if api.is_release_stage(name)] if api.service else []
    if settings.stages() or not services:
        name = settings.stage(stage).name if stage else settings.release_stage().name
        if settings.stage_before(name) is None:
            raise ConfigError(f"{name} is the first stage: there is none before it on which a bundle could be tested")
        yield "release", name
    yield from (("api-release", name) for name in services)


def _prepare_steps(settings: Settings, release: list[tuple[str, str]], *, with_plan: bool) -> Iterator[tuple[str, str]]:
    """What is done before anybody is asked: packaged, tried on the stages before, planned."""
    for step, stage in release:
        of_bundle = step == "release"
        prefix = "" if of_bundle else "api-"
        yield f"{prefix}package", ""
        names = [one.name for one in settings.stages()] if of_bundle else list(settings.api.stages)
        for name in names[: names.index(stage)]:
            yield f"{prefix}deploy", name
            yield f"{prefix}test", name
        if of_bundle and with_plan:
            yield "plan", stage


def _check_distinct(path: Path, projects: Mapping[str, Mapping[str, Any]]) -> None:
    """Each has a folder, and a key, of its own: there are its record and its reports."""
    for what in ("folder of mlops.yml", "project key"):
        seen: dict[str, str] = {}
        for name, project in projects.items():
            value = project["key"] if what == "project key" else str(Path(project["config"]).parent)
            if value and value in seen:
                raise ConfigError(f"{path}: {seen[value]} and {name} have the same {what}: {value}")
            seen[value] = name
