"""A file of shapes: YAML that a person reads before it is given to anybody."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any

import yaml

from mlops_steps.errors import ConfigError
from mlops_steps.shapes.shape import SCALARS, Shape
from mlops_steps.shapes.words import STATE
from mlops_steps.system.files import write_atomically

FORMAT = 1
#: The kinds of nodes that answer.
NODES = ("design", "automation", "api")

_HEAD = """\
# Shapes of the answers of DSS, written by `mlops-steps accept --record`: for each request the names and types of the
# fields, the words of states, the forms of dates. No values, no names of yours. `?`: not in every answer. `*`: fields
# whose names are not known to be DSS's own.
"""
_ONE_OF = "one of"
_LARGEST = 8 * 1024 * 1024
_FIELD = re.compile(r"[a-z][A-Za-z0-9]{0,60}\??|\*\??")
_REQUEST = re.compile(r"[A-Z]{3,7} /[a-z0-9*/_-]*")


@dataclass
class Shapes:
    """The shapes of answers, by kind of node and request. ``versions``: those of DSS that gave them."""

    versions: tuple[str, ...] = ()
    answers: dict[str, dict[str, Shape]] = field(default_factory=dict)

    def of(self, node: str, request: str) -> Shape | None:
        """The shape of the answers to a request; ``None`` for one that is not known."""
        return self.answers.get(node, {}).get(request)

    def add(self, node: str, request: str, shape: Shape) -> None:
        """Merges the shape of one more answer."""
        known = self.answers.setdefault(node, {})
        known[request] = known[request].merged(shape) if request in known else shape

    def field_names(self) -> frozenset[str]:
        """All names of fields."""
        return frozenset(name for found in self.answers.values() for shape in found.values() for name in _names(shape))


def _names(shape: Shape) -> Iterator[str]:
    for name, inner in (shape.fields or {}).items():
        yield name
        yield from _names(inner)
    if shape.items:
        yield from _names(shape.items)


def sandbox_shapes() -> Shapes:
    """Those of the sandbox, which are kept in the package."""
    text = (resources.files("mlops_steps.shapes") / "sandbox.yml").read_text(encoding="utf-8")
    return _parsed(text, "sandbox.yml")


def read(path: Path) -> Shapes:
    """Reads a file. Raises :class:`ConfigError` that says where it is wrong."""
    try:
        if path.stat().st_size > _LARGEST:
            raise ConfigError(f"{path}: larger than {_LARGEST} bytes, so no file of shapes")
        text = path.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path}: cannot be read: {getattr(error, 'strerror', None) or error}") from None
    return _parsed(text, str(path))


def write(path: Path, shapes: Shapes) -> None:
    """Writes a file. Raises :class:`ConfigError`."""
    document = {
        "format": FORMAT,
        "dss": sorted(shapes.versions),
        **{node: {request: _plain(shape) for request, shape in sorted(found.items())}
           for node, found in sorted(shapes.answers.items())},
    }  # fmt: skip
    text = _HEAD + yaml.safe_dump(document, sort_keys=False, width=110, allow_unicode=True)
    try:
        write_atomically(path, text.encode())
    except OSError as error:
        raise ConfigError(f"{path} could not be written: {error.strerror or error}") from error


def _plain(shape: Shape) -> Any:
    parts: list[Any] = []
    if shape.scalars or shape.states:
        words = [word for word in SCALARS if word in shape.scalars]
        parts.append(" | ".join(words + ([f"state {' '.join(sorted(shape.states))}"] if shape.states else [])))
    if shape.fields is not None:
        parts.append({f"{name}{'?' if name in shape.optional else ''}": _plain(shape.fields[name])
                      for name in sorted(shape.fields)})  # fmt: skip
    if shape.items is not None:
        parts.append([] if shape.items.is_nothing else [_plain(shape.items)])
    return parts[0] if len(parts) == 1 else {_ONE_OF: parts}


def _parsed(text: str, name: str) -> Shapes:
    try:
        document = yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506 - a safe one
    except (yaml.YAMLError, RecursionError) as error:
        raise ConfigError(f"{name}: not YAML: {str(error).splitlines()[0]}") from None
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise ConfigError(f"{name}: not a file of shapes: 'format: {FORMAT}' is missing")
    versions = document.get("dss") or []
    shapes = Shapes(tuple(str(version) for version in versions) if isinstance(versions, list) else ())
    for node, found in document.items():
        if node in ("format", "dss"):
            continue
        if node not in NODES or not isinstance(found, dict):
            raise ConfigError(f"{name}: {str(node)[:80]}: must be one of {', '.join(NODES)}, with requests in it")
        for request, plain in found.items():
            if not _REQUEST.fullmatch(str(request)):
                raise ConfigError(f"{name}: {node}: {str(request)[:80]!r} is no request, such as GET /projects/*")
            try:
                shapes.add(str(node), str(request), _shape(plain))
            except (ValueError, RecursionError) as error:
                raise ConfigError(f"{name}: {node}: {request}: {error}") from None
    return shapes


def _shape(plain: Any) -> Shape:
    """Raises ``ValueError`` for what is no shape."""
    if isinstance(plain, str):
        return _scalars(plain)
    if isinstance(plain, list):
        if len(plain) > 1:
            raise ValueError("a list has the one shape of its items")
        return Shape(items=_shape(plain[0]) if plain else Shape())
    if not isinstance(plain, Mapping):
        raise ValueError(f"{str(plain)[:80]!r} is no shape")
    if set(plain) == {_ONE_OF}:
        found = Shape()
        for part in plain[_ONE_OF] if isinstance(plain[_ONE_OF], list) else []:
            found = found.merged(_shape(part))
        return found
    fields, optional = {}, set()
    for key, inner in plain.items():
        if not isinstance(key, str) or not _FIELD.fullmatch(key):
            raise ValueError(f"{str(key)[:80]!r} is no name of a field")
        fields[key.rstrip("?")] = _shape(inner)
        optional |= {key[:-1]} if key.endswith("?") else set()
    return Shape(fields=fields, optional=frozenset(optional))


def _scalars(text: str) -> Shape:
    scalars, states = set(), set()
    for word in (part.strip() for part in text.split("|")):
        if word.startswith("state "):
            states |= set(word.split()[1:])
        elif word in SCALARS:
            scalars.add(word)
        else:
            raise ValueError(f"{word[:80]!r} is none of {', '.join(SCALARS)}, state …")
    if bad := [state for state in states if not STATE.fullmatch(state)]:
        raise ValueError(f"{bad[0][:80]!r} is no state")
    return Shape(frozenset(scalars), frozenset(states))
