"""What a rollback from one bundle to another does not undo on the node, read from both archives. Asks no node.

A bundle that is activated again brings back code and definitions. What was written meanwhile stays: data with another
schema, datasets that were built again, models that were trained again.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlops_steps.insight.difference import CONFIG, opened, read_json
from mlops_steps.system.text import one_line

# Calls by which the code of a scenario builds something; the name stands in quotes.
_BUILDS = re.compile(r"""\b(?:build_dataset|train_model|build_folder)\(\s*['"](?:\w+\.)?([\w-]+)['"]""")
_LARGEST = 4 * 1024 * 1024
_MOST = 200


@dataclass(frozen=True)
class _Project:
    """The definitions of a bundle, by id; ``code`` is that of scenarios."""

    datasets: Mapping[str, Any]
    recipes: Mapping[str, Any]
    models: Mapping[str, Any]
    scenarios: Mapping[str, Any]
    code: Mapping[str, str]


def lasting(old: tuple[str, Path], new: tuple[str, Path], run: Mapping[str, str]) -> list[str]:
    """What a rollback from ``new`` to ``old`` does not undo, a line each; both are a name and a path.

    ``run``: the scenarios that may run while the new bundle is live, and why. Raises :class:`CheckFailed` for an
    archive that is not safe to read.
    """
    before, after = _read(*old), _read(*new)
    lines = [*_schemas(before, after), *_built(after, run)]
    return list(dict.fromkeys(one_line(line, 300) for line in lines))[:_MOST]


def _schemas(before: _Project, after: _Project) -> Iterator[str]:
    for name in sorted(before.datasets.keys() & after.datasets.keys()):
        was, is_ = _columns(before.datasets[name]), _columns(after.datasets[name])
        changes = [f"column {one} is gone" for one in was if one not in is_]
        changes += [f"column {one} is new" for one in is_ if one not in was]
        changes += [f"column {one}: {was[one]} → {is_[one]}" for one in is_ if one in was and was[one] != is_[one]]
        if changes:
            more = f" and {len(changes) - 5} more" if len(changes) > 5 else ""
            yield f"dataset {name}: its schema changes ({', '.join(changes[:5])}{more}); data written with it stays"


def _built(project: _Project, run: Mapping[str, str]) -> Iterator[str]:
    for scenario, why in run.items():
        definition = project.scenarios.get(scenario)
        if not isinstance(definition, dict):
            continue
        for name in sorted(_targets(project, scenario, definition)):
            kind, what = ("model", "trained") if name in project.models else ("dataset", "built")
            yield f"{kind} {name}: is {what} again by scenario {scenario} ({why})"


def _targets(project: _Project, scenario: str, definition: Mapping[str, Any]) -> set[str]:
    """What the scenario builds; with a recursive build, what that needs too."""
    found = set(_BUILDS.findall(project.code.get(scenario, "")))
    for step in _list(_dict(definition.get("params")).get("steps")):
        params = _dict(step.get("params")) if isinstance(step, dict) else {}
        found |= set(_BUILDS.findall(str(params.get("script") or "")))
        wanted = {str(one.get("itemId") or "") for one in _list(params.get("builds")) if isinstance(one, dict)} - {""}
        recursive = str(params.get("jobType") or "").startswith("RECURSIVE")
        found |= _with_sources(project, wanted) if recursive else wanted
    return found


def _with_sources(project: _Project, wanted: Collection[str]) -> set[str]:
    made = {output: recipe for recipe in project.recipes.values() for output in _refs(recipe, "outputs")}
    found, left = set(wanted), list(wanted)
    while left:
        recipe = made.get(left.pop())
        sources = [one for one in (_refs(recipe, "inputs") if recipe else []) if one in made and one not in found]
        found.update(sources)
        left += sources
    return found


def _refs(recipe: object, side: str) -> list[str]:
    roles = _dict(_dict(recipe).get(side)).values()
    return [str(one.get("ref")) for role in roles for one in _list(_dict(role).get("items")) if isinstance(one, dict)]


def _columns(dataset: object) -> dict[str, str]:
    columns = _list(_dict(_dict(dataset).get("schema")).get("columns"))
    return {str(one.get("name")): str(one.get("type") or "?") for one in columns if isinstance(one, dict)}


def _read(name: str, path: Path) -> _Project:
    found: dict[str, dict[str, Any]] = {kind: {} for kind in ("datasets", "recipes", "saved_models", "scenarios")}
    code: dict[str, str] = {}
    with opened(name, path) as archive:
        for info in archive.infolist():
            folder, _, file = info.filename.removeprefix(CONFIG).partition("/")
            if not info.filename.startswith(CONFIG) or folder not in found or info.file_size > _LARGEST or "/" in file:
                continue
            stem, _, suffix = file.rpartition(".")
            if suffix == "json":
                found[folder][stem] = read_json(archive.read(info))
            elif suffix == "py" and folder == "scenarios":
                code[stem] = archive.read(info).decode(errors="replace")
    return _Project(found["datasets"], found["recipes"], found["saved_models"], found["scenarios"], code)


def _dict(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []
