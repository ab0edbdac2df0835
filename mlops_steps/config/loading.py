"""Builds :class:`Settings` from the file, the environment and the flags, and says all that is wrong at once."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from mlops_steps.config.api import ApiNodeSettings
from mlops_steps.config.consistency import contradictions, missing_files, warnings
from mlops_steps.config.environment import apply_environment, minimum_sources
from mlops_steps.config.file import Document, Key, Problem, read, shown
from mlops_steps.config.keys import read_keys, read_signing_key
from mlops_steps.config.nodes import ConnectionSettings
from mlops_steps.config.problems import COMMAND_LINE, explain, misplaced_key
from mlops_steps.config.settings import DEFAULT_FILE, Settings
from mlops_steps.errors import ConfigError
from mlops_steps.system.files import current_folder

_Connection = TypeVar("_Connection", bound=ConnectionSettings)

_NO_FILE = "environment"
# Keys of the models that are filled in here and have no place in the file.
_INTERNAL = {("root",), ("warnings",)}
_MAPS_OF_NODES: tuple[Key, ...] = (("nodes",), ("api", "nodes"))


def load(
    path: Path | None = None,
    environ: Mapping[str, str] | None = None,
    overrides: Mapping[str, Any] | None = None,
) -> Settings:
    """Builds the settings.

    ``path`` is the file; without it ``MLOPS_CONFIG`` names it, else it is ``mlops.yml`` in the current folder if there
    is one: the environment alone may suffice. ``overrides`` are the flags of the command line by the dotted path of
    their key (``{"test.timeout": "10m"}``); ``None`` stands for a flag that was not given. Relative paths belong to
    the folder of the file; a :class:`~pathlib.Path` among the overrides, or one in the environment, belongs to the
    current folder.

    Raises :class:`ConfigError` whose first line is the first problem, and whose details are the others.
    """
    variables = os.environ if environ is None else environ
    document, root = _document(path, variables)
    return _build(document, root, variables, overrides or {})


def load_without_file(environ: Mapping[str, str], overrides: Mapping[str, Any]) -> Settings:
    """The same from the environment and the flags alone."""
    return _build(Document(_NO_FILE), current_folder(), environ, overrides)


def _build(document: Document, root: Path, environ: Mapping[str, str], overrides: Mapping[str, Any]) -> Settings:
    data = _without_empty(document.data)
    places = {key: f"{document.name}:{line}" for key, line in document.lines.items()}
    problems = document.problems
    problems += _internal_keys(document)
    apply_environment(data, places, environ)
    _apply_overrides(data, places, overrides)

    settings = None
    gates: list[Any] = []
    try:
        gates = _gates(data.pop("gates", None))
        _monitored_gates(data)
    except ValidationError as error:
        problems += explain(error, document.lines, places)
    try:
        settings = Settings.model_validate({**data, "gates": gates, "root": root})
    except ValidationError as error:
        problems += explain(error, document.lines, places)
    if settings is not None:
        problems += contradictions(settings, document.lines)
    if settings is None or problems:
        raise _config_error(document.name, problems)

    settings = _with_absolute_paths(settings, root)
    problems = missing_files(settings, document.lines)
    if problems:
        raise _config_error(document.name, problems)
    read_keys(settings, environ)
    read_signing_key(settings, environ)
    settings.set_minimum_sources(minimum_sources(environ))
    settings.warnings.extend(warnings(settings, places))
    settings.set_places(places)
    return settings


def _gates(value: object) -> list[Any]:
    """The gates, checked. Raises ``ValidationError``."""
    if value is None:
        return []
    from mlops_steps.config.gates import Gates

    return list(Gates.model_validate({"gates": value}).gates)


def _monitored_gates(data: dict[str, Any]) -> None:
    """Puts the gates of `monitor` in the place of what the file says of them. Raises ``ValidationError``."""
    section = data.get("monitor")
    given = section.pop("gates", None) if isinstance(section, dict) else None
    if isinstance(section, dict) and given is not None:
        from mlops_steps.config.gates import MonitoredGates

        limits = section.pop("act", None)  # of no use, and another error, where the gates cannot be read
        found = MonitoredGates.model_validate({"monitor": {"gates": given}}).monitor.gates
        data["monitor"] = {**section, "gates": list(found), **({} if limits is None else {"act": limits})}


def _document(path: Path | None, environ: Mapping[str, str]) -> tuple[Document, Path]:
    """The file, and the folder that relative paths belong to."""
    if path is None and environ.get("MLOPS_CONFIG"):
        path = Path(environ["MLOPS_CONFIG"])
    if path is None:
        path = Path(DEFAULT_FILE)
        if not path.exists():
            other = path.with_suffix(".yaml")
            if other.exists():
                raise ConfigError(f"{other}: the configuration is called {path}; rename it, or name it with --config")
            root = current_folder()
            return Document(f"no {DEFAULT_FILE} in {shown(root, 200)}"), root
    document = read(path)
    return document, current_folder().joinpath(path).parent


def _without_empty(data: Mapping[str, object]) -> dict[str, Any]:
    """The data without the keys that have no value, which stand for the default. A node may be all empty."""
    result: dict[str, Any] = {}
    for key, value in data.items():
        if key in ("nodes", "stages", "infras") and isinstance(value, dict):
            result[key] = {
                name: _without_empty(node or {}) if isinstance(node, dict | None) else node
                for name, node in value.items()
            }
        elif isinstance(value, dict):
            result[key] = _without_empty(value)
        elif value is not None:
            result[key] = value
    return result


def _internal_keys(document: Document) -> list[Problem]:
    names = {
        key
        for key in document.lines
        if key[-1] in ("name", "place") and (key[:-2] in _MAPS_OF_NODES or key[-3:-2] in (("infras",), ("nodes",)))
    }
    found = [key for key in document.lines if key in _INTERNAL | names]
    return [Problem(document.lines[key], misplaced_key(key)) for key in found]


def _apply_overrides(data: dict[str, Any], places: dict[Key, str], overrides: Mapping[str, Any]) -> None:
    for dotted, value in overrides.items():
        if value is None:
            continue
        key = tuple(dotted.split("."))
        section = data
        for word in key[:-1]:
            inner = section.get(word)
            section[word] = inner = inner if isinstance(inner, dict) else {}
            section = inner
        section[key[-1]] = value.absolute() if isinstance(value, Path) else value
        places[key] = COMMAND_LINE


def _with_absolute_paths(settings: Settings, root: Path) -> Settings:
    def absolute(path: Path | None) -> Path | None:
        return None if path is None else root / path

    def certificates(node: ConnectionSettings | ApiNodeSettings) -> dict[str, Any]:
        return {
            "verify": root / node.verify if isinstance(node.verify, Path) else node.verify,
            "client_certificate": absolute(node.client_certificate),
            "client_key": absolute(node.client_key),
        }

    def with_parts(node: _Connection) -> _Connection:
        parts = {key: {place: with_parts(part) for place, part in found.items()} for key, found in node.parts().items()}
        return node.model_copy(update={**certificates(node), "api_key_file": absolute(node.api_key_file), **parts})

    nodes = {name: with_parts(node) for name, node in settings.nodes.items()}
    test = settings.test.model_copy(update={"pytest": absolute(settings.test.pytest)})
    api = settings.api.model_copy(
        update={
            "nodes": {name: node.model_copy(update=certificates(node)) for name, node in settings.api.nodes.items()},
            "service_key_file": absolute(settings.api.service_key_file),
            "test": settings.api.test.model_copy(
                update={
                    "queries": absolute(settings.api.test.queries),
                    "pytest": absolute(settings.api.test.pytest),
                }
            ),
        }
    )
    return settings.model_copy(
        update={
            "nodes": nodes,
            "test": test,
            "release": settings.release.model_copy(update={"public_key": absolute(settings.release.public_key)}),
            "api": api,
            "reports": root / settings.reports,
            "record": root / settings.record,
        }
    )


def _config_error(name: str, problems: Iterable[Problem]) -> ConfigError:
    def line(problem: Problem) -> str:
        return f"{problem.source or (f'{name}:{problem.line}' if problem.line else name)}: {problem.text}"

    lines = [line(problem) for problem in sorted(problems, key=lambda problem: problem.line)]
    return ConfigError(lines[0], details=list(dict.fromkeys(lines[1:])))
