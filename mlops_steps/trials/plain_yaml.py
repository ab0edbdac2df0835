"""YAML with the values of JSON, for records of data: ``no`` is a word, ``0123`` keeps its zero, a date is a text.

PyYAML's own rules turn the state ``NO`` into false and ``12:30`` into a number: a record would not be what it says.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

import yaml

_FORBIDDEN = re.compile(r"[^\x09\x0a\x0d\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_DEEPEST = 60


class NotYaml(Exception):
    """The text cannot be read. ``line`` is where."""

    def __init__(self, line: int, text: str) -> None:
        super().__init__(text)
        self.line = line


@dataclass
class Plain:
    """The data, and the lines of its keys and of the items of the lists below them."""

    data: Any
    lines: dict[tuple[str | int, ...], int] = field(default_factory=dict)


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012 - PyYAML's own way


for _tag, _pattern, _first in (
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("int", r"[-+]?(?:0|[1-9][0-9]*)", list("-+0123456789")),
    ("float", r"[-+]?(?:\.[0-9]+|(?:0|[1-9][0-9]*)(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?", list("-+.0123456789")),
    ("merge", r"<<", ["<"]),
):
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(f"(?:{_pattern})\\Z"), _first)
_Loader.add_constructor(
    "tag:yaml.org,2002:float", lambda loader, node: float(loader.construct_scalar(node).replace("_", ""))
)


def load_plain(text: str, most_values: int) -> Plain:
    """Reads one document. Raises :class:`NotYaml`: also for a key that is given twice, and for too many values."""
    if bad := _FORBIDDEN.search(text):
        raise NotYaml(text.count("\n", 0, bad.start()) + 1, "not YAML: it holds characters that are not allowed")
    loader = _Loader(text)
    try:
        node = loader.get_single_node()
        if node is None:
            raise NotYaml(1, "is empty")
        _Counter(most_values).check(node)
        data = loader.construct_document(node)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise NotYaml(mark.line + 1 if mark else 1, f"not YAML: {error.problem or 'syntax error'}") from None
    except RecursionError:
        raise NotYaml(1, "nested too deeply") from None
    except (yaml.YAMLError, ValueError, OverflowError) as error:
        raise NotYaml(1, f"not YAML: {error}") from None
    finally:
        loader.dispose()
    return Plain(data, _lines(node))


class _Counter:
    """Counts values, aliases followed: a short file may be a very large one."""

    def __init__(self, most: int) -> None:
        self._left = most

    def check(self, node: yaml.Node, depth: int = 0) -> None:
        self._left -= 1
        line = node.start_mark.line + 1
        if self._left < 0:
            raise NotYaml(line, "too many values")
        if depth > _DEEPEST:
            raise NotYaml(line, "nested too deeply")
        if isinstance(node, yaml.SequenceNode):
            for item in node.value:
                self.check(item, depth + 1)
        if isinstance(node, yaml.MappingNode):
            seen = set()
            for key, value in node.value:
                if not isinstance(key, yaml.ScalarNode):
                    raise NotYaml(key.start_mark.line + 1, "a key must be a word")
                if key.value in seen:
                    raise NotYaml(key.start_mark.line + 1, f"the key {key.value[:60]!r} is given twice")
                seen.add(key.value)
                if key.tag != "tag:yaml.org,2002:merge":
                    key.tag = "tag:yaml.org,2002:str"
                self.check(value, depth + 1)


def _lines(node: yaml.Node) -> dict[tuple[str | int, ...], int]:
    found: dict[tuple[str | int, ...], int] = {}
    for key, value in node.value if isinstance(node, yaml.MappingNode) else ():
        found[(key.value,)] = key.start_mark.line + 1
        if isinstance(value, yaml.SequenceNode):
            for at, item in enumerate(value.value):
                found[(key.value, at)] = item.start_mark.line + 1
    return found
