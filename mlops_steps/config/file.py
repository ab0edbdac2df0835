"""Reads a YAML file into plain data, and remembers the line of each key.

All scalars are kept as the text that the file holds, and the settings turn it into numbers and the like. So ``off`` is
a word and not ``False``, ``0123`` keeps its zero, and ``1:30`` is not ninety.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from mlops_steps.errors import ConfigError

Key = tuple[str, ...]

_LARGEST = 256 * 1024
_MOST_VALUES = 20_000
_DEEPEST = 20
# Brackets and indentations; each key may have two, a list within a list and the mapping in it.
_DEEPEST_BRACKETS = 3 * _DEEPEST
_PLAIN_TAGS = {f"tag:yaml.org,2002:{kind}" for kind in ("str", "int", "float", "bool", "null", "timestamp", "value")}
# How the API keys of DSS begin.
_KEY_PREFIX = "dkuaps-"
_NULL = "tag:yaml.org,2002:null"
# Below this key of a node the values are the user's own: what they are in YAML, they stay.
_FREE = "variables"
_TYPED = tuple(f"tag:yaml.org,2002:{kind}" for kind in ("int", "float", "bool"))
_MERGE = "tag:yaml.org,2002:merge"


@dataclass
class Problem:
    """Something wrong with the configuration.

    ``line`` is 0 when it belongs to no line of the file; ``source`` names the variable or the command line instead.
    """

    line: int
    text: str
    source: str = ""


@dataclass
class Document:
    """What a file holds: plain data, the line of each key and list item, and what is wrong with it."""

    name: str
    data: dict[str, object] = field(default_factory=dict)
    lines: dict[Key, int] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    _count: int = 0


def shown(text: object, longest: int = 60) -> str:
    """The text as one printable line, shortened."""
    line = "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in str(text))
    return line if len(line) <= longest else f"{line[: longest - 1]}…"


def read(path: Path) -> Document:
    """Reads the file. Raises :class:`ConfigError` when it cannot be read as a YAML mapping at all."""
    name = shown(path, 300)
    return read_text(_text(path, name), name)


def read_text(text: str, name: str) -> Document:
    """Reads the text of a file; ``name`` is that of the file. Raises as :func:`read` does."""
    node = _compose(text, name)
    document = Document(name)
    if node is None:
        return document
    if not isinstance(node, yaml.MappingNode):
        raise ConfigError(f"{name}:{_line(node)}: must be a mapping of keys to values")
    document.data = dict(_mapping(document, node, ()))
    return document


class _TooMuch(Exception):
    """More than a configuration holds. ``line`` is where."""

    def __init__(self, text: str, line: int) -> None:
        super().__init__(text)
        self.line = line


class _Loader(yaml.SafeLoader):
    """Refuses what is nested deeply, or holds very much, while it reads: PyYAML's time grows with the square."""

    _nodes = 0

    def fetch_flow_collection_start(self, TokenClass: type) -> None:  # noqa: N803, the name in PyYAML
        self._check_depth(self.flow_level + 1)
        super().fetch_flow_collection_start(TokenClass)

    def add_indent(self, column: int) -> bool:
        self._check_depth(len(self.indents) + 1)
        return bool(super().add_indent(column))

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        self._nodes += 1
        if self._nodes > 2 * _MOST_VALUES:
            raise _TooMuch("too many values: this is not a configuration", self._line)
        return super().compose_node(parent, index)

    def _check_depth(self, depth: int) -> None:
        if depth > _DEEPEST_BRACKETS:
            raise _TooMuch("nested too deeply", self._line)

    @property
    def _line(self) -> int:
        return int(self.line) + 1


