"""The fault plan: a YAML or JSON file that says which node does what wrong."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from mlops_steps.config import file
from mlops_steps.errors import ConfigError
from mlops_steps.sandbox.faults.model import BadFault, Fault, problems
from mlops_steps.system.text import nearest


@dataclass(frozen=True)
class Planned:
    """A fault and the node that it is for, by its id (``auto-prod``) or its name (``prod``)."""

    node: str
    fault: Fault


def load(path: Path, nodes: Iterable[str]) -> list[Planned]:
    """Reads a plan. ``nodes`` are the ids and names that may be used.

    Raises :class:`ConfigError` with all that is wrong with it, each with its line.
    """
    document = file.read(path)
    found = [(problem.line, problem.text) for problem in document.problems]
    known, planned = sorted(set(nodes)), []
    unknown = [key for key in document.data if key != "faults"]
    found += [(document.lines[key,], f"{key}: unknown key{nearest(key, ['faults'])}") for key in unknown]
    entries = document.data.get("faults")
    if not isinstance(entries, list) or not entries:
        raise ConfigError(f"{document.name}: 'faults' must be a list with at least one fault")
    for number, entry in enumerate(entries):
        place = ("faults", str(number))
        try:
            planned.append(parse(entry, known))
        except BadFault as error:
            for inner, text in error.problems:
                key = (*place, *inner)
                line = next(document.lines[key[:n]] for n in range(len(key), 0, -1) if key[:n] in document.lines)
                found.append((line, ".".join(key) + f": {text}"))
    if found:
        lines = [f"{document.name}:{line}: {text}" for line, text in sorted(found)]
        raise ConfigError(lines[0], details=lines[1:])
    return planned


def parse(entry: object, nodes: Iterable[str]) -> Planned:
    """A fault with its node, from plain data. Raises :class:`BadFault`."""
    if not isinstance(entry, dict):
        raise BadFault([((), "must be a mapping of keys to values")])
    known = sorted(set(nodes))
    found: list[tuple[tuple[str, ...], str]] = []
    node = entry.get("node")
    if node not in known:
        near = nearest(str(node), known) if node else ""
        found.append((("node",), f"must be one of {', '.join(known)}{near}"))
    try:
        fault = Fault.model_validate({key: value for key, value in entry.items() if key != "node"})
    except ValidationError as error:
        raise BadFault(found + list(problems(error))) from None
    if found:
        raise BadFault(found)
    return Planned(str(node), fault)
