"""The note of a project on an Automation node that no deployer deploys to, and the settings of that project.

The note is one of the project's local variables, which an activation leaves as they are. It holds what was made live
there, and who is at work there (:mod:`mlops_steps.dss.claims`).
"""

from __future__ import annotations

import copy
import logging
import time
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Any

from mlops_steps.dss.deployers import Deployer
from mlops_steps.dss.session import Dss, expect
from mlops_steps.dss.url_parts import node_id
from mlops_steps.errors import NonsenseAnswer, Refusal, Unreachable
from mlops_steps.system.pace import pace
from mlops_steps.system.waiting import Deadline

log = logging.getLogger(__name__)

#: The local variable that holds the note.
NOTE = "mlops_steps"
_MADE_LIVE, _CLAIMS, _TAKEN_BACK = "made_live", "claims", "taken_back"
# So many activations are remembered.
_MOST = 20
# How often what may be done twice is tried.
_TRIES = 3


@dataclass(frozen=True)
class Activation:
    """A bundle that was activated, or was to be: only ``done`` says which. ``began``: milliseconds since 1970.

    ``before``: what was active then, and ``state`` what the project had then besides (`project_state.py`); ``None``
    where that was not changed.
    """

    began: int
    bundle: str
    done: bool = True
    before: str | None = None
    state: dict[str, list[Any]] | None = None


@dataclass(frozen=True)
class Note:
    """``activations``: the newest first. ``taken_back``: what a first release created was taken out of service."""

    activations: tuple[Activation, ...] = ()
    taken_back: bool = False


def read(node: Dss, key: str) -> tuple[Note, dict[str, Any]]:
    """The note, and the other local variables of the project. Raises :class:`NodeError`."""
    local = _variables(node, key)["local"]
    note = _note(local)
    own = {name: value for name, value in local.items() if name != NOTE}
    return Note(_activations(note), bool(note.get(_TAKEN_BACK))), own


def write_activation(
    node: Dss,
    key: str,
    activation: Activation,
    deadline: Deadline,
    *,
    taken_back: bool | None = None,
    initial: Mapping[str, Any] | None = None,
    variables: Mapping[str, Any] | None = None,
    without: Collection[str] = (),
) -> None:
    """Writes into the note that the bundle is about to be activated, or was.

    ``taken_back``: whether what is active is out of service; ``None`` leaves that as it is. ``initial`` are local
    variables that the project begins with. ``variables`` are set, and those named in ``without`` are removed, with the
    same request. Raises :class:`NodeError`.
    """

    def edit(local: dict[str, Any]) -> None:
        for name, value in (initial or {}).items():
            local.setdefault(name, value)
        local.update(variables or {})
        for name in without:
            local.pop(name, None)
        note = _note(local)
        others = [one for one in note.get(_MADE_LIVE) or [] if not _is_of(one, activation.began)]
        entry = asdict(activation)
        note[_MADE_LIVE] = [entry, *others][:_MOST]
        if taken_back is not None:
            note.pop(_TAKEN_BACK, None)
        if taken_back:
            note[_TAKEN_BACK] = True
        local[NOTE] = note

    _change_variables(node, key, f"note the activation of bundle {activation.bundle}", edit, deadline)


def write_taken_back(node: Dss, key: str, deadline: Deadline) -> None:
    """Writes into the note that what was created is out of service. Raises :class:`NodeError`."""

    def edit(local: dict[str, Any]) -> None:
        local[NOTE] = {**_note(local), _TAKEN_BACK: True}

    _change_variables(node, key, "note that the project is out of service", edit, deadline)


def set_variables(
    node: Dss, key: str, variables: Mapping[str, Any], without: Collection[str], deadline: Deadline
) -> None:
    """Sets local variables of the project, and removes others. Raises :class:`NodeError`."""

    def edit(local: dict[str, Any]) -> None:
        local.update(variables)
        for name in without:
            local.pop(name, None)

    _change_variables(node, key, "set local variables of the project", edit, deadline)


def change_settings(node: Dss, key: str, change: Callable[[dict[str, Any]], None], deadline: Deadline) -> bool:
    """Changes the settings of the project on the node; whether there was something to change.

    Raises :class:`NodeError`.
    """

    def once() -> bool:
        with node.asking(f"read the settings of project {key}"):
            settings = node.client.get_project(key).get_settings()
            raw = expect(settings.get_raw(), dict, "the settings")
            before = copy.deepcopy(raw)
            change(raw)
        if raw == before:
            return False
        with node.asking(f"save the settings of project {key}"):
            settings.save()
        return True

    return _again_if_lost(once, deadline)


