"""Turns what pydantic says about a configuration into lines for the person who wrote it.

Values are not repeated, except words from a fixed list: anything may be a secret that stands in the wrong place.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import UnionType
from typing import TYPE_CHECKING, Any, get_args, get_origin

from pydantic import BaseModel

from mlops_steps.config.fields import NODE_NAME
from mlops_steps.config.file import Key, Problem, shown
from mlops_steps.config.nodes import name_at, variable_prefix
from mlops_steps.config.settings import Settings
from mlops_steps.system.text import nearest

if TYPE_CHECKING:
    from pydantic import ValidationError
    from pydantic_core import ErrorDetails

#: The place of values that come from flags.
COMMAND_LINE = "command line"

_SECRET_WORD = re.compile(r"^(api)?_?-?keys?$|api_?-?key|token|passw|secret|credential", re.IGNORECASE)
_PLACES_OF_GATES: tuple[Key, ...] = (("gates",), ("monitor", "gates"))
_KINDS = {
    "string_type": "must be text",
    "string_unicode": "must be text",
    "list_type": "must be a list",
    "dict_type": "must be a mapping of keys to values",
    "model_type": "must be a mapping of keys to values",
    "model_attributes_type": "must be a mapping of keys to values",
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_parsing_size": "must be a whole number",
    "int_from_float": "must be a whole number",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "path_type": "must be a path",
    "string_too_short": "must not be empty",
    "missing": "is missing",
}


def explain(error: ValidationError, lines: Mapping[Key, int], places: Mapping[Key, str]) -> list[Problem]:
    """One problem per error. ``places`` holds the names of variables and flags that values come from."""
    problems = []
    for item in error.errors(include_url=False, include_input=True):
        key = tuple(str(word) for word in item["loc"])
        kind, key = _without_gate_kind(key)
        # A union adds words of its own to the place of the error.
        known = next((key[:n] for n in range(len(key), 0, -1) if key[:n] in places), ())
        if item["type"] != "missing" and known:
            key = known
        text = _text(item, key, kind)
        place = places.get(key, "")
        line = next((lines[key[:n]] for n in range(len(key), 0, -1) if key[:n] in lines), 0)
        problems.append(Problem(line, text) if _in_file(place) else Problem(0, text, place))
    return problems


def _in_file(place: str) -> bool:
    return place != COMMAND_LINE and not place.startswith("MLOPS_")


def _without_gate_kind(key: Key) -> tuple[str, Key]:
    """The kind of the gate that a key belongs to, which is no key of the file, and the key without it."""
    for place in _PLACES_OF_GATES:
        at = len(place) + 1
        if key[: len(place)] == place and len(key) > at and key[at] in _kinds_of_gates():
            return key[at], (*key[:at], *key[at + 1 :])
    return "", key


def _kinds_of_gates() -> dict[str, type[Any]]:
    # Imported late: the models of gates cost as much to start as all others together.
    from mlops_steps.config.gates import KINDS

    return dict(KINDS)


def misplaced_key(key: Key, gate: str = "") -> str:
    """The text for a key that does not belong where it stands; ``gate`` is the kind of the gate that holds it."""
    path = ".".join(shown(word) for word in key)
    name = key[-1]
    if _SECRET_WORD.search(name) and "file" not in name.lower():
        return (
            f"{path}: no secrets in this file: an API key comes from MLOPS_<NODE>_API_KEY, "
            "or from the file that MLOPS_<NODE>_API_KEY_FILE names"
        )
    of_gate = gate and len(key) == (4 if key[0] == "monitor" else 3)
    model = _kinds_of_gates()[gate] if of_gate else _model_at(key[:-1])
    near = nearest(name, _names(model)) if model else ""
    if not near:
        elsewhere = [place for place in all_keys() if place.rpartition(".")[2] == name]
        near = f"; did you mean {elsewhere[0]}?" if elsewhere else ""
    return f"{path}: unknown key{near}"


def _text(item: ErrorDetails, key: Key, gate: str = "") -> str:
    kind = item["type"]
    path = ".".join(shown(word) for word in key) or "the configuration"
    if kind == "extra_forbidden":
        return misplaced_key(key, gate)
    if kind == "union_tag_not_found":
        return f"{path}.gate: is missing; it says which kind of gate this is: {', '.join(_kinds_of_gates())}"
    if kind == "union_tag_invalid":
        kinds = _kinds_of_gates()
        return f"{path}.gate: must be one of {', '.join(kinds)}{nearest(str(item['ctx']['tag']), kinds)}"
    if kind == "missing" and key[-1:] == ("url",):
        name = name_at(key[:-1])
        hint = f" (or set {variable_prefix(name)}_URL)" if re.fullmatch(NODE_NAME, name) else ""
        return f"{path}: is missing{hint}"
    if kind == "missing" and key == ("project",):
        return f"{path}: is missing (or set MLOPS_PROJECT)"
    if kind == "literal_error":
        words = re.findall(r"'([^']*)'", str(item["ctx"]["expected"]))
        return f"{path}: must be one of {', '.join(words)}{nearest(str(item['input']), words)}"
    if kind == "value_error":
        return f"{path}: {item['ctx']['error']}"
    return f"{path}: {_KINDS.get(kind) or item['msg'].replace('Input should be', 'must be')}"


def _names(model: type[BaseModel]) -> list[str]:
    return [
        field.alias or name
        for name, field in model.model_fields.items()
        if not any(type(extra).__name__ == "SkipJsonSchema" for extra in field.metadata)
    ]


def _inner_model(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    if get_origin(annotation) in (dict, list):
        return _inner_model(get_args(annotation)[-1])
    if get_origin(annotation) is UnionType:
        return next((model for one in get_args(annotation) if (model := _inner_model(one))), None)
    return None


def _model_at(key: Key) -> type[BaseModel] | None:
    model: type[BaseModel] | None = Settings
    skip = False
    for word in key:
        if skip:
            # The name of a node, or the place in a list.
            skip = False
            continue
        field = next(
            (f for name, f in (model.model_fields if model else {}).items() if word in (name, f.alias)),
            None,
        )
        if field is None:
            return None
        model = _inner_model(field.annotation)
        skip = get_origin(field.annotation) in (dict, list)
    return model


def all_keys() -> list[str]:
    """Every key of the file, as a dotted path."""
    found: list[str] = []

    def walk(model: type[BaseModel], prefix: str) -> None:
        for name, field in model.model_fields.items():
            if name not in _names(model) and (field.alias or name) not in _names(model):
                continue
            path = f"{prefix}{field.alias or name}"
            found.append(path)
            inner = _inner_model(field.annotation)
            if inner:
                origin = get_origin(field.annotation)
                extra = ".<name>" if origin is dict else "[]" if origin is list else ""
                walk(inner, f"{path}{extra}.")

    walk(Settings, "")
    return found
