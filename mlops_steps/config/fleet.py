"""``fleet.yml``: the projects that are released together, their order, and which of them form a train."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, ValidationError

from mlops_steps.config.fields import NodeName
from mlops_steps.config.file import Document, Key, read, shown
from mlops_steps.config.section import Section
from mlops_steps.errors import ConfigError
from mlops_steps.system.text import nearest

DEFAULT_FILE = "fleet.yml"
_NAME = r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,99}$"

Name = Annotated[str, Field(pattern=_NAME)]
Path_ = Annotated[str, Field(min_length=1, max_length=500, pattern=r"^[^\x00-\x1f]*$")]


class FleetProject(Section):
    """A project of the fleet."""

    config: Path_ | None = Field(
        default=None, description="Its mlops.yml, relative to this file. Default: <name>/mlops.yml."
    )
    stage: NodeName | None = Field(default=None, description="The stage that it is released to. Default: its own.")
    after: list[Name] = Field(default=[], description="Projects that are released before it, or not at all.")
    agent: str = Field(default="", max_length=200, description="Label of the agents of Jenkins that work on it.")


class FleetSettings(Section):
    """The whole file."""

    at_once: int = Field(default=4, ge=1, le=200, description="How many projects are worked on at the same time.")
    on_failure: Literal["continue", "stop"] = Field(
        default="continue", description="stop: when one project has failed, no other one is begun."
    )
    projects: dict[Name, FleetProject] = Field(min_length=1, max_length=500)
    trains: dict[Name, list[Name]] = Field(
        default={},
        description="Projects that share objects, upstream first: they are released one after the other, and when one "
        "fails, those before it are rolled back, the last one first.",
    )


def load_fleet(path: Path) -> FleetSettings:
    """Reads the file. Raises :class:`ConfigError` whose first line is the first problem, its details the rest."""
    document = read(path)
    problems = [f"{document.name}:{problem.line}: {problem.text}" for problem in document.problems]
    data = dict(document.data)
    projects = data.get("projects")
    if isinstance(projects, dict):
        # A project may have nothing but its name.
        data["projects"] = {name: one or {} for name, one in projects.items()}
    found = None
    try:
        found = FleetSettings.model_validate({key: value for key, value in data.items() if value is not None})
    except ValidationError as error:
        for item in error.errors(include_url=False, include_input=False):
            key = tuple(str(word) for word in item["loc"])
            problems.append(_placed(document, key, _text(item["type"], item["msg"], key)))
    if found is not None:
        problems += [_placed(document, key, text) for key, text in _contradictions(found)]
    if found is None or problems:
        raise ConfigError(problems[0], details=problems[1:])
    return found


def _placed(document: Document, key: Key, text: str) -> str:
    line = next((document.lines[key[:n]] for n in range(len(key), 0, -1) if key[:n] in document.lines), 0)
    name = ".".join(shown(word) for word in key)
    return f"{document.name}{f':{line}' if line else ''}: {name}: {text}"


def _text(kind: str, message: str, key: Key) -> str:
    if kind == "extra_forbidden":
        model = FleetProject if key[0] == "projects" and len(key) > 1 else FleetSettings
        return f"unknown key{nearest(key[-1], model.model_fields)}"
    if kind == "missing":
        return "is missing"
    return message.replace("Input should be", "must be").removeprefix("Value error, ")


def _contradictions(found: FleetSettings) -> Iterator[tuple[Key, str]]:
    names = list(found.projects)
    for name, project in found.projects.items():
        for index, other in enumerate(project.after):
            key: Key = ("projects", name, "after", str(index))
            if other not in names:
                yield key, f"no such project: {other}{nearest(other, names)}"
            elif other == name:
                yield key, "a project cannot come after itself"
    trains: dict[str, str] = {}
    for train, members in found.trains.items():
        if train in names:
            yield ("trains", train), "a project has this name"
        if len(members) < 2:
            yield ("trains", train), "a train has two projects or more"
        for index, member in enumerate(members):
            key = ("trains", train, str(index))
            if member not in names:
                yield key, f"no such project: {member}{nearest(member, names)}"
            elif member in trains:
                yield key, f"{member} is in train {trains[member]} already"
            trains.setdefault(member, train)
            after = found.projects[member].after if member in names else []
            if late := [other for other in after if other in members[index:]]:
                yield key, f"{member} comes after {late[0]}, which stands behind it in the train"