def settings_of(node: Dss, key: str) -> Mapping[str, Any]:
    """The settings of the project on the node. Raises :class:`NodeError`."""
    with node.asking(f"read the settings of project {key}"):
        return expect(node.client.get_project(key).get_settings().get_raw(), dict, "the settings")


def _change_variables(
    node: Dss, key: str, what: str, edit: Callable[[dict[str, Any]], None], deadline: Deadline
) -> None:
    def once() -> bool:
        variables = _variables(node, key)
        before = copy.deepcopy(variables)
        edit(variables["local"])
        if variables == before:
            return False
        with node.asking(what):
            node.client.get_project(key).set_variables(variables)
        return True

    _again_if_lost(once, deadline)


def _again_if_lost(once: Callable[[], bool], deadline: Deadline) -> bool:
    """Does what may be done twice, once more when its answer was lost."""
    for attempt in range(1, _TRIES + 1):
        try:
            return once()
        except (Unreachable, NonsenseAnswer, Refusal) as error:
            if isinstance(error, Refusal) and error.status < 500:
                raise
            if attempt == _TRIES or deadline.passed:
                raise
            log.warning("%s; doing it again", error)
            time.sleep(min(pace().first, deadline.remaining))
    raise AssertionError("unreachable")


def _variables(node: Dss, key: str) -> dict[str, dict[str, Any]]:
    with node.asking(f"read the variables of project {key}"):
        variables = expect(node.client.get_project(key).get_variables(), dict, "the variables")
        for kind in ("standard", "local"):
            variables[kind] = expect(variables.get(kind) or {}, dict, f"the {kind} variables")
        return variables


def _note(local: Mapping[str, Any]) -> dict[str, Any]:
    note = local.get(NOTE)
    return dict(note) if isinstance(note, dict) else {}


def _is_of(entry: object, began: int) -> bool:
    return isinstance(entry, dict) and entry.get("began") == began


def _activations(note: Mapping[str, Any]) -> tuple[Activation, ...]:
    """Those of the note, the newest first; what was changed by hand there, and makes no sense, is left out."""
    found = []
    entries = note.get(_MADE_LIVE)
    for one in entries if isinstance(entries, list) else []:
        with suppress(KeyError, TypeError, ValueError):
            before = one.get("before")
            found.append(
                Activation(
                    int(one["began"]),
                    node_id(one["bundle"], "bundle"),
                    bool(one.get("done")),
                    node_id(before, "bundle") if before else None,
                    _state(one.get("state")),
                )
            )
    return tuple(sorted(found, key=lambda one: one.began, reverse=True))


def _state(value: object) -> dict[str, list[Any]] | None:
    if not isinstance(value, dict) or not all(isinstance(one, list) for one in value.values()):
        return None
    return value


# ---- who is at work there, as claims are kept


class _AutomationNode:
    """How claims are kept on an Automation node: as :class:`mlops_steps.dss.deployers.Deployer` of a project."""

    name = "Automation node"

    def deployment(self, client: Any, deployment_id: str) -> Any:
        raise NotImplementedError(f"{client}: no deployments: {deployment_id}")

    def published(self, client: Any, key: str) -> Any:
        return _Noted(client.get_project(key))


class _Noted:
    """A project whose note has the claims, in the form in which a deployer has them: tags in settings."""

    def __init__(self, project: Any) -> None:
        self._project = project
        self._variables: dict[str, Any] = {}
        self._raw: dict[str, Any] = {}

    def get_settings(self) -> _Noted:
        """Reads the note."""
        self._variables = expect(self._project.get_variables(), dict, "the variables")
        local = expect(self._variables.setdefault("local", {}), dict, "the local variables")
        self._raw = {"tags": list(expect(_note(local).get(_CLAIMS) or [], list, "the claims"))}
        return self

    def get_raw(self) -> dict[str, Any]:
        """``tags``: the claims."""
        return self._raw

    def save(self) -> None:
        """Writes the note. Without anything in it, none is left."""
        local = self._variables["local"]
        note = {name: value for name, value in _note(local).items() if name != _CLAIMS}
        if self._raw["tags"]:
            note[_CLAIMS] = self._raw["tags"]
        local.pop(NOTE, None)
        if note:
            local[NOTE] = note
        self._project.set_variables(self._variables)


ON_NODE: Deployer = _AutomationNode()
