"""What a project has on its node besides its bundle: remapping, local variables, active scenarios, triggers.

A state is a mapping from names for people (``connection warehouse``, ``variable budget``, ``scenario RETRAIN``,
``triggers``) to a list of one value, or to an empty list for what is not there. It may be of a part only.
"""

from __future__ import annotations

import copy
from collections.abc import Collection, Mapping
from typing import Any

from mlops_steps.dss.session import Dss, expect
from mlops_steps.dss.url_parts import node_id
from mlops_steps.errors import Refusal

State = Mapping[str, list[Any]]

CONNECTION, CODE_ENV, VARIABLE, SCENARIO = "connection ", "code environment ", "variable ", "scenario "
TRIGGERS = "triggers"
_REMAPPED = {CONNECTION: "connections", CODE_ENV: "codeEnvs"}


def part(state: State, kind: str) -> dict[str, list[Any]]:
    """The part of one kind, by names without it."""
    return {name.removeprefix(kind): value for name, value in state.items() if name.startswith(kind)}


def of_settings(raw: Mapping[str, Any]) -> dict[str, list[Any]]:
    """The remapping and the triggers that the settings name, of a deployment or of a project on its node."""
    found: dict[str, list[Any]] = {TRIGGERS: [not raw.get("disableAutomaticTriggers", False)]}
    for kind, key in _REMAPPED.items():
        found |= {f"{kind}{source}": [target] for source, target in _pairs(_remapping(raw).get(key)).items()}
    return found


def of_deployment(raw: Mapping[str, Any], of: Collection[str] | None = None) -> dict[str, list[Any]]:
    """The same of a deployment, with its local variables and scenarios; of ``of`` only, if that is given."""
    found = of_settings(raw)
    found |= {f"{VARIABLE}{name}": [value] for name, value in _dict(raw.get("localVariables")).items()}
    found |= {f"{SCENARIO}{name}": [bool(value)] for name, value in _dict(raw.get("scenariosToActivate")).items()}
    return found if of is None else {name: found.get(name, []) for name in of}


def put_into(raw: dict[str, Any], state: State) -> None:
    """Changes the settings of a deployment, or the remapping and the triggers of a project, to the state."""
    now = of_settings(raw)
    if state.get(TRIGGERS) and state[TRIGGERS] != now[TRIGGERS]:
        raw["disableAutomaticTriggers"] = not state[TRIGGERS][0]
    for kind, key in _REMAPPED.items():
        changed = part(state, kind)
        if any(now.get(f"{kind}{name}", []) != value for name, value in changed.items()):
            container = raw["bundleContainerSettings"] = dict(_dict(raw.get("bundleContainerSettings")))
            remapping = container["remapping"] = dict(_dict(container.get("remapping")))
            listed = remapping.get(key)
            kept = [one for one in listed or [] if isinstance(one, dict) and str(one.get("source")) not in changed]
            added = [{"source": source, "target": value[0]} for source, value in changed.items() if value]
            remapping[key] = [*kept, *added]
    for kind, key in ((VARIABLE, "localVariables"), (SCENARIO, "scenariosToActivate")):
        changed = part(state, kind)
        if changed:
            kept_values = {name: value for name, value in _dict(raw.get(key)).items() if name not in changed}
            raw[key] = {**kept_values, **{name: value[0] for name, value in changed.items() if value}}


def changed_settings(raw: Mapping[str, Any], state: State) -> dict[str, Any]:
    """A copy of the settings, changed to the state."""
    changed = copy.deepcopy(dict(raw))
    put_into(changed, state)
    return changed


def differences(now: State, wanted: State) -> dict[str, tuple[list[Any], list[Any]]]:
    """What is otherwise than wanted: what it is, and what it should be."""
    return {name: (now.get(name, []), value) for name, value in wanted.items() if now.get(name, []) != value}


def in_words(found: Mapping[str, tuple[list[Any], list[Any]]]) -> list[str]:
    """The differences, one a line; of local variables without their values."""
    return [
        f"{name}: {'is set' if value else 'is removed'}"
        if name.startswith(VARIABLE)
        else f"{name}: {_word(now)} → {_word(value)}"
        for name, (now, value) in sorted(found.items())
    ]


def _word(value: list[Any]) -> str:
    if not value:
        return "-"
    return {True: "on", False: "off"}.get(value[0], str(value[0])) if isinstance(value[0], bool) else str(value[0])


def scenarios(node: Dss, key: str) -> dict[str, bool]:
    """Which scenarios of the project are active; none where the key may not see that. Raises :class:`NodeError`."""
    try:
        with node.asking(f"list the scenarios of project {key}"):
            listed = expect(node.client.get_project(key).list_scenarios(), list, "the list")
            return {
                node_id(expect(one, dict, "a scenario")["id"], "the id of a scenario"): bool(one.get("active"))
                for one in listed
            }
    except Refusal as refusal:
        if refusal.status in (403, 404):
            return {}
        raise


def set_active(node: Dss, key: str, wanted: Mapping[str, bool]) -> list[str]:
    """Switches scenarios on or off, where they are otherwise; returns their ids. Raises :class:`NodeError`."""
    if not wanted:
        return []
    now = scenarios(node, key)
    changed = [name for name, active in wanted.items() if name in now and now[name] is not active]
    for name in changed:
        with node.asking(f"switch scenario {name} {'on' if wanted[name] else 'off'}"):
            settings = node.client.get_project(key).get_scenario(name).get_settings()
            settings.active = wanted[name]
            settings.save()
    return changed


def _remapping(raw: Mapping[str, Any]) -> Mapping[str, Any]:
    return _dict(_dict(raw.get("bundleContainerSettings")).get("remapping"))


def _pairs(items: object) -> dict[str, str]:
    return {
        str(one["source"]): str(one["target"])
        for one in (items if isinstance(items, list) else [])
        if isinstance(one, dict) and one.get("source") and one.get("target")
    }


def _dict(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}