def _compose(text: str, name: str) -> yaml.Node | None:
    try:
        return yaml.compose(text, Loader=_Loader)
    except _TooMuch as error:
        raise ConfigError(f"{name}:{error.line}: {error}") from None
    except yaml.MarkedYAMLError as error:
        # The snippet that PyYAML would show may hold a secret.
        mark = error.problem_mark or error.context_mark
        place = f"{name}:{mark.line + 1}" if mark else name
        raise ConfigError(f"{place}: not YAML: {shown(error.problem or 'syntax error', 200)}") from None
    except RecursionError:
        raise ConfigError(f"{name}: nested too deeply") from None
    except (yaml.YAMLError, ValueError, OverflowError):
        raise ConfigError(f"{name}: not YAML: it holds characters that are not allowed") from None


def _text(path: Path, name: str) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(_LARGEST + 1)
    except FileNotFoundError:
        raise ConfigError(f"{name}: no such file") from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else None
        raise ConfigError(f"{name}: cannot be read: {reason or 'not a path'}") from None
    if len(content) > _LARGEST:
        raise ConfigError(f"{name}: larger than {_LARGEST // 1024} KiB: too large for a configuration")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise ConfigError(f"{name}:{line}: not UTF-8 text") from None


def _line(node: yaml.Node) -> int:
    return int(node.start_mark.line) + 1


def _mapping(document: Document, node: yaml.MappingNode, key: Key) -> Iterator[tuple[str, object]]:
    seen: dict[str, int] = {}
    for key_node, value_node in node.value:
        line = _line(key_node)
        if key_node.tag == _MERGE:
            document.problems.append(
                Problem(
                    line,
                    f"{_path(key, '<<')}: merge keys are not supported; write the keys out",
                )
            )
            continue
        if not isinstance(key_node, yaml.ScalarNode) or key_node.tag not in _PLAIN_TAGS or key_node.tag == _NULL:
            document.problems.append(Problem(line, f"{_path(key, '?')}: a key must be a word"))
            continue
        word = str(key_node.value)
        if word in seen:
            text = f"{_path(key, word)}: the key is given twice; it stands in line {seen[word]} too"
            document.problems.append(Problem(line, text))
            continue
        seen[word] = line
        inner = (*key, word)
        document.lines[inner] = line
        yield word, _value(document, value_node, inner)


def _value(document: Document, node: yaml.Node, key: Key) -> object:
    document._count += 1
    # An alias stands for the whole value that it names, so that a short file may be a very large one.
    if len(key) > _DEEPEST or document._count > _MOST_VALUES:
        raise ConfigError(f"{document.name}:{_line(node)}: nested too deeply, or too many values behind aliases")
    if isinstance(node, yaml.MappingNode) and node.tag == "tag:yaml.org,2002:map":
        return dict(_mapping(document, node, key))
    if isinstance(node, yaml.SequenceNode) and node.tag == "tag:yaml.org,2002:seq":
        items = []
        for index, item in enumerate(node.value):
            inner = (*key, str(index))
            document.lines[inner] = _line(item)
            items.append(_value(document, item, inner))
        return items
    if isinstance(node, yaml.ScalarNode) and node.tag in _PLAIN_TAGS:
        if str(node.value).startswith(_KEY_PREFIX):
            text = "this is an API key: remove it here, revoke it, and put a new one where only the build sees it"
            document.problems.append(Problem(_line(node), f"{_path(key)}: {text}"))
            return None
        if key[:1] == ("nodes",) and _FREE in key[2:-1]:
            return _typed(node)
        return None if node.tag == _NULL else str(node.value)
    document.problems.append(Problem(_line(node), f"{_path(key)}: the tag {shown(node.tag)} is not supported"))
    return None


def _typed(node: yaml.ScalarNode) -> object:
    """A number, true, false or null as JSON writes them; anything else as its text."""
    if node.tag in (_NULL, *_TYPED):
        with suppress(ValueError):
            return json.loads(node.value)
    return None if node.tag == _NULL else str(node.value)


def _path(key: Key, *more: str) -> str:
    return ".".join(shown(word) for word in (*key, *more))
