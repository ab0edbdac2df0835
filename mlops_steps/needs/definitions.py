"""What the definitions of a project (JSON) need: connections, code environments, plugins, channels, variables."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

_PLACEHOLDER = re.compile(r"\$\{([^{}]*)\}")
_NAME = re.compile(r"[A-Za-z_]\w*")
# What DSS fills in itself: the project, partitions (DKU_…), what a scenario knows of its steps and of its trigger.
_BUILT_IN = frozenset({"projectKey", "bundleId", "outcome", "jobProjectKey", "jobId", "activityId"})
_BUILT_IN_PREFIXES = ("DKU_", "step", "scenario", "trigger")

# Where plugin components show: the type of an object. In the first group the plugin's id follows, then ``_``.
_WITH_PLUGIN = ("pystep_", "pyrunnable_", "fsprovider_", "pytrigger_")
_WITHOUT_PLUGIN = ("CustomCode_", "CustomPython_", "CustomJava_", "CustomJython_")
_BROUGHT_BY_DSS = "builtin-"


def connection_of(definition: Mapping[str, Any]) -> str:
    """The connection that a dataset, a folder, a model or a recipe is stored on or runs on; "" for none."""
    params = _dict(definition.get("params"))
    # Uploaded files travel with the project, wherever a node keeps them.
    if definition.get("type") in ("UploadedFiles", "FilesInFolder"):
        return ""
    for value in (params.get("connection"), definition.get("connection")):
        if isinstance(value, str) and value:
            return value
    return ""


#: What a connection must allow, as its definition names it.
WRITE, DATASETS, FOLDERS = "allowWrite", "allowManagedDatasets", "allowManagedFolders"


def outputs_of(recipe: Mapping[str, Any]) -> list[str]:
    """The names of what the recipe writes in its own project."""
    roles = _dict(recipe.get("outputs")).values()
    items = [item for role in roles for item in _list(_dict(role).get("items"))]
    return [ref for item in items if isinstance(ref := _dict(item).get("ref"), str)]


def changed_on(definition: Mapping[str, Any]) -> int:
    """When the object was last changed, in milliseconds since 1970; 0: it does not say."""
    moment = _dict(definition.get("versionTag")).get("lastModifiedOn")
    return moment if isinstance(moment, int) and not isinstance(moment, bool) else 0


def python_of(code_env: Mapping[str, Any]) -> str:
    """The Python of a code environment, such as ``PYTHON39``; "" where it is not said."""
    found = code_env.get("pythonInterpreter") or _dict(code_env.get("desc")).get("pythonInterpreter")
    return found if isinstance(found, str) else ""


def code_envs_of(definition: object) -> list[str]:
    """The code environments that the definition names, however deep."""
    return sorted({str(one["envName"]) for one in _dicts(definition) if _names_code_env(one)})


def _names_code_env(one: Mapping[str, Any]) -> bool:
    return "EXPLICIT_ENV" in (one.get("envMode"), one.get("mode")) and bool(one.get("envName"))


def channels_of(scenario: Mapping[str, Any]) -> list[str]:
    """The messaging channels of the scenario's active reporters and of its steps."""
    reporters = [one for one in _list(scenario.get("reporters")) if isinstance(one, dict) and one.get("active", True)]
    steps = _list(_dict(scenario.get("params")).get("steps"))
    named = {one.get("channelId") for one in _dicts([reporters, steps])}
    return sorted(name for name in named if isinstance(name, str) and name and "${" not in name)


def components_of(definition: object) -> list[str]:
    """The types of plugin components that the definition names."""
    found = {str(one.get(key)) for one in _dicts(definition) for key in ("type", "runnableType") if one.get(key)}
    return sorted(name for name in found if name.startswith((*_WITH_PLUGIN, *_WITHOUT_PLUGIN)))


def plugin_of(component: str, known: list[str]) -> str | None:
    """The plugin that brings a component: "" for DSS itself, ``None`` when it cannot be told.

    The type of a recipe or of a dataset has the component's own id alone, which by convention begins with the
    plugin's; ``known`` are the plugins of the node that exported the bundle.
    """
    prefix = next(one for one in (*_WITH_PLUGIN, *_WITHOUT_PLUGIN) if component.startswith(one))
    rest = component[len(prefix) :]
    if rest.startswith(_BROUGHT_BY_DSS):
        return ""
    found = [plugin for plugin in known if rest == plugin or rest.startswith((f"{plugin}-", f"{plugin}_"))]
    if found:
        return max(found, key=len)
    return rest.partition("_")[0] if prefix in _WITH_PLUGIN and "_" in rest else None


def placeholders(value: object, without: frozenset[str] = frozenset()) -> set[str]:
    """The names in ``${name}`` of all texts in a definition; those that DSS fills in itself are left out.

    :param without: keys whose values are not looked at.
    """
    found: set[str] = set()
    rest = [value]
    while rest:
        current = rest.pop()
        if isinstance(current, dict):
            rest.extend(inner for key, inner in current.items() if key not in without)
        elif isinstance(current, list):
            rest.extend(current)
        elif isinstance(current, str):
            found.update(match.strip() for match in _PLACEHOLDER.findall(current))
    return {name for name in found if _NAME.fullmatch(name) and not is_built_in(name)}


def is_built_in(name: str) -> bool:
    """Whether DSS fills the variable in itself."""
    return name in _BUILT_IN or name.startswith(_BUILT_IN_PREFIXES)


def scripts_of(scenario: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """The Python code in the steps and triggers of a scenario: the name of the step, the code."""
    steps = [*_list(_dict(scenario.get("params")).get("steps")), *_list(scenario.get("triggers"))]
    for one in _dicts(steps):
        for key in ("script", "code"):
            if isinstance(code := _dict(one.get("params")).get(key), str):
                yield str(one.get("name") or one.get("id") or ""), code


def variables_set_by(scenario: Mapping[str, Any]) -> set[str]:
    """The variables that steps of the scenario set, of the project or of the run."""
    found: set[str] = set()
    for step in _list(_dict(scenario.get("params")).get("steps")):
        if not isinstance(step, dict) or "var" not in str(step.get("type")):
            continue
        given = _dict(step.get("params")).get("variables") or _dict(step.get("params")).get("definitions")
        if isinstance(given, dict):
            found.update(map(str, given))
        for entry in _list(given):
            found.add(str(_dict(entry).get("key") or _dict(entry).get("name")))
    return found


def references_of(recipe: Mapping[str, Any]) -> list[str]:
    """What the recipe reads and writes: names, or ``PROJECT.name`` for objects of other projects."""
    roles = [*_dict(recipe.get("inputs")).values(), *_dict(recipe.get("outputs")).values()]
    items = [item for role in roles for item in _list(_dict(role).get("items"))]
    return [ref for item in items if isinstance(ref := _dict(item).get("ref"), str)]


def _dicts(value: object) -> Iterator[dict[str, Any]]:
    """All objects in a JSON value, however deep."""
    rest = [value]
    while rest:
        current = rest.pop()
        if isinstance(current, list):
            rest.extend(current)
        elif isinstance(current, dict):
            yield current
            rest.extend(current.values())


def _dict(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []
