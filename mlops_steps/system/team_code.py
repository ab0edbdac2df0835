"""Code of the team: functions in files of its repository, or in modules that it has installed."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mlops_steps.errors import ConfigError


def team_function(reference: str, root: Path, place: str) -> Callable[..., Any]:
    """The function of the team that ``path/to/file.py:name`` or ``package.module:name`` names.

    ``root`` is the folder of ``mlops.yml``; ``place`` begins the message of the :class:`ConfigError` that is raised
    when there is no such function. What its module raises is raised.
    """
    target, _, name = reference.rpartition(":")
    function = getattr(team_module(target, root, place), name, None)
    if not callable(function):
        raise ConfigError(f"{place}: there is not a function {name} in {target}")
    found: Callable[..., Any] = function
    return found


def team_module(target: str, root: Path, place: str) -> Any:
    """The module that ``path/to/file.py`` or ``package.module`` names; see :func:`team_function`."""
    if not target.endswith(".py"):
        _make_importable(root)
        if importlib.util.find_spec(target.partition(".")[0]) is None:
            raise ConfigError(f"{place}: there is no module {target}")
        return importlib.import_module(target)
    path = root / target
    if not path.is_file():
        raise ConfigError(f"{place}: no such file: {path}")
    _make_importable(path.parent)
    # A name of its own: the file may be called like a module that is needed here.
    spec = importlib.util.spec_from_file_location(f"mlops_steps_team_code.{path.stem}", path)
    if spec is None or spec.loader is None:
        raise ConfigError(f"{place}: {path} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _make_importable(folder: Path) -> None:
    """At the end of the search path, so that nothing there hides an installed module."""
    if str(folder) not in sys.path:
        sys.path.append(str(folder))
